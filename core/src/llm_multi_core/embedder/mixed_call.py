"""One call over inputs of several modalities: split by route, run side by side, put back into order.

Which routes there are, `routes` decides; what they start from, `inputs.mixed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import NoReturn, TypeAlias

import numpy as np

from llm_multi_core.embedder.errors import (
    EmbedderError,
    EncodingError,
    IncompatibleSpacesError,
    InvalidInputError,
    InvalidOptionError,
)
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.items import Item, Modality
from llm_multi_core.embedder.mixed_result import MixedResult
from llm_multi_core.embedder.pipeline.call import CallGroup, OnError, Portion
from llm_multi_core.embedder.pipeline.describing import Words
from llm_multi_core.embedder.pipeline.report import EmbeddingResult, Failure, Report
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core.embedder.routes import Route
from llm_multi_core.embedder.rows import FloatArray
from llm_multi_core.embedder.spaces import Space

Signature: TypeAlias = tuple[Modality, ...]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a call is to be made; what every embedder's `run` takes."""

    role: str | None = None
    on_error: OnError = "raise"
    instruction: str | None = None
    show_progress: bool = False

    def __post_init__(self) -> None:
        if self.on_error not in ("raise", "collect"):
            raise InvalidOptionError(f"on_error={self.on_error!r} is neither 'raise' nor 'collect'")


@dataclass(slots=True)
class Share:
    """The items of a call that take one route, and the caller's indices of them."""

    route: Route
    items: list[Item] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)


@dataclass(slots=True)
class MixedCall:
    """The inputs of one call.

    Attributes:
        manner: how it is to be made.
        space: where all vectors are to lie; `None` leaves each in the space of its modality.
        first: the caller's index of its first input.
        shares: the items by signature, each with its route.
        signatures: that of each input; `None` for one that was refused.
        failures: the inputs that were refused.
        group: the calls that its shares become.
    """

    manner: Manner
    space: Space | None = None
    first: int = 0
    shares: dict[Signature, Share] = field(default_factory=dict)
    signatures: list[Signature | None] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    group: CallGroup = field(default_factory=CallGroup)

    def take(self, inputs: Iterable[Callable[[], Item]], route_of: Callable[[Signature], Route]) -> None:
        """Take inputs, the first failure of which is raised with `on_error="raise"`.

        Args:
            inputs: what makes an item of each.
            route_of: the route of items of a signature.

        Raises:
            InvalidInputError: naming an input that cannot be embedded.
            IncompatibleSpacesError: naming one that does not reach the space.
        """
        for index, item_of in enumerate(inputs, self.first):
            try:
                item = item_of()
                share = self.shares.get(item.signature) or Share(route_of(item.signature))
            except (InvalidInputError, IncompatibleSpacesError) as error:
                told = _located(error, index)
                if self.manner.on_error == "raise":
                    raise told from error.__cause__
                self.failures.append(Failure(index, told))
                self.signatures.append(None)
                continue
            self.shares.setdefault(item.signature, share)
            share.items.append(item)
            share.indices.append(index)
            self.signatures.append(item.signature)

    def run(self) -> MixedResult:
        """The vectors, each share in a thread of its own where there are several."""
        from concurrent.futures import ThreadPoolExecutor

        shares = list(self.shares.values())
        if len(shares) < 2:
            return self._joined([self._run_share(share) for share in shares])
        with ThreadPoolExecutor(len(shares), thread_name_prefix="llm-multi-core-mixed") as threads:
            running = [threads.submit(copy_context().run, self._run_share, share) for share in shares]
            try:
                wait(running, return_when=FIRST_EXCEPTION)
            finally:
                if not all(future.done() and future.exception() is None for future in running):
                    self.group.end()
        errors = [error for future in running if (error := future.exception()) is not None]
        if errors:
            _raise_first(errors)
        return self._joined([future.result() for future in running])

    async def arun(self) -> MixedResult:
        """`run` without blocking the event loop. Cancelling it stops further batches."""
        import asyncio

        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(self._arun_share(share)) for share in self.shares.values()]
        except BaseExceptionGroup as group:
            _raise_first(group.exceptions)
        finally:
            self.group.end()
        results = [task.result() for task in running]
        return await runtime.in_thread(self._joined, results)

    def _run_share(self, share: Share) -> EmbeddingResult:
        work = _Work.begin(self, share)
        manner = self.manner
        result = share.route.embedder._run_portion(
            work.portion, work.items, manner.role, manner.on_error, manner.instruction, manner.show_progress
        )
        return work.finish(result)

    async def _arun_share(self, share: Share) -> EmbeddingResult:
        work = await runtime.in_thread(_Work.begin, self, share)
        manner = self.manner
        result = await share.route.embedder._arun_portion(
            work.portion, work.items, manner.role, manner.on_error, manner.instruction, manner.show_progress
        )
        return await runtime.in_thread(work.finish, result)

    def _joined(self, results: Sequence[EmbeddingResult]) -> MixedResult:
        """The results of the shares, put back into the order of the inputs."""
        shares = list(self.shares.values())
        count = len(self.signatures)
        dimensions = {result.vectors.shape[1] for result in results} | ({self.space.dimension} if self.space else set())
        blank: FloatArray = np.full(dimensions.pop() if len(dimensions) == 1 else 0, np.nan, np.float32)
        vectors: list[FloatArray] = [blank] * count
        spaces: list[Space | None] = [None] * count
        via: list[str | None] = [None] * count
        failures, reports = list(self.failures), dict[str, Report]()
        for share, signature, result in zip(shares, self.shares, results, strict=True):
            failures += result.failures
            failed = {failure.index for failure in result.failures}
            reports[" + ".join(signature)] = result.report
            for index, vector in zip(share.indices, result.vectors, strict=True):
                place = index - self.first
                vectors[place] = vector
                if index not in failed:
                    spaces[place], via[place] = share.route.space, share.route.via
        failures.sort(key=lambda failure: failure.index)
        return MixedResult(vectors, spaces, list(map(_modality, self.signatures)), via, failures, reports, self.space)


def embed_along(route: Route, items: Sequence[Item], indices: Sequence[int], manner: Manner) -> FloatArray:
    """The vectors `(n, d)` of items that all take one route; `indices` are the caller's.

    Raises:
        InvalidInputError: naming the first that cannot be embedded.
        EncodingError: if a model or provider failed.
    """
    return MixedCall(manner)._run_share(Share(route, list(items), list(indices))).vectors


@dataclass(frozen=True, slots=True)
class _Work:
    """What the embedder of a share's route is to embed.

    Attributes:
        share: the share.
        items: its items, or the words for those that have any.
        portion: where they stand among the caller's inputs.
        failures: what has no words.
    """

    share: Share
    items: list[Item]
    portion: Portion
    failures: list[Failure]

    @classmethod
    def begin(cls, call: MixedCall, share: Share) -> _Work:
        """Put into words what the route puts into words.

        Raises:
            InvalidInputError: with `on_error="raise"`, naming the first input that cannot be.
        """
        if share.route.bridge is None:
            return cls(share, share.items, Portion(share.indices, call.group), [])
        stops = call.manner.on_error == "raise"
        said: dict[bytes, Words] = {}
        for words in share.route.bridge.describe(share.items, call.group):
            said.update(words)
            if stops and any(isinstance(text, EmbedderError) for text in words.values()):
                break
        items: list[Item] = []
        indices: list[int] = []
        failures: list[Failure] = []
        for item, index in zip(share.items, share.indices, strict=True):
            text = said.get(item.digest)
            if text is None:
                raise _EndedError
            if isinstance(text, EmbedderError):
                told = _located(text, index)
                if stops:
                    raise told from text.__cause__
                failures.append(Failure(index, told))
            else:
                items.append(replace(text_item(text), span=item.span))
                indices.append(index)
        return cls(share, items, Portion(indices, call.group), failures)

    def finish(self, result: EmbeddingResult) -> EmbeddingResult:
        """Carry vectors over the route's alignment, and put blanks where an item had no words."""
        report = result.report
        vectors = self._aligned(result)
        if self.failures:
            report.items += len(self.failures)
            report.failures.extend(self.failures)
            report.failures.sort(key=lambda failure: failure.index)
            whole: FloatArray = np.full((len(self.share.indices), vectors.shape[1]), np.nan, np.float32)
            whole[np.isin(self.share.indices, self.portion.positions)] = vectors
            vectors = whole
        return EmbeddingResult(vectors, report)

    def _aligned(self, result: EmbeddingResult) -> FloatArray:
        alignment = self.share.route.alignment
        if alignment is None:
            return result.vectors
        places = np.flatnonzero(result.ok)
        carried: FloatArray = np.full((len(result.vectors), alignment.target.dimension), np.nan, np.float32)
        if len(places):
            try:
                carried[places] = alignment.apply(result.vectors[places])
            except InvalidInputError as error:
                if error.index is None:
                    raise
                raise error.at(self.portion.positions[int(places[error.index])]) from error.__cause__
        return carried


class _EndedError(Exception):
    """A share came to an end since another failed."""


def _raise_first(errors: Sequence[BaseException]) -> NoReturn:
    """Raise the error of the first input that failed; of errors that name none, the first."""
    told = [error for error in errors if not isinstance(error, _EndedError)]
    first = min(told or errors, key=_first_index)
    raise first from first.__cause__


def _first_index(error: BaseException) -> float:
    if isinstance(error, InvalidInputError) and error.index is not None:
        return error.index
    if isinstance(error, EncodingError):
        return min(error.indices, default=np.inf)
    return np.inf


def _located(error: EmbedderError, index: int) -> EmbedderError:
    """The same error for the input at `index`."""
    if isinstance(error, InvalidInputError):
        return error.at(index)
    if isinstance(error, IncompatibleSpacesError):
        return type(error)(f"input {index}: {error}")
    if isinstance(error, EncodingError) and not error.indices:
        return type(error)(f"input {index}: {error}", indices=[index])
    return error


def _modality(signature: Signature | None) -> Modality | None:
    return signature[0] if signature is not None and len(set(signature)) == 1 else None
