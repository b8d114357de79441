"""Ways from a modality into a space: directly, over words, over an alignment. Decides; embeds nothing.

A vector of one modality can be compared with one of another only in a space that both reach. Which
one that is follows from what was configured, never from the inputs of a call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder.bridges import Bridge
from llm_multi_core.embedder.embedders import BaseEmbedder
from llm_multi_core.embedder.errors import IncompatibleSpacesError, InvalidInputError
from llm_multi_core.embedder.items import Modality
from llm_multi_core.embedder.spaces import Space

if TYPE_CHECKING:
    from llm_multi_core.embedder.analysis.alignment import Alignment

_IN_ORDER = (Modality.TEXT, Modality.IMAGE, Modality.AUDIO)


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A way from a modality into a space.

    Attributes:
        embedder: what embeds the input, or the words for it.
        bridge: what puts the input into words first.
        alignment: what carries the vector from the embedder's space into another.
    """

    embedder: BaseEmbedder[Any]
    bridge: Bridge | None = None
    alignment: Alignment | None = None

    @property
    def space(self) -> Space:
        """Where it ends."""
        return self.embedder.space if self.alignment is None else self.alignment.target

    @property
    def via(self) -> str | None:
        """How it goes: `"caption"`, `"transcript"`, `"alignment"`, joined by `+`; `None` where it is direct."""
        own = self.bridge.via if self.bridge is not None else self.embedder.via
        steps = [step for step in (own, "alignment" if self.alignment is not None else None) if step]
        return " + ".join(steps) or None

    @property
    def identity(self) -> list[Any]:
        """Everything that can change a vector that comes this way, as plain data; no model is loaded."""
        settings = self.embedder._settings
        cut = settings.truncation in ("warn", "truncate")  # which differ in what they say only
        return [
            self.embedder.encoder_id,
            self.embedder.dimension,
            settings.normalize,
            "cut" if cut else settings.truncation,
            None if self.bridge is None else dict(self.bridge.identity),
            None if self.alignment is None else self.alignment.fingerprint,
        ]

    def __str__(self) -> str:
        over = f" over {self.bridge.name}" if self.bridge is not None else ""
        return f"{self.embedder.framework} model {self.embedder.model!r}{over}" + (
            f", aligned to {self.alignment.target}" if self.alignment is not None else ""
        )


class Routes:
    """All ways that were configured.

    Args:
        embedders: the embedder of each modality.
        joint: those of a framework that embeds several modalities into one space.
        alignments: maps between spaces.
        bridges: what puts a modality into words.
    """

    def __init__(
        self,
        embedders: Mapping[Modality, BaseEmbedder[Any]],
        joint: Mapping[Modality, BaseEmbedder[Any]],
        alignments: Sequence[Alignment],
        bridges: Mapping[Modality, Bridge],
    ) -> None:
        self.embedders = embedders
        self.joint = joint
        self.alignments = tuple(alignments)
        self.bridges = bridges

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What can be embedded at all."""
        known = {*self.embedders, *self.joint, *self.bridges}
        return tuple(modality for modality in _IN_ORDER if modality in known)

    def native(self, modality: Modality) -> Route | None:
        """The way by the modality's own embedder, else the joint framework's, else over words."""
        return next(self.all_from(modality), None)

    def all_from(self, modality: Modality) -> Iterator[Route]:
        """Every way from a modality, the most direct first."""
        for route in self._unbridged(modality):
            yield route
        bridge = self.bridges.get(modality)
        if bridge is not None:
            for route in self._unbridged(Modality.TEXT):
                yield Route(route.embedder, bridge, route.alignment)

    def to(self, space: Space, modality: Modality) -> Route | None:
        """The most direct way from a modality into a space, if there is one."""
        wanted = space.fingerprint
        return next((route for route in self.all_from(modality) if route.space.fingerprint == wanted), None)

    def between(self, first: Modality, second: Modality) -> tuple[Route, Route]:
        """Ways from two modalities into one space: the joint one if both reach it, else the first that they share.

        Raises:
            IncompatibleSpacesError: if there is none, with the ways to get one.
        """
        own, other = self.native(first), self.native(second)
        if own is not None and other is not None and own.space.fingerprint == other.space.fingerprint:
            return own, other
        earlier = min(first, second, key=_IN_ORDER.index)  # so that the order of the two does not matter
        for space in filter(None, (self.common_space(), *(route.space for route in self.all_from(earlier)))):
            own, other = self.to(space, first), self.to(space, second)
            if own is not None and other is not None:
                return own, other
        raise IncompatibleSpacesError(self.explain_gap([first, second]))

    def common_space(self) -> Space | None:
        """The space that most modalities reach, at least two; the joint framework's before text's before others."""
        candidates: dict[str, Space] = {}
        for modality in _IN_ORDER:
            for space in (joint.space for joint in (self.joint.get(modality),) if joint is not None):
                candidates.setdefault(space.fingerprint, space)
        for modality in _IN_ORDER:
            for route in self.all_from(modality):
                candidates.setdefault(route.space.fingerprint, route.space)
        reached = {
            key: sum(self.to(space, modality) is not None for modality in self.modalities)
            for key, space in candidates.items()
        }
        best = max(reached, key=lambda key: reached[key], default=None)  # the first of equals
        enough = best is not None and (reached[best] > 1 or len(self.modalities) == 1)
        return candidates[best] if best is not None and enough else None

    def of(self, signature: tuple[Modality, ...], space: Space | None = None) -> Route:
        """The way of items of these parts: into a space, or by default into that of their modality.

        Raises:
            InvalidInputError: if nothing that was configured takes them.
            IncompatibleSpacesError: if they do not reach the space, with the ways to get there.
        """
        if len(signature) != 1:
            return self._of_several(signature, space)
        (modality,) = signature
        own = self.native(modality)
        if own is None:
            raise InvalidInputError(f"no framework for {modality} was configured; pass {modality}_framework=")
        if space is None:
            return own
        route = self.to(space, modality)
        if route is None:
            joined = [known for known in self.modalities if self.to(space, known) is not None]
            raise IncompatibleSpacesError(self.explain_gap([*joined, modality]))
        return route

    def _of_several(self, signature: tuple[Modality, ...], space: Space | None) -> Route:
        """The way of an item of several parts: by an embedder that takes them together."""
        if not signature:
            raise InvalidInputError("the item has no parts")
        for embedder in (*self.embedders.values(), *self.joint.values()):
            fits = set(signature) <= embedder.space.modalities and embedder._resolve().description.interleaves
            if fits and (space is None or embedder.space.fingerprint == space.fingerprint):
                return Route(embedder)
        held = " and ".join(dict.fromkeys(signature))
        into = f" into {space}" if space is not None else ""
        raise InvalidInputError(f"no framework that was configured takes {held} in one item{into}")

    def explain_gap(self, modalities: Sequence[Modality]) -> str:
        """Why vectors of modalities cannot be compared, and what to do about it."""
        ends = []
        for modality in dict.fromkeys(modalities):
            route = self.native(modality)
            ends.append(f"{modality} goes to {route.space}" if route is not None else f"{modality} has no embedder")
        return (
            f"{' and '.join(dict.fromkeys(map(str, modalities)))} share no space: {'; '.join(ends)}. Pass "
            "joint_framework= with a model that embeds both (such as 'clip' for text and images, 'clap' for text and "
            "audio), alignment= fitted from paired examples (Alignment.fit of llm_multi_core.embedder.analysis), or "
            "bridge={'image': 'caption', 'audio': 'transcript'}, which goes over words"
        )

    def _unbridged(self, modality: Modality) -> Iterator[Route]:
        embedders = [table[modality] for table in (self.embedders, self.joint) if modality in table]
        for embedder in embedders:
            yield Route(embedder)
        for embedder in embedders:
            for alignment in self.alignments:
                if alignment.source.fingerprint == embedder.space.fingerprint:
                    yield Route(embedder, alignment=alignment)
