"""`MultiModalEmbedder`: texts, images and recordings in one call, in the space of each or in one for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.analysis.similarity import cosine_similarity
from llm_multi_core.embedder.bridges import Bridge
from llm_multi_core.embedder.embedders import BaseEmbedder
from llm_multi_core.embedder.errors import EmbedderError, IncompatibleSpacesError, InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.inputs.compound import OVERLAP_SECONDS, WINDOW_SECONDS, segments
from llm_multi_core.embedder.inputs.mixed import Audio, Image, Text, mixed_item
from llm_multi_core.embedder.inputs.shapes import require_many
from llm_multi_core.embedder.inputs.sources import SourcePolicy
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.items import Item, Modality
from llm_multi_core.embedder.mixed_result import MixedResult, Similarity, join_via
from llm_multi_core.embedder.pipeline.call import OnError
from llm_multi_core.embedder.pipeline.report import EmbeddingResult, Failure, Report
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core.embedder.routes import Route, Routes
from llm_multi_core.embedder.rows import FloatArray
from llm_multi_core.embedder.spaces import Space

if TYPE_CHECKING:
    from llm_multi_core.embedder.analysis.alignment import Alignment

MIXED_WINDOW = 256
"""Inputs that a stream of mixed inputs holds at a time."""

_Target = Literal["native", "joint"]


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
        if not self._routes.modalities:
            raise InvalidOptionError("a multimodal embedder needs at least one framework")

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
        return self._native(Modality(modality)).space

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

    @property
    def joint_modalities(self) -> tuple[Modality, ...]:
        """The modalities that `embed_joint` takes."""
        space = self._routes.common_space()
        return () if space is None else tuple(m for m in self.modalities if self._routes.to(space, m) is not None)

    @property
    def dimension(self) -> int:
        """Components of a vector of `embed_joint`."""
        return self.space.dimension

    def ways(self) -> dict[str, str]:
        """How each modality comes into the joint space, in words; for the stamp of an index."""
        space = self._routes.common_space()
        found = {modality: self._routes.to(space, modality) if space else None for modality in self.modalities}
        return {str(modality): str(route) for modality, route in found.items() if route is not None}

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
        return self._run("native", xs, role, on_error, instruction, show_progress)

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
        return self._run("joint", xs, role, on_error, instruction, show_progress)

    def embed_joint_stream(
        self,
        iterable: Iterable[Any],
        role: str | None = None,
        window: int = MIXED_WINDOW,
        *,
        instruction: str | None = None,
    ) -> Iterator[FloatArray]:
        """The vectors of any number of inputs in the joint space, in blocks `(m, d)`, in bounded memory."""
        inputs = iter(iterable)
        while block := list(islice(inputs, window)):
            yield self.embed_joint(block, role, instruction=instruction)

    def similarity(self, a: Any, b: Any) -> Similarity:
        """The cosine of two inputs of any modalities, both in the symmetric role.

        Inputs of two modalities are compared in a space that both reach. The result is a float that
        also says in which `.space`, and over what (`.via`).

        Raises:
            IncompatibleSpacesError: if they reach no common space, with the ways to get one.
        """
        items = [self._item(value, index) for index, value in enumerate((a, b))]
        routes = self._routes.between(*(_modality(item) for item in items))
        ways = enumerate(zip(routes, items, strict=True))
        u, v = (self._along(route, [item], [index], None).vectors[0] for index, (route, item) in ways)
        return Similarity(cosine_similarity(u, v), routes[0].space, join_via([route.via for route in routes]))

    @staticmethod
    def similarity_of_vectors(u: npt.ArrayLike, v: npt.ArrayLike) -> float:
        """The cosine of two vectors `(d,)`, from -1 to 1."""
        return cosine_similarity(u, v)

    def segments(self, source: Any, *, seconds: float = WINDOW_SECONDS, overlap: float = OVERLAP_SECONDS) -> list[Item]:
        """The items of a source: pages of a PDF, overlapping windows of a long recording, else one; with spans."""
        return segments(source, seconds=seconds, overlap=overlap, policy=self._sources)

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
        return await self._arun("native", xs, role, on_error, instruction, show_progress)

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
        return await self._arun("joint", xs, role, on_error, instruction, show_progress)

    # Life.

    def uncached(self) -> Self:
        """Another embedder of the same models, without caches."""
        copy = type(self).__new__(type(self))
        routes = self._routes
        copy._routes = Routes(
            {modality: embedder.uncached() for modality, embedder in routes.embedders.items()},
            {modality: embedder.uncached() for modality, embedder in routes.joint.items()},
            routes.alignments,
            routes.bridges,
        )
        copy._sources = self._sources
        return copy

    def close(self) -> None:
        """Give all models back. Closing twice is harmless."""
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
        parts = [f"{modality}={embedder.framework!r}" for modality, embedder in self.embedders.items()]
        return f"{type(self).__name__}({', '.join(parts)})"

    # How it is done.

    def _run(
        self,
        target: _Target,
        xs: Iterable[Any],
        role: str | None,
        on_error: OnError,
        instruction: str | None,
        show_progress: bool,
    ) -> MixedResult:
        work = self._split(target, xs, on_error)

        def embed(share: _Share) -> EmbeddingResult:
            return self._along(share.route, share.items, share.positions, role, on_error, instruction, show_progress)

        return work.joined(_side_by_side(embed, work.shares))

    async def _arun(
        self,
        target: _Target,
        xs: Iterable[Any],
        role: str | None,
        on_error: OnError,
        instruction: str | None,
        show_progress: bool,
    ) -> MixedResult:
        import asyncio

        work = await runtime.in_thread(self._split, target, xs, on_error)

        async def embed(share: _Share) -> EmbeddingResult:
            route = share.route
            words, kept, failures = await runtime.in_thread(_in_words, route, share.items, share.positions, on_error)
            result = await route.embedder._arun_at(
                kept, words, role, on_error=on_error, instruction=instruction, show_progress=show_progress
            )
            return await runtime.in_thread(_finish, route, share.positions, kept, result, failures)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(embed(share)) for share in work.shares]
        return await runtime.in_thread(work.joined, [task.result() for task in tasks])

    def _along(
        self,
        route: Route,
        items: Sequence[Item],
        positions: Sequence[int],
        role: str | None,
        on_error: OnError = "raise",
        instruction: str | None = None,
        show_progress: bool = False,
    ) -> EmbeddingResult:
        """The vectors of items by a route; failures have the indices of `positions`."""
        words, kept, failures = _in_words(route, items, positions, on_error)
        result = route.embedder._run_at(
            kept, words, role, on_error=on_error, instruction=instruction, show_progress=show_progress
        )
        return _finish(route, positions, kept, result, failures)

    def _split(self, target: _Target, xs: Iterable[Any], on_error: OnError) -> _Work:
        """The inputs as items, by the route that each takes."""
        require_many(xs, Modality.TEXT, isinstance(xs, str | bytes | Text | Image | Audio | Item))
        routes: dict[tuple[Modality, ...], Route] = {}
        shares: dict[tuple[Modality, ...], _Share] = {}
        work = _Work([], {}, [])
        for index, value in enumerate(xs):
            try:
                item = self._item(value, index)
                if item.signature not in routes:
                    routes[item.signature] = self._route(target, item.signature)
            except InvalidInputError as error:
                told = error.at(index)
                if on_error == "raise":
                    raise told from error.__cause__
                work.failures.append(Failure(index, told))
                work.signatures.append(None)
                continue
            work.signatures.append(item.signature)
            share = shares.setdefault(item.signature, _Share(routes[item.signature], [], []))
            share.items.append(item)
            share.positions.append(index)
        work.by_signature.update(shares)
        return work

    def _item(self, value: Any, index: int) -> Item:
        try:
            return mixed_item(value, self._sources, self._sample_rate())
        except InvalidInputError as error:
            raise error.at(index) from error.__cause__

    def _sample_rate(self) -> int | None:
        """The rate of a bare array of samples: that of the audio model, as for an audio embedder."""
        route = self._routes.native(Modality.AUDIO)
        if route is None:
            return None
        if route.bridge is not None:
            return route.bridge.sample_rate
        intake = route.embedder._resolve().description.intake
        return None if intake is None else intake.sample_rate

    def _native(self, modality: Modality) -> Route:
        route = self._routes.native(modality)
        if route is None:
            raise InvalidInputError(f"no framework for {modality} was configured; pass {modality}_framework=")
        return route

    def _route(self, target: _Target, signature: tuple[Modality, ...]) -> Route:
        if len(set(signature)) > 1 or len(signature) > 1:
            return self._interleaving(target, signature)
        (modality,) = signature
        if target == "native":
            return self._native(modality)
        route = self._routes.to(self.space, modality)
        if route is None:
            self._native(modality)
            raise IncompatibleSpacesError(self._routes.explain_gap([*self.joint_modalities, modality]))
        return route

    def _interleaving(self, target: _Target, signature: tuple[Modality, ...]) -> Route:
        """The route of an item of several parts: an embedder that takes them together."""
        space = self.space if target == "joint" else None
        for embedder in (*self._routes.embedders.values(), *self._routes.joint.values()):
            description = embedder._resolve().description
            fits = set(signature) <= embedder.space.modalities and description.interleaves
            if fits and (space is None or embedder.space.fingerprint == space.fingerprint):
                return Route(embedder)
        raise InvalidInputError(f"no framework that was configured takes {' and '.join(signature)} in one item")


@dataclass(slots=True)
class _Share:
    """The items that take one route, and where they stand among the inputs."""

    route: Route
    items: list[Item]
    positions: list[int]


@dataclass(slots=True)
class _Work:
    """The inputs of a call, split by route."""

    signatures: list[tuple[Modality, ...] | None]
    by_signature: dict[tuple[Modality, ...], _Share]
    failures: list[Failure]

    @property
    def shares(self) -> list[_Share]:
        return list(self.by_signature.values())

    def joined(self, results: Sequence[EmbeddingResult]) -> MixedResult:
        """The results of the shares, put back into the order of the inputs."""
        count = len(self.signatures)
        dimensions = {result.vectors.shape[1] for result in results}
        blank: FloatArray = np.full(dimensions.pop() if len(dimensions) == 1 else 0, np.nan, np.float32)
        vectors: list[FloatArray] = [blank] * count
        spaces: list[Space | None] = [None] * count
        via: list[str | None] = [None] * count
        failures, reports = list(self.failures), dict[Modality, Report]()
        for share, result in zip(self.shares, results, strict=True):
            failures += result.failures
            failed = {failure.index for failure in result.failures}
            reports[share.items[0].signature[0]] = result.report
            for position, vector in zip(share.positions, result.vectors, strict=True):
                vectors[position] = vector
                spaces[position] = None if position in failed else share.route.space
                via[position] = None if position in failed else share.route.via
        modalities = [signature[0] if signature else None for signature in self.signatures]
        failures.sort(key=lambda failure: failure.index)
        return MixedResult(vectors, spaces, modalities, via, failures, reports)


def _modality(item: Item) -> Modality:
    if len(item.parts) != 1:
        raise InvalidInputError("an item of several parts has no one modality; compare vectors of embed_joint")
    return item.signature[0]


def _side_by_side(function: Callable[[_Share], EmbeddingResult], shares: Sequence[_Share]) -> list[EmbeddingResult]:
    """The function of every share, each in a thread of its own where there are several."""
    if len(shares) < 2:
        return [function(share) for share in shares]
    with ThreadPoolExecutor(len(shares), thread_name_prefix="llm-multi-core-mixed") as threads:
        return list(threads.map(function, shares))


def _in_words(
    route: Route, items: Sequence[Item], positions: Sequence[int], on_error: OnError
) -> tuple[list[Item], list[int], list[Failure]]:
    """What a route's embedder is to embed: the items, or the words for them; where they stand; what has no words."""
    if route.bridge is None:
        return list(items), list(positions), []
    words: list[Item] = []
    kept: list[int] = []
    failures: list[Failure] = []
    for item, position, text in zip(items, positions, route.bridge.texts(items), strict=True):
        if isinstance(text, EmbedderError):
            error = text.at(position) if isinstance(text, InvalidInputError) else text
            if on_error == "raise":
                raise error
            failures.append(Failure(position, error))
        else:
            words.append(replace(text_item(text), span=item.span))
            kept.append(position)
    return words, kept, failures


def _finish(
    route: Route, positions: Sequence[int], kept: Sequence[int], result: EmbeddingResult, failures: list[Failure]
) -> EmbeddingResult:
    """Carry vectors over the route's alignment, and put blanks where an item had no words."""
    vectors = result.vectors
    if route.alignment is not None:
        ok = result.ok
        carried: FloatArray = np.full((len(vectors), route.space.dimension), np.nan, np.float32)
        if ok.any():
            carried[ok] = route.alignment.apply(vectors[ok])
        vectors = carried
    result.report.failures.extend(failures)
    if len(kept) < len(positions):
        whole: FloatArray = np.full((len(positions), vectors.shape[1]), np.nan, np.float32)
        whole[np.isin(np.asarray(positions), np.asarray(kept))] = vectors
        vectors = whole
    return EmbeddingResult(vectors, result.report)
