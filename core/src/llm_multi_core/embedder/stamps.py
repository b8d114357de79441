"""`Stamp`: what an index keeps, to know again the embedder that filled it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from llm_multi_core.embedder.embedders import BaseEmbedder
from llm_multi_core.embedder.errors import IncompatibleSpacesError
from llm_multi_core.embedder.items import Modality
from llm_multi_core.embedder.multimodal import MultiModalEmbedder
from llm_multi_core.embedder.probes import probes_of
from llm_multi_core.embedder.rows import FloatArray
from llm_multi_core.embedder.spaces import SAME_SPACE_COSINE, Canary, Space

if TYPE_CHECKING:
    from typing import Self

VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class Stamp:
    """The space of an index and, by modality, the vectors of fixed probes in it.

    The declared space is compared first, for a clear message; the probes decide, since a model may be
    swapped, a prompt changed, an alignment fitted anew, or a provider's model replaced behind its name.

    Attributes:
        space: the space of the index.
        canaries: by modality the vectors of its probes, as documents.
        ways: how each modality comes into the space, in words, for those who read it.
    """

    space: Space
    canaries: Mapping[Modality, Canary]
    ways: Mapping[str, str]

    @classmethod
    def take(cls, embedder: BaseEmbedder[Any] | MultiModalEmbedder) -> Self:
        """The stamp of what an embedder fills: of one modality, or the joint space of several.

        Raises:
            IncompatibleSpacesError: if a multimodal embedder has no joint space.
        """
        space = embedder.space
        canaries = {modality: Canary(space.fingerprint, _vectors(embedder, modality)) for modality in _served(embedder)}
        if isinstance(embedder, MultiModalEmbedder):
            return cls(space, canaries, embedder.ways())
        return cls(space, canaries, {str(embedder.modality): f"{embedder.framework} model {embedder.model!r}"})

    def check(self, embedder: BaseEmbedder[Any] | MultiModalEmbedder) -> float:
        """Raise unless `embedder` still makes the vectors that the index holds; returns the lowest cosine.

        Only modalities that both know are compared; at least one has to be.

        Raises:
            IncompatibleSpacesError: naming both spaces, the modality and the cosine, and the ways out.
        """
        space = embedder.space
        common = [modality for modality in _served(embedder) if modality in self.canaries]
        if not common:
            raise IncompatibleSpacesError(
                f"this index holds {' and '.join(self.canaries)} in {self.space}; {space} embeds none of that"
            )
        if space.dimension != self.space.dimension:
            raise IncompatibleSpacesError(
                f"this index holds vectors of {self.space.dimension} dimensions, made by {self.space}, and {space} "
                f"makes {space.dimension}. Open it with the model and dimensions= that filled it, or embed its "
                "documents again."
            )
        lowest = 1.0
        for modality in common:
            cosine = self.canaries[modality].cosine(Canary(space.fingerprint, _vectors(embedder, modality)))
            if not cosine >= SAME_SPACE_COSINE:
                raise IncompatibleSpacesError(
                    f"this index was filled by {self.space} ({'; '.join(self.ways.values())}) and cannot be used with "
                    f"{space}: the probes for {modality} agree only to a cosine of {cosine:.4f} (at least "
                    f"{SAME_SPACE_COSINE} is needed). Open it with the model, prompts, dimensions and alignment that "
                    "filled it, or embed its documents again."
                )
            lowest = min(lowest, cosine)
        return lowest

    def to_json(self) -> str:
        """One line of JSON, for a store's metadata; `from_json` reads it back."""
        canaries = {str(modality): _packed(canary.vectors) for modality, canary in self.canaries.items()}
        return json.dumps(
            {"version": VERSION, "space": self.space.to_dict(), "canaries": canaries, "ways": dict(self.ways)}
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """A stamp from `to_json`'s text.

        Raises:
            IncompatibleSpacesError: if it is no stamp, or was altered.
        """
        try:
            data = json.loads(text)
            space = Space.from_dict(data["space"])
            canaries = {
                Modality(name): Canary(space.fingerprint, _unpacked(packed))
                for name, packed in data["canaries"].items()
            }
            return cls(space, canaries, dict(data["ways"]))
        except IncompatibleSpacesError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IncompatibleSpacesError(
                f"the index holds a stamp that cannot be read ({type(error).__name__}: {error})"
            ) from None


def _served(embedder: BaseEmbedder[Any] | MultiModalEmbedder) -> tuple[Modality, ...]:
    return embedder.joint_modalities if isinstance(embedder, MultiModalEmbedder) else (embedder.modality,)


def _vectors(embedder: BaseEmbedder[Any] | MultiModalEmbedder, modality: Modality) -> FloatArray:
    """The probes' vectors, without asking a cache, which may be older than the model."""
    probes = probes_of(modality)
    if isinstance(embedder, MultiModalEmbedder):
        from llm_multi_core.embedder.inputs.mixed import Image

        wrapped = [Image(probe) for probe in probes] if modality is Modality.IMAGE else probes
        with embedder.uncached() as fresh:
            return fresh.embed_joint(wrapped, role="document")
    return Canary.take(embedder).vectors


def _packed(vectors: FloatArray) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(vectors, "<f4").tobytes()).decode()
    return {"shape": list(vectors.shape), "float32": data}


def _unpacked(packed: Mapping[str, Any]) -> FloatArray:
    values = np.frombuffer(base64.b64decode(packed["float32"]), "<f4").astype(np.float32)
    vectors: FloatArray = values.reshape(packed["shape"])
    return vectors
