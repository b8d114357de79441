"""The two ends of a call: inputs that come in chunks, and vectors that are put together."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from llm_multi_core.embedder.errors import BatchError, EmbedderError, EncodingError, InvalidInputError
from llm_multi_core.embedder.pipeline.call import Call
from llm_multi_core.embedder.pipeline.report import EmbeddingResult
from llm_multi_core.embedder.rows import FloatArray

InputT = TypeVar("InputT")


class CollectedVectors:
    """Collects the windows of a call; in place where the number of inputs is known beforehand."""

    def __init__(self, total: int | None, dimension: int) -> None:
        self._dimension = dimension
        self._whole = None if total is None else np.empty((total, dimension), np.float32)
        self._blocks: list[FloatArray] = []
        self._count = 0

    def add(self, block: FloatArray) -> None:
        """Take the next rows."""
        if self._whole is not None and self._count + len(block) <= len(self._whole):
            self._whole[self._count : self._count + len(block)] = block
        else:
            self._blocks.append(block)
        self._count += len(block)

    @contextmanager
    def salvaged(self, call: Call) -> Iterator[None]:
        """Turn an error that ends a call, after some of a provider's vectors were made, into one that holds them.

        An input that cannot be embedded is the caller's to mend: such an error is raised as it is, as
        are errors of other libraries, such as a cache's.

        Raises:
            BatchError: from the error.
        """
        call.salvages = True
        try:
            yield
        except EmbedderError as error:
            if isinstance(error, InvalidInputError) or call.salvaged is None:
                raise
            for rows in call.salvaged:
                self.add(rows.values)
            result = EmbeddingResult(self.joined(), call.report)
            made = int(result.ok.sum())
            if not made:
                raise
            raise BatchError(
                f"{error}; {made} of the {len(result)} inputs up to there have vectors: see .vectors and .ok",
                indices=error.indices if isinstance(error, EncodingError) else (),
                result=result,
            ) from error

    def joined(self) -> FloatArray:
        """All rows so far, `(n, d)`."""
        if self._whole is not None and self._count == len(self._whole):
            return self._whole
        # The inputs were no sequence, or not as many as they claimed to be.
        start = [] if self._whole is None else [self._whole[: self._count - sum(map(len, self._blocks))]]
        return np.concatenate([np.empty((0, self._dimension), np.float32), *start, *self._blocks])


async def as_one_chunk(source: Iterable[InputT]) -> AsyncIterator[Iterable[InputT]]:
    """A synchronous source, whole, as the only chunk."""
    yield source


async def chunks_of(source: AsyncIterable[InputT], size: int) -> AsyncIterator[list[InputT]]:
    """The inputs of an asynchronous source in lists of `size`, the last one shorter."""
    chunk: list[InputT] = []
    async for value in source:
        chunk.append(value)
        if len(chunk) >= size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
