"""`Stamp`: what an index keeps, to know again the embedder that filled it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from llm_multi_core.embedder.embedders import BaseEmbedder
from llm_multi_core.embedder.errors import IncompatibleSpacesError
from llm_multi_core.embedder.inputs.mixed import Image, Text, mixed_item
from llm_multi_core.embedder.inputs.sources import SourcePolicy
from llm_multi_core.embedder.items import Modality
from llm_multi_core.embedder.mixed_call import Manner, embed_along
from llm_multi_core.embedder.multimodal import MultiModalEmbedder
from llm_multi_core.embedder.probes import probes_of
from llm_multi_core.embedder.routes import Route
from llm_multi_core.embedder.rows import FloatArray
from llm_multi_core.embedder.spaces import SAME_SPACE_COSINE, Canary, Space

if TYPE_CHECKING:
    from typing import Self

VERSION = 1

_WRAPPERS: Mapping[Modality, Callable[[Any], Any]] = {Modality.TEXT: Text, Modality.IMAGE: Image}
"""For probes whose modality their type does not tell."""


@dataclass(frozen=True, slots=True, eq=False)
class Stamp:
    """The space of an index and, by modality, the vectors of fixed probes in it.

    The probes decide, since a model may be swapped, a prompt changed, an alignment fitted anew, or a
    provider's model replaced behind its name. Words for media are another matter: a small change of the
    arithmetic may change a word, and a provider's captions differ from day to day. Of a modality that
    goes over words it is kept what finds them, and the vectors of texts that take the rest of its way.

    Attributes:
        space: the space of the index.
        canaries: by modality the vectors of its probes, as documents.
        ways: how each modality comes into the space, in words, for those who read it.
        describers: by modality that goes over words, a hash of what finds them.
    """

    space: Space
    canaries: Mapping[Modality, Canary]
    ways: Mapping[str, str]
    describers: Mapping[Modality, str] = field(default_factory=dict)

    @classmethod
    def take(cls, embedder: BaseEmbedder[Any] | MultiModalEmbedder) -> Self:
        """The stamp of what an embedder fills: of one modality, or the joint space of several.

        Raises:
            IncompatibleSpacesError: if a multimodal embedder has no joint space.
        """
        space, routes = embedder.space, _routes(embedder)
        probed = {modality: _probed(route, modality) for modality, route in routes.items()}
        described = {modality: _describer(route) for modality, route in routes.items()}
        return cls(
            space,
            {modality: Canary(space.fingerprint, rows) for modality, rows in probed.items() if rows is not None},
            {str(modality): str(route) for modality, route in routes.items()},
            {modality: found for modality, found in described.items() if found is not None},
        )

    def check(self, embedder: BaseEmbedder[Any] | MultiModalEmbedder) -> float:
        """Raise unless `embedder` still makes the vectors that the index holds; returns the lowest cosine.

        Only modalities that both know are compared; at least one has to be.

        Raises:
            IncompatibleSpacesError: naming both spaces, the modality and what differs, and the ways out.
        """
        space, routes = embedder.space, _routes(embedder)
        held = {**self.canaries, **self.describers}
        common = [modality for modality in routes if modality in held]
        if not common:
            raise IncompatibleSpacesError(
                f"this index holds {' and '.join(held) or 'nothing'} in {self.space}; {space} embeds none of that"
            )
        if space.dimension != self.space.dimension:
            raise IncompatibleSpacesError(
                f"this index holds vectors of {self.space.dimension} dimensions, made by {self.space}, and {space} "
                f"makes {space.dimension}. Open it with the model and dimensions= that filled it, or embed its "
                "documents again."
            )
        return min(self._check(modality, routes[modality], space) for modality in common)

    def extended_by(self, other: Stamp) -> Self:
        """With the modalities of another stamp of the same space, which count where both know one."""
        return type(self)(
            other.space,
            {**self.canaries, **other.canaries},
            {**self.ways, **other.ways},
            {**self.describers, **other.describers},
        )

    def _check(self, modality: Modality, route: Route, space: Space) -> float:
        """The lowest cosine of a modality's probes; 1.0 if it has none."""
        if self.describers.get(modality) != _describer(route):
            raise self._mismatch(space, f"what puts {modality} into words is not the same: it is {route} now")
        rows = _probed(route, modality)
        canary = self.canaries.get(modality)
        if canary is None or rows is None:
            if space.fingerprint != self.space.fingerprint:
                raise self._mismatch(space, "they are not the same, and their probes tell nothing")
            return 1.0
        cosine = canary.cosine(Canary(space.fingerprint, rows))
        if not cosine >= SAME_SPACE_COSINE:
            raise self._mismatch(
                space,
                f"the probes for {modality} agree only to a cosine of {cosine:.4f} (at least {SAME_SPACE_COSINE} is "
                "needed)",
            )
        return cosine

    def _mismatch(self, space: Space, why: str) -> IncompatibleSpacesError:
        return IncompatibleSpacesError(
            f"this index was filled by {self.space} ({'; '.join(self.ways.values())}) and cannot be used with {space}: "
            f"{why}. Open it with the model, prompts, dimensions, alignment and bridge that filled it, or embed its "
            "documents again."
        )

    def to_json(self) -> str:
        """One line of JSON, for a store's metadata; `from_json` reads it back."""
        canaries = {str(modality): _packed(canary.vectors) for modality, canary in self.canaries.items()}
        return json.dumps(
            {
                "version": VERSION,
                "space": self.space.to_dict(),
                "canaries": canaries,
                "ways": dict(self.ways),
                "describers": dict(self.describers),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """A stamp from `to_json`'s text.

        Raises:
            IncompatibleSpacesError: if it is no stamp, was altered, or is of a later version.
        """
        try:
            data = json.loads(text)
            if data["version"] > VERSION:
                raise IncompatibleSpacesError(
                    f"the index holds a stamp of version {data['version']}; this library reads version {VERSION}: "
                    "pip install --upgrade llm-multi-core"
                )
            space = Space.from_dict(data["space"])
            canaries = {
                Modality(name): Canary(space.fingerprint, _unpacked(packed, space.dimension))
                for name, packed in data["canaries"].items()
            }
            described = {Modality(name): str(found) for name, found in data.get("describers", {}).items()}
            return cls(space, canaries, dict(data["ways"]), described)
        except IncompatibleSpacesError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IncompatibleSpacesError(
                f"the index holds a stamp that cannot be read ({type(error).__name__}: {error})"
            ) from None


def _routes(embedder: BaseEmbedder[Any] | MultiModalEmbedder) -> Mapping[Modality, Route]:
    """How each modality comes into the space of an index."""
    if isinstance(embedder, MultiModalEmbedder):
        return embedder.joint_routes()
    return {embedder.modality: Route(embedder)}


def _describer(route: Route) -> str | None:
    """A hash of what puts a modality into words; `None` where nothing does."""
    if route.bridge is not None:
        identity = dict(route.bridge.identity)
    elif route.embedder.via is not None:
        identity = {"model": route.embedder.model, **route.embedder._resolve().handle.encoder().identity()}
    else:
        return None
    return sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]


def _probed(route: Route, modality: Modality) -> FloatArray | None:
    """The vectors of a modality's probes; of texts where a bridge puts it into words.

    `None` for an embedder that does so itself. A cache is not asked, since it may be older than the model.
    """
    if route.embedder.via is not None:
        return None
    probed = Modality.TEXT if route.bridge is not None else modality
    wrap = _WRAPPERS.get(probed)
    probes = [wrap(probe) if wrap is not None else probe for probe in probes_of(probed)]
    items = [mixed_item(probe, SourcePolicy()) for probe in probes]
    with route.embedder.uncached() as fresh:
        return embed_along(Route(fresh, alignment=route.alignment), items, range(len(items)), Manner("document"))


def _packed(vectors: FloatArray) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(vectors, "<f4").tobytes()).decode()
    return {"shape": list(vectors.shape), "float32": data}


def _unpacked(packed: Mapping[str, Any], dimension: int) -> FloatArray:
    values = np.frombuffer(base64.b64decode(packed["float32"], validate=True), "<f4").astype(np.float32)
    vectors: FloatArray = values.reshape(packed["shape"])
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise ValueError(f"probes of shape {vectors.shape} in a space of {dimension} dimensions")
    return vectors
