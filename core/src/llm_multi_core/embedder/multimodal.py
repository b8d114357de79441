"""`MultiModalEmbedder`: texts, images and recordings in one call, in the space of each or in one for all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy.typing as npt

from llm_multi_core.embedder.analysis.similarity import cosine_similarity
from llm_multi_core.embedder.bridges import Bridge
from llm_multi_core.embedder.embedders import BaseEmbedder
from llm_multi_core.embedder.errors import ClosedError, IncompatibleSpacesError, InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.inputs.compound import WINDOW_SECONDS, segments
from llm_multi_core.embedder.inputs.mixed import is_one_input, mixed_item, names_a_file
from llm_multi_core.embedder.inputs.shapes import require_many
from llm_multi_core.embedder.inputs.sources import SourcePolicy
from llm_multi_core.embedder.items import Item, Modality
from llm_multi_core.embedder.mixed_call import Manner, MixedCall, embed_along
from llm_multi_core.embedder.mixed_result import MixedResult, Similarity, join_via
from llm_multi_core.embedder.pipeline.call import OnError
from llm_multi_core.embedder.pipeline.reading import Reading, read_ahead
from llm_multi_core.embedder.pipeline.run import check_window
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core.embedder.routes import Route, Routes
from llm_multi_core.embedder.rows import FloatArray
from llm_multi_core.embedder.spaces import Space

if TYPE_CHECKING:
    from llm_multi_core.embedder.analysis.alignment import Alignment

MIXED_WINDOW = 256
"""Inputs that a stream of mixed inputs holds at a time."""


class MultiModalEmbedder:
    """Embeds inputs of several modalities.

    Made by `create_multimodal_embedder` rather than directly. Inputs are texts, PIL images, arrays of
    pixels or samples, pairs of samples and their rate, paths, `Text`, `Image`, `Audio` and items. A
    string is the path of media if it has such a suffix and the file exists; the wrappers always decide.

    Args:
        embedders: the embedder of each modality.
        joint: embedders of a framework that serves several modalities in one space.
        alignments: maps between spaces.
        bridges: what puts a modality into words.
        allow_urls: whether `Image` and `Audio` may name http(s) URLs.
    """

    def __init__(
        self,
        embedders: Mapping[Modality, BaseEmbedder[Any]],
        *,
        joint: Mapping[Modality, BaseEmbedder[Any]] | None = None,
        alignments: Sequence[Alignment] = (),
        bridges: Mapping[Modality, Bridge] | None = None,
        allow_urls: bool = False,
    ) -> None:
        self._routes = Routes(dict(embedders), dict(joint or {}), alignments, dict(bridges or {}))
        self._sources = SourcePolicy(allow_urls=allow_urls)
        self._closed = False
        if not self.embedders:
            raise InvalidOptionError("a multimodal embedder needs at least one framework")
        if bridges and Modality.TEXT not in self.embedders:
            raise InvalidOptionError("bridge= puts media into words, which need a framework for text: text_framework=")

    # What it is.

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What it embeds."""
        return self._routes.modalities

    @property
    def embedders(self) -> Mapping[Modality, BaseEmbedder[Any]]:
        """The embedder of each modality."""
        return {**self._routes.joint, **self._routes.embedders}

    def space_of(self, modality: Modality | str) -> Space:
        """Where `embed` puts inputs of a modality.

        Raises:
            InvalidInputError: if it embeds no such inputs.
        """
        return self._routes.of((Modality(modality),)).space

    @property
    def space(self) -> Space:
        """Where `embed_joint` puts inputs: the space that most of the modalities reach.

        Raises:
            IncompatibleSpacesError: if no two modalities share one, with the ways to get one.
        """
        space = self._routes.common_space()
        if space is None:
            raise IncompatibleSpacesError(self._routes.explain_gap(self.modalities))
        return space

    def joint_routes(self) -> dict[Modality, Route]:
        """How each modality that reaches it comes into the space of `embed_joint`; empty if there is none."""
        space = self._routes.common_space()
        found = {modality: self._routes.to(space, modality) if space else None for modality in self.modalities}
        return {modality: route for modality, route in found.items() if route is not None}

    @property
    def joint_modalities(self) -> tuple[Modality, ...]:
        """The modalities that `embed_joint` takes."""
        return tuple(self.joint_routes())

    @property
    def dimension(self) -> int:
        """Components of a vector of `embed_joint`."""
        return self.space.dimension

    def ways(self) -> dict[str, str]:
        """How each modality comes into the joint space, in words."""
        return {str(modality): str(route) for modality, route in self.joint_routes().items()}

    @property
    def encoder_id(self) -> str:
        """A hash over everything that can change a vector of `embed_joint` in its last bits; keys caches.

        Raises:
            IncompatibleSpacesError: if no two modalities share a space.
        """
        identity = {str(modality): route.identity for modality, route in self.joint_routes().items()}
        return sha256(json.dumps([self.space.fingerprint, identity], sort_keys=True).encode()).hexdigest()

    # Each input in the space of its modality.

    def embed(self, x: Any, role: str | None = None, *, instruction: str | None = None) -> FloatArray:
        """The vector `(d,)` of one input, in the space of its modality."""
        vector: FloatArray = self.run([x], role, instruction=instruction).vectors[0]
        return vector

    def embed_batch(
        self, xs: Iterable[Any], role: str | None = None, show_progress: bool = False, *, instruction: str | None = None
    ) -> list[FloatArray]:
        """One vector `(d,)` for each input, in order, each in the space of its modality.

        Raises:
            InvalidInputError: naming the first input that cannot be embedded.
            EncodingError: naming the inputs on which a model or provider failed.
        """
        return self.run(xs, role, instruction=instruction, show_progress=show_progress).vectors

    def run(
        self,
        xs: Iterable[Any],
        role: str | None = None,
        *,
        on_error: OnError = "raise",
        instruction: str | None = None,
        show_progress: bool = False,
    ) -> MixedResult:
        """Like `embed_batch`, with spaces and reports; `on_error="collect"` lists failures instead of raising."""
        return self._run(xs, None, Manner(role, on_error, instruction, show_progress))

    # All inputs in one space.

    def embed_joint(
        self, xs: Iterable[Any], role: str | None = None, show_progress: bool = False, *, instruction: str | None = None
    ) -> FloatArray:
        """`(n, d)`: one vector for each input, in order, all in the joint space.

        Raises:
            IncompatibleSpacesError: if a modality that is present does not reach it.
            InvalidInputError: naming the first input that cannot be embedded.
            EncodingError: naming the inputs on which a model or provider failed.
        """
        return self.run_joint(xs, role, instruction=instruction, show_progress=show_progress).joined()

    def run_joint(
        self,
        xs: Iterable[Any],
        role: str | None = None,
        *,
        on_error: OnError = "raise",
        instruction: str | None = None,
        show_progress: bool = False,
    ) -> MixedResult:
        """Like `embed_joint`, with reports; `on_error="collect"` lists failures instead of raising."""
        return self._run(xs, self.space, Manner(role, on_error, instruction, show_progress))

    def embed_joint_stream(
        self,
        iterable: Iterable[Any],
        role: str | None = None,
        window: int = MIXED_WINDOW,
        *,
        instruction: str | None = None,
    ) -> Iterator[FloatArray]:
        """The vectors of any number of inputs in the joint space in bounded memory.

        Yields:
            `(m, d)` float32 for the next `m` inputs, in order; `m` is `window` but for the last.
        """
        check_window(window)
        require_many(iterable, "input", is_one_input(iterable))
        space, manner = self.space, Manner(role, instruction=instruction)
        inputs, first = iter(iterable), 0
        while block := list(islice(inputs, window)):
            yield self._run(block, space, manner, first).joined()
            first += len(block)

    def similarity(self, a: Any, b: Any) -> Similarity:
        """The cosine of two inputs of any modalities, both in the symmetric role.

        Inputs of two modalities are compared in a space that both reach. The result is a float that
        also says in which `.space`, and over what (`.via`).

        Raises:
            IncompatibleSpacesError: if they reach no common space, with the ways to get one.
        """
        self._refuse_closed()
        first, second = (self._only(value, index) for index, value in enumerate((a, b)))
        routes = self._routes.between(first.signature[0], second.signature[0])
        ends = zip(routes, (first, second), (0, 1), strict=True)
        u, v = (embed_along(route, [item], [index], Manner())[0] for route, item, index in ends)
        return Similarity(cosine_similarity(u, v), routes[0].space, join_via([route.via for route in routes]))

    @staticmethod
    def similarity_of_vectors(u: npt.ArrayLike, v: npt.ArrayLike) -> float:
        """The cosine of two vectors `(d,)`, from -1 to 1."""
        return cosine_similarity(u, v)

    def segments(self, source: Any, *, seconds: float = WINDOW_SECONDS, overlap: float | None = None) -> list[Item]:
        """The items of a source: pages of a PDF, overlapping windows of a long recording, else one; with spans.

        Args:
            source: an input, or the path of a PDF.
            seconds: length of a window.
            overlap: seconds that a window shares with the one before it; by default 5, or a sixth of a shorter one.

        Raises:
            InvalidInputError: if it cannot be read.
        """
        own_rate = self._sample_rate
        return segments(source, seconds=seconds, overlap=overlap, policy=self._sources, own_rate=own_rate)

    # The same for asynchronous callers.

    async def aembed(self, x: Any, role: str | None = None, *, instruction: str | None = None) -> FloatArray:
        """`embed` without blocking the event loop."""
        vector: FloatArray = (await self.arun([x], role, instruction=instruction)).vectors[0]
        return vector

    async def aembed_batch(
        self, xs: Iterable[Any], role: str | None = None, show_progress: bool = False, *, instruction: str | None = None
    ) -> list[FloatArray]:
        """`embed_batch` without blocking the event loop."""
        return (await self.arun(xs, role, instruction=instruction, show_progress=show_progress)).vectors

    async def arun(
        self,
        xs: Iterable[Any],
        role: str | None = None,
        *,
        on_error: OnError = "raise",
        instruction: str | None = None,
        show_progress: bool = False,
    ) -> MixedResult:
        """`run` without blocking the event loop."""
        return await self._arun(xs, None, Manner(role, on_error, instruction, show_progress))

    async def aembed_joint(
        self, xs: Iterable[Any], role: str | None = None, show_progress: bool = False, *, instruction: str | None = None
    ) -> FloatArray:
        """`embed_joint` without blocking the event loop."""
        result = await self.arun_joint(xs, role, instruction=instruction, show_progress=show_progress)
        return await runtime.in_thread(result.joined)

    async def arun_joint(
        self,
        xs: Iterable[Any],
        role: str | None = None,
        *,
        on_error: OnError = "raise",
        instruction: str | None = None,
        show_progress: bool = False,
    ) -> MixedResult:
        """`run_joint` without blocking the event loop."""
        space = await runtime.in_thread(lambda: self.space)
        return await self._arun(xs, space, Manner(role, on_error, instruction, show_progress))

    async def aembed_joint_stream(
        self,
        iterable: Iterable[Any],
        role: str | None = None,
        window: int = MIXED_WINDOW,
        *,
        instruction: str | None = None,
    ) -> AsyncIterator[FloatArray]:
        """`embed_joint_stream` without blocking the event loop."""
        check_window(window)
        require_many(iterable, "input", is_one_input(iterable))
        space, manner = await runtime.in_thread(lambda: self.space), Manner(role, instruction=instruction)
        inputs, first = iter(iterable), 0
        while block := await runtime.in_thread(lambda: list(islice(inputs, window))):
            yield (await self._arun(block, space, manner, first)).joined()
            first += len(block)

    # Life.

    def uncached(self) -> Self:
        """Another embedder of the same models, without caches."""
        routes = self._routes
        return type(self)(
            {modality: embedder.uncached() for modality, embedder in routes.embedders.items()},
            joint={modality: embedder.uncached() for modality, embedder in routes.joint.items()},
            alignments=routes.alignments,
            bridges={modality: bridge.uncached() for modality, bridge in routes.bridges.items()},
            allow_urls=self._sources.allow_urls,
        )

    def close(self) -> None:
        """Give all models back; nothing can be embedded any more. Closing twice is harmless."""
        self._closed = True
        for embedder in (*self._routes.embedders.values(), *self._routes.joint.values()):
            embedder.close()
        for bridge in self._routes.bridges.values():
            bridge.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        named = {modality: repr(embedder.framework) for modality, embedder in self.embedders.items()}
        named = {**{modality: bridge.name for modality, bridge in self._routes.bridges.items()}, **named}
        parts = [f"{modality}={named[modality]}" for modality in self.modalities]
        return f"{type(self).__name__}({', '.join(parts)})"

    # How it is done.

    def _run(self, xs: Iterable[Any], space: Space | None, manner: Manner, first: int = 0) -> MixedResult:
        call = self._call(xs, space, manner, first)
        return self._warned(call, call.run())

    async def _arun(self, xs: Iterable[Any], space: Space | None, manner: Manner, first: int = 0) -> MixedResult:
        call = await runtime.in_thread(self._call, xs, space, manner, first)
        return self._warned(call, await call.arun())

    def _call(self, xs: Iterable[Any], space: Space | None, manner: Manner, first: int) -> MixedCall:
        """The inputs of a call, looked into and split by their routes."""
        self._refuse_closed()
        require_many(xs, "input", is_one_input(xs))
        call = MixedCall(manner, space, first)
        read = read_ahead(xs, self._item, names_a_file)
        call.take((partial(self._read, value) for value in read), partial(self._routes.of, space=space))
        return call

    def _only(self, value: Any, index: int) -> Item:
        """An item of one part."""
        try:
            item = self._item(value)
            if len(item.parts) != 1:
                raise InvalidInputError(
                    f"an item of {len(item.parts)} parts has no one modality; compare vectors of embed_joint"
                )
        except InvalidInputError as error:
            raise error.at(index) from error.__cause__
        return item

    def _read(self, value: Any) -> Item:
        return value.item() if isinstance(value, Reading) else self._item(value)

    def _item(self, value: Any) -> Item:
        return mixed_item(value, self._sources, self._sample_rate)

    def _sample_rate(self) -> int | None:
        """The rate of a bare array of samples: that of the audio model, as for an audio embedder."""
        route = self._routes.of((Modality.AUDIO,))
        if route.bridge is not None:
            return route.bridge.sample_rate
        intake = route.embedder._resolve().description.intake
        return None if intake is None else intake.sample_rate

    def _refuse_closed(self) -> None:
        if self._closed:
            raise ClosedError(f"{self!r} was closed")

    @staticmethod
    def _warned(call: MixedCall, result: MixedResult) -> MixedResult:
        """Warn, in the thread of the caller and at its line, of inputs that were cut."""
        for share, report in zip(call.shares.values(), result.reports.values(), strict=True):
            share.route.embedder._warn_of_truncation(report)
        return result
