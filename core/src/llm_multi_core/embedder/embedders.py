"""`BaseEmbedder`: what all embedders have in common; `modalities` has one for each modality.

An embedder is a framework's encoder with settings. It converts inputs, sends them through the
pipeline, and gives arrays back. Embedders are thread-safe, load their model at first use, and can be
pickled (without the key; the copy reads the environment again).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence, Sized
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy.typing as npt

from llm_multi_core.embedder.analysis.similarity import cosine_similarity
from llm_multi_core.embedder.errors import InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.inputs.shapes import require_many, require_one
from llm_multi_core.embedder.items import Item, Modality
from llm_multi_core.embedder.pipeline.call import Call, OnError
from llm_multi_core.embedder.pipeline.collect import CollectedVectors, as_one_chunk, chunks_of
from llm_multi_core.embedder.pipeline.lease import Lease
from llm_multi_core.embedder.pipeline.report import EmbeddingResult, Plan
from llm_multi_core.embedder.pipeline.resolution import Resolved
from llm_multi_core.embedder.pipeline.run import (
    DEFAULT_WINDOW,
    arun_windows,
    check_window,
    open_call,
    open_windows,
    run_windows,
    warn_of_truncation,
)
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core.embedder.rows import FloatArray
from llm_multi_core.embedder.settings import EmbedderSettings
from llm_multi_core.embedder.spaces import Space

InputT = TypeVar("InputT")


class BaseEmbedder(ABC, Generic[InputT]):
    """One framework, one model, one modality.

    Made by `create_text_embedder` and its siblings rather than directly.
    """

    modality: ClassVar[Modality]

    def __init__(self, settings: EmbedderSettings) -> None:
        self._settings = settings
        self._lease = Lease(settings, self.modality)

    # What it is.

    @property
    def framework(self) -> str:
        """The framework's name."""
        return self._settings.offer.spec.name

    @property
    def model(self) -> str:
        """The model's name or folder."""
        return self._settings.model

    @property
    def space(self) -> Space:
        """Where the vectors lie; its `fingerprint` says what they may be compared with."""
        return self._resolve().space

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return self._resolve().space.dimension

    @property
    def encoder_id(self) -> str:
        """A hash over everything that can change a vector in its last bits; keys caches."""
        return self._resolve().handle.encoder_id()

    @property
    def via(self) -> str | None:
        """How media is turned into text before it is embedded (`"caption"`, `"transcript"`), if it is."""
        return self._settings.offer.spec.bridge.get(self.modality)

    # One input, many inputs.

    def embed(self, x: InputT, role: str | None = None, *, instruction: str | None = None) -> FloatArray:
        """The vector of one input.

        Args:
            x: the input.
            role: `"query"`, `"document"` or `"symmetric"`; `None` is symmetric.
            instruction: for models that follow one, instead of the role's own prompt.

        Returns:
            `(d,)` float32.

        Raises:
            InvalidInputError: if it cannot be embedded.
            EncodingError: if the model or provider failed.
        """
        self._refuse_many(x)
        vector: FloatArray = self.run([x], role, instruction=instruction).vectors[0]
        return vector

    def embed_batch(
        self,
        xs: Iterable[InputT],
        role: str | None = None,
        show_progress: bool = False,
        *,
        instruction: str | None = None,
    ) -> FloatArray:
        """The vectors of many inputs, in their order.

        Args:
            xs: a list, generator or other ordered iterable; not a single string.
            role: as in `embed`.
            show_progress: draw a progress bar on standard error.
            instruction: as in `embed`.

        Returns:
            `(n, d)` float32; `(0, d)` for no inputs.

        Raises:
            InvalidInputError: naming the first input that cannot be embedded.
            EncodingError: naming the inputs on which the model or provider failed.
        """
        return self.run(xs, role, instruction=instruction, show_progress=show_progress).vectors

    def run(
        self,
        xs: Iterable[InputT],
        role: str | None = None,
        *,
        on_error: OnError = "raise",
        instruction: str | None = None,
        show_progress: bool = False,
    ) -> EmbeddingResult:
        """Like `embed_batch`, with a report; `on_error="collect"` lists failures instead of raising."""
        return self._run_at(None, xs, role, on_error=on_error, instruction=instruction, show_progress=show_progress)

    def _run_at(
        self,
        positions: Sequence[int] | None,
        xs: Iterable[InputT],
        role: str | None,
        *,
        on_error: OnError = "raise",
        instruction: str | None = None,
        show_progress: bool = False,
    ) -> EmbeddingResult:
        """`run` for inputs that stand at `positions` of a larger call, whose indices failures then have."""
        self._refuse_single(xs)
        resolved = self._resolve_dense()
        vectors = CollectedVectors(len(xs) if isinstance(xs, Sized) else None, resolved.space.dimension)
        opened = self._open(xs, role, instruction, on_error, show_progress, resolved, positions)
        with opened as call, vectors.salvaged(call):
            for rows in run_windows(resolved, call, self._items(call, xs)):
                vectors.add(rows.values)
        warn_of_truncation(resolved, call)
        return EmbeddingResult(vectors.joined(), call.report)

    def embed_stream(
        self,
        iterable: Iterable[InputT],
        role: str | None = None,
        window: int = DEFAULT_WINDOW,
        *,
        instruction: str | None = None,
    ) -> Iterator[FloatArray]:
        """The vectors of any number of inputs in bounded memory.

        Yields:
            `(m, d)` float32 for the next `m` inputs, in order; `m` is `window` but for the last.
        """
        self._refuse_single(iterable)
        check_window(window)
        resolved = self._resolve_dense()
        with self._open(iterable, role, instruction, resolved=resolved) as call:
            for rows in run_windows(resolved, call, self._items(call, iterable), window):
                self._warn_and_forget(resolved, call)
                yield rows.values

    def similarity(self, a: InputT, b: InputT) -> float:
        """The cosine of two inputs, both in the symmetric role, from -1 to 1."""
        u, v = self.embed_batch([a, b])
        return cosine_similarity(u, v)

    @staticmethod
    def similarity_of_vectors(u: npt.ArrayLike, v: npt.ArrayLike) -> float:
        """The cosine of two vectors `(d,)`, from -1 to 1.

        Raises:
            InvalidInputError: if they differ in length, are not finite, or one is zero.
        """
        return cosine_similarity(u, v)

    def plan(self, xs: Iterable[InputT], role: str | None = None, *, instruction: str | None = None) -> Plan:
        """What `embed_batch` would do: items, tokens, requests, truncations, refusals. Encodes and sends nothing.

        A local model is loaded, since its tokenizer counts the tokens.
        """
        self._refuse_single(xs)
        resolved = self._resolve()
        with self._open(xs, role, instruction, "collect", resolved=resolved) as call:
            requests = cost = 0
            for window in open_windows(resolved, call, self._items(call, xs)):
                requests += len(window.batches)
                cost += sum(batch.cost for batch in window.batches)
        report = call.report
        return Plan(
            items=report.items,
            duplicates=report.duplicates,
            cache_hits=report.cache_hits,
            units=report.units,
            exact=report.exact,
            requests=requests,
            padding=1 - report.units / cost if cost else 0.0,
            truncations=tuple(report.truncations),
            cost=self._cost_of(report.units),
            failures=tuple(report.failures),
        )

    # The same for asynchronous callers.

    async def aembed(self, x: InputT, role: str | None = None, *, instruction: str | None = None) -> FloatArray:
        """`embed` without blocking the event loop."""
        self._refuse_many(x)
        vector: FloatArray = (await self.arun([x], role, instruction=instruction)).vectors[0]
        return vector

    async def aembed_batch(
        self,
        xs: Iterable[InputT],
        role: str | None = None,
        show_progress: bool = False,
        *,
        instruction: str | None = None,
    ) -> FloatArray:
        """`embed_batch` without blocking the event loop."""
        return (await self.arun(xs, role, instruction=instruction, show_progress=show_progress)).vectors

    async def arun(
        self,
        xs: Iterable[InputT],
        role: str | None = None,
        *,
        on_error: OnError = "raise",
        instruction: str | None = None,
        show_progress: bool = False,
    ) -> EmbeddingResult:
        """`run` without blocking the event loop. Cancelling it stops further batches."""
        return await self._arun_at(
            None, xs, role, on_error=on_error, instruction=instruction, show_progress=show_progress
        )

    async def _arun_at(
        self,
        positions: Sequence[int] | None,
        xs: Iterable[InputT],
        role: str | None,
        *,
        on_error: OnError = "raise",
        instruction: str | None = None,
        show_progress: bool = False,
    ) -> EmbeddingResult:
        """`arun` for inputs that stand at `positions` of a larger call."""
        self._refuse_single(xs)
        resolved = await runtime.in_thread(self._resolve_dense)
        vectors = CollectedVectors(len(xs) if isinstance(xs, Sized) else None, resolved.space.dimension)
        opened = self._open(xs, role, instruction, on_error, show_progress, resolved, positions)
        with opened as call, vectors.salvaged(call):
            async for rows in arun_windows(resolved, call, self._items(call, xs)):
                vectors.add(rows.values)
        warn_of_truncation(resolved, call)
        return EmbeddingResult(await runtime.in_thread(vectors.joined), call.report)

    async def aembed_stream(
        self,
        iterable: Iterable[InputT] | AsyncIterable[InputT],
        role: str | None = None,
        window: int = DEFAULT_WINDOW,
        *,
        instruction: str | None = None,
    ) -> AsyncIterator[FloatArray]:
        """`embed_stream` without blocking the event loop; takes asynchronous iterables as well."""
        self._refuse_single(iterable, asynchronous=True)
        check_window(window)
        resolved = await runtime.in_thread(self._resolve_dense)
        parts = chunks_of(iterable, window) if isinstance(iterable, AsyncIterable) else as_one_chunk(iterable)
        with self._open(iterable, role, instruction, resolved=resolved) as call:
            async for part in parts:
                async for rows in arun_windows(resolved, call, self._items(call, part), window):
                    self._warn_and_forget(resolved, call)
                    yield rows.values

    # Life.

    def load(self) -> Self:
        """Load a local model now rather than at first use; of a hosted one, find the key.

        Raises:
            ModelLoadError: if there is no such model, or it cannot be read.
            MissingCredentialsError: if a hosted framework has no key any more.
        """
        self._resolve().handle.load()
        return self

    async def aload(self) -> Self:
        """`load` without blocking the event loop, such as when a server starts."""
        return await runtime.in_thread(self.load)

    def uncached(self) -> Self:
        """Another embedder of the same settings and model, but for the cache, which it has not."""
        return type(self)(replace(self._settings, cache=None))

    def close(self) -> None:
        """Give the model back; the last embedder that uses it frees it. Closing twice is harmless."""
        self._lease.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"settings": self._settings.without_secret(), "closed": self._lease.closed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["settings"])  # type: ignore[misc]  # a subclass must keep this signature
        if state["closed"]:
            self._lease.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(framework={self.framework!r}, model={self.model!r})"

    # What a modality adds.

    @abstractmethod
    def _item(self, value: Any) -> Item:
        """One input as an item.

        Raises:
            InvalidInputError: without an index.
        """

    @abstractmethod
    def _is_single(self, value: Any) -> bool:
        """Whether a value that could be iterated over is one input."""

    # How it is done.

    def _resolve(self) -> Resolved:
        """The encoder and its space, found out at first use.

        Raises:
            EmbedderError: as `Lease.resolve`.
        """
        return self._lease.resolve()

    def _resolve_dense(self) -> Resolved:
        resolved = self._resolve()
        if resolved.space.output != "dense":
            raise InvalidOptionError(f"{resolved.space} has no dense vectors, which embed and embed_batch return")
        return resolved

    def _open(
        self,
        xs: object,
        role: str | None,
        instruction: str | None,
        on_error: OnError = "raise",
        show_progress: bool = False,
        resolved: Resolved | None = None,
        positions: Sequence[int] | None = None,
    ) -> AbstractContextManager[Call]:
        return open_call(
            resolved or self._resolve_dense(),
            self._settings,
            self.modality,
            role=role,
            instruction=instruction,
            on_error=on_error,
            total=len(xs) if isinstance(xs, Sized) else None,
            show_progress=show_progress,
            positions=positions,
        )

    def _cost_of(self, units: int) -> float | None:
        """An estimate in US dollars for units of a hosted model, where its price is known."""
        handle = self._resolve().handle
        price = handle.price if handle.hosted else None
        return None if price is None else units * price / 1e6

    @staticmethod
    def _warn_and_forget(resolved: Resolved, call: Call) -> None:
        """Streams have no report to read, and must not grow one."""
        warn_of_truncation(resolved, call)
        call.report.truncations.clear()

    def _items(self, call: Call, xs: Iterable[Any]) -> Iterator[Item | None]:
        """Inputs as items, `None` for a refused one. Counts on where an earlier part of the call ended."""
        for index, value in enumerate(xs, call.report.items):
            try:
                yield self._check_item(value) if isinstance(value, Item) else self._item(value)
            except InvalidInputError as error:
                position = call.position(index)
                call.fail(position, error.at(position))
                yield None

    def _check_item(self, item: Item) -> Item:
        # A framework may have a specification for each modality, and models that take several at once.
        supported = {*self._settings.offer.spec.modalities, *self._resolve().space.modalities}
        for modality in item.signature:
            if modality not in supported:
                raise InvalidInputError(f"framework {self.framework!r} does not take {modality}")
        if not item.parts:
            raise InvalidInputError("the item has no parts")
        if len(item.parts) > 1 and not self._resolve().description.interleaves:
            raise InvalidInputError(
                f"framework {self.framework!r} with model {self.model!r} takes one part an item, not {len(item.parts)}"
            )
        return item

    def _refuse_single(self, xs: object, asynchronous: bool = False) -> None:
        require_many(xs, self.modality, self._is_single(xs) or isinstance(xs, Item), asynchronous)

    def _refuse_many(self, x: object) -> None:
        require_one(x, self.modality, self._is_single(x))
