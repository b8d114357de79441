"""`BaseEmbedder`: what all embedders can be asked; `modalities` has one for each modality.

An embedder is a framework's encoder with settings. It converts inputs, sends them through the
pipeline, and gives arrays back. Embedders are thread-safe, load their model at first use, and can be
pickled (without the key; the copy reads the environment again): see `embedder_core`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sized
from dataclasses import replace
from typing import Generic, Self, TypeVar

import numpy.typing as npt

from llm_multi_core.embedder.analysis.similarity import cosine_similarity
from llm_multi_core.embedder.embedder_core import EmbedderCore
from llm_multi_core.embedder.pipeline.call import Call, OnError, Portion
from llm_multi_core.embedder.pipeline.collect import CollectedVectors, as_one_chunk, chunks_of
from llm_multi_core.embedder.pipeline.report import EmbeddingResult, Plan, Report
from llm_multi_core.embedder.pipeline.run import (
    DEFAULT_WINDOW,
    arun_windows,
    check_window,
    open_windows,
    run_windows,
    warn_of_truncation,
)
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core.embedder.rows import FloatArray

InputT = TypeVar("InputT")


class BaseEmbedder(EmbedderCore, Generic[InputT]):
    """One framework, one model, one modality.

    Made by `create_text_embedder` and its siblings rather than directly.
    """

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
        result = self._run_portion(None, xs, role, on_error, instruction, show_progress)
        self._warn_of_truncation(result.report)
        return result

    def _run_portion(
        self,
        portion: Portion | None,
        xs: Iterable[InputT],
        role: str | None,
        on_error: OnError,
        instruction: str | None,
        show_progress: bool,
    ) -> EmbeddingResult:
        """`run` for what may be a portion of a larger call's inputs; warns of nothing."""
        self._refuse_single(xs)
        resolved = self._resolve_dense()
        vectors = CollectedVectors(len(xs) if isinstance(xs, Sized) else None, resolved.space.dimension)
        opened = self._open(xs, role, instruction, on_error, show_progress, resolved, portion)
        with opened as call, vectors.salvaged(call):
            for rows in run_windows(resolved, call, self._items(call, xs)):
                vectors.add(rows.values)
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
                self._warn_and_forget(call)
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
        result = await self._arun_portion(None, xs, role, on_error, instruction, show_progress)
        self._warn_of_truncation(result.report)
        return result

    async def _arun_portion(
        self,
        portion: Portion | None,
        xs: Iterable[InputT],
        role: str | None,
        on_error: OnError,
        instruction: str | None,
        show_progress: bool,
    ) -> EmbeddingResult:
        """`arun` for what may be a portion of a larger call's inputs; warns of nothing."""
        self._refuse_single(xs)
        resolved = await runtime.in_thread(self._resolve_dense)
        vectors = CollectedVectors(len(xs) if isinstance(xs, Sized) else None, resolved.space.dimension)
        opened = self._open(xs, role, instruction, on_error, show_progress, resolved, portion)
        with opened as call, vectors.salvaged(call):
            async for rows in arun_windows(resolved, call, self._items(call, xs)):
                vectors.add(rows.values)
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
                    self._warn_and_forget(call)
                    yield rows.values

    def uncached(self) -> Self:
        """Another embedder of the same settings and model, but for the cache, which it has not."""
        return type(self)(replace(self._settings, cache=None))

    def _cost_of(self, units: int) -> float | None:
        """An estimate in US dollars for units of a hosted model, where its price is known."""
        handle = self._resolve().handle
        price = handle.price if handle.hosted else None
        return None if price is None else units * price / 1e6

    def _warn_of_truncation(self, report: Report) -> None:
        resolved = self._lease.resolved  # not `_resolve()`: it may have been closed while the call ran
        if resolved is not None:
            warn_of_truncation(resolved, self._settings.truncation, report)

    def _warn_and_forget(self, call: Call) -> None:
        """Streams have no report to read, and must not grow one."""
        self._warn_of_truncation(call.report)
        call.report.truncations.clear()
