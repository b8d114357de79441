"""The identity of a vector space: which vectors may be compared with which.

`Space.fingerprint` answers that from declarations. A `Canary`, kept with an index, answers it from
the vectors themselves. Neither says how fast or on what device vectors were made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from llm_multi_core.embedder.errors import IncompatibleSpacesError
from llm_multi_core.embedder.items import Modality
from llm_multi_core.embedder.probes import TEXTS, probes_of
from llm_multi_core.embedder.rows import FloatArray, Output, Rows

if TYPE_CHECKING:
    from llm_multi_core.embedder.embedders import BaseEmbedder

Score = Literal["cosine", "dot", "maxsim"]

PROBES = TEXTS
"""The fixed probe texts of a canary."""

SAME_SPACE_COSINE = 0.995
"""Two vectors of one probe are taken for the same model's from this cosine on; half precision and
other engines stay above 0.999, another model or another prompt falls well below."""


@dataclass(frozen=True, slots=True)
class Space:
    """A vector space.

    Attributes:
        name: identity of the model family: the hash of its weights (`"sha256:..."`), a hosted
            model's `"provider/model"`, or a name that several declare to share.
        dimension: components of a vector; for sparse output the vocabulary size.
        revision: version of the family where `name` does not already fix it.
        output: `"dense"`, `"multi"` (several vectors an item) or `"sparse"`.
        score: how two vectors are compared.
        options: settings that change the space (pooling, layer), as sorted name and value pairs.
        modalities: what can be embedded into it. Two or more make it a joint space. Not part of its
            identity.
        label: the name that people know the model by. Not part of its identity.
    """

    name: str
    dimension: int
    revision: str | None = None
    output: Output = "dense"
    score: Score = "cosine"
    options: tuple[tuple[str, str], ...] = ()
    modalities: frozenset[Modality] = field(default=frozenset({Modality.TEXT}), compare=False)
    label: str = field(default="", compare=False)

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits; equal fingerprints mean that vectors may be compared."""
        identity = [self.name, self.revision, self.dimension, self.output, self.score, sorted(self.options)]
        return sha256(json.dumps(identity, separators=(",", ":")).encode()).hexdigest()[:32]

    @property
    def is_joint(self) -> bool:
        """Whether several modalities share this space."""
        return len(self.modalities) > 1

    def cut(self, dimension: int) -> Space:
        """The space of this one's first `dimension` components."""
        return self if dimension == self.dimension else replace(self, dimension=dimension)

    def require_same(self, other: Space) -> None:
        """Raise unless vectors of the two spaces may be compared.

        Raises:
            IncompatibleSpacesError: naming both spaces and the ways out.
        """
        if self.fingerprint != other.fingerprint:
            raise IncompatibleSpacesError(
                f"vectors of two spaces cannot be compared: {self} and {other}. Embed both sides with the same "
                "model and dimensions, use one joint model for all modalities, or re-embed the index."
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a store's metadata; `from_dict` reads it back."""
        return {
            "fingerprint": self.fingerprint,
            "name": self.name,
            "dimension": self.dimension,
            "revision": self.revision,
            "output": self.output,
            "score": self.score,
            "options": [list(pair) for pair in self.options],
            "modalities": sorted(self.modalities),
            "label": self.label,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Space:
        """A space from `to_dict`'s data.

        Raises:
            IncompatibleSpacesError: if the data was altered: its fingerprint is not its own.
        """
        space = cls(
            name=data["name"],
            dimension=data["dimension"],
            revision=data["revision"],
            output=data["output"],
            score=data["score"],
            options=tuple((key, value) for key, value in data["options"]),
            modalities=frozenset(Modality(name) for name in data["modalities"]),
            label=data["label"],
        )
        if space.fingerprint != data["fingerprint"]:
            raise IncompatibleSpacesError(f"the stored description of {space} does not match its own fingerprint")
        return space

    def __str__(self) -> str:
        kind = "" if self.output == "dense" else f" {self.output}"
        return f"{self.label or self.name} ({self.dimension} d{kind}, {self.fingerprint[:8]})"


@dataclass(frozen=True, slots=True, eq=False)
class Canary:
    """The vectors of the fixed probes, to be kept with an index and checked when it is opened.

    It catches what a declaration cannot: a model swapped for another of the same dimension, a
    changed prompt, a provider's silent change. `vectors` is `(number of probes, d)`, embedded as
    documents.
    """

    fingerprint: str
    vectors: FloatArray

    @classmethod
    def take(cls, embedder: BaseEmbedder[Any]) -> Canary:
        """Embed the probes of an embedder's modality; its cache is not asked, since it may be older than the model."""
        fingerprint = embedder.space.fingerprint
        with embedder.uncached() as fresh:
            return cls(fingerprint, fresh.embed_batch(probes_of(embedder.modality), role="document"))

    def cosine(self, other: Canary) -> float:
        """The lowest cosine between the two canaries' vectors of one probe; 0.0 if the shapes differ."""
        if self.vectors.shape != other.vectors.shape:
            return 0.0
        a, b = (Rows(canary.vectors).normalize().values.astype(np.float64) for canary in (self, other))
        return float((a * b).sum(axis=1).min())

    def check(self, embedder: BaseEmbedder[Any]) -> float:
        """Raise unless `embedder` still makes these vectors; returns the lowest cosine.

        Raises:
            IncompatibleSpacesError: if any probe's cosine is below `SAME_SPACE_COSINE`.
        """
        cosine = self.cosine(Canary.take(embedder))
        if not cosine >= SAME_SPACE_COSINE:
            raise IncompatibleSpacesError(
                f"{embedder.space} does not make the vectors that this index holds: the probes agree only to a cosine "
                f"of {cosine:.4f} (at least {SAME_SPACE_COSINE} is needed). Open the index with the model, prompts and "
                "dimensions that filled it, or re-embed its documents."
            )
        return cosine

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a store's metadata; `from_dict` reads it back."""
        return {"fingerprint": self.fingerprint, "vectors": [[float(f"{x:.8g}") for x in row] for row in self.vectors]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Canary:
        """A canary from `to_dict`'s data."""
        return cls(data["fingerprint"], np.asarray(data["vectors"], np.float32))
