"""`Alignment`: a fitted map between two spaces, with what is known of how good it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.analysis.alignment.pairs import distinct
from llm_multi_core.embedder.analysis.records import load_record, save_record
from llm_multi_core.embedder.analysis.retrieval import median_rank, ranks_of, recall_at_k
from llm_multi_core.embedder.analysis.vectors import unit_rows, with_length_one
from llm_multi_core.embedder.errors import IncompatibleSpacesError, InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.rows import FloatArray
from llm_multi_core.embedder.spaces import Space

if TYPE_CHECKING:
    from llm_multi_core.embedder.embedders import BaseEmbedder

AlignmentMethod: TypeAlias = Literal["ridge", "procrustes", "cca"]

_KIND = "alignment"
_ARRAYS = ("matrix", "source_offset", "target_offset")


@dataclass(frozen=True, slots=True)
class AlignmentScore:
    """How well mapped sources find their partners among the targets of the same pairs.

    Attributes:
        pairs: pairs that were scored.
        candidates: distinct targets among which each partner was sought; a recall says little where
            they are few.
        recall_at_1: share of the sources whose partner comes first.
        recall_at_5: whose partner is among the first five.
        recall_at_10: among the first ten.
        median_rank: median of the partners' ranks, from 1.
        mean_cosine: mean cosine of mapped source and partner.
    """

    pairs: int
    candidates: int
    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    median_rank: float
    mean_cosine: float

    def __str__(self) -> str:
        return (
            f"recall@1 {self.recall_at_1:.2f}, @5 {self.recall_at_5:.2f}, @10 {self.recall_at_10:.2f}, median rank "
            f"{self.median_rank:g} of {self.candidates}, mean cosine {self.mean_cosine:.3f} ({self.pairs} pairs)"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """A linear map that carries vectors of one space into another.

    `y = (x - source_offset) matrix + target_offset`, where `x` is a source vector of length 1; `y` is
    brought to length 1 again. Made by `Alignment.fit`, `fit_alignment` or `Alignment.load`. Two are
    equal if they map alike between the same spaces. The arrays cannot be written to.

    Attributes:
        source: where vectors come from.
        target: where they are carried.
        matrix: `(d_s, d_t)` float32.
        source_offset: `(d_s,)` float32.
        target_offset: `(d_t,)` float32.
        method: how the map was found.
        pairs: pairs that it was fitted on.
        alpha: the strength of regularisation that was chosen, if the method has one.
        components: the number of canonical variates, if the method has one.
        held_out: its score on pairs that were kept from the fit, if there were any.
    """

    source: Space
    target: Space
    matrix: FloatArray
    source_offset: FloatArray
    target_offset: FloatArray
    method: AlignmentMethod
    pairs: int
    alpha: float | None = None
    components: int | None = None
    held_out: AlignmentScore | None = None

    def __post_init__(self) -> None:
        rows, columns = self.source.dimension, self.target.dimension
        for space in (self.source, self.target):
            if space.output != "dense":
                raise InvalidOptionError(f"{space} has no dense vectors, which an alignment maps")
        for name, shape in zip(_ARRAYS, ((rows, columns), (rows,), (columns,)), strict=True):
            array = np.array(getattr(self, name), np.float32)  # a copy, so that nobody else can write to it
            if array.shape != shape or not np.isfinite(array).all():
                raise InvalidOptionError(
                    f"{name} of an alignment from {self.source} to {self.target} must be finite and of shape {shape}, "
                    f"not {array.shape}"
                )
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @classmethod
    def fit(
        cls,
        source_embedder: BaseEmbedder[Any],
        target_embedder: BaseEmbedder[Any],
        pairs: Iterable[tuple[Any, Any]],
        method: AlignmentMethod = "ridge",
        *,
        held_out: float = 0.2,
        seed: int = 0,
        alphas: Sequence[float] | None = None,
        components: int | None = None,
        groups: Sequence[Hashable] | None = None,
        show_progress: bool = False,
    ) -> Alignment:
        """Embed both sides of pairs, as documents, and fit a map from the first to the second.

        Args:
            source_embedder: for the first of each pair, such as a picture.
            target_embedder: for the second, such as its caption.
            pairs: `(source, target)`, at least 2, and better some hundreds.
            method: `"ridge"`, `"procrustes"` or `"cca"`; see `fit_alignment`.
            held_out: share of the pairs that is kept from the fit; the map's score on them is its
                `held_out`. Pairs that share an input are kept or held out together.
            seed: of the draw of those; the same seed gives the same map.
            alphas: see `fit_alignment`.
            components: see `fit_alignment`.
            groups: see `fit_alignment`.
            show_progress: draw progress bars on standard error.

        Raises:
            InvalidInputError: naming a pair that is none, or an input that cannot be embedded.
            InvalidOptionError: for a setting that does not exist or does not go with the method.
            EncodingError: if a model or provider failed.
            FrameworkUnavailableError: if scikit-learn or scipy is missing.
        """
        from llm_multi_core.embedder.analysis.alignment.fitting import fit_from_inputs

        return fit_from_inputs(
            source_embedder,
            target_embedder,
            pairs,
            method,
            held_out=held_out,
            seed=seed,
            alphas=alphas,
            components=components,
            groups=groups,
            show_progress=show_progress,
        )

    def apply(self, vectors: npt.ArrayLike) -> FloatArray:
        """Carry vectors of the source space into the target space.

        Args:
            vectors: `(n, d_s)`, of any length but zero.

        Returns:
            `(n, d_t)` float32, of length 1.

        Raises:
            InvalidInputError: naming the first row that is not finite, zero, or mapped to zero.
            IncompatibleSpacesError: if they do not have the source space's dimension.
        """
        rows = unit_rows(vectors, "source vector", self.source)
        mapped = (rows - self.source_offset) @ self.matrix.astype(np.float64) + self.target_offset
        some = mapped.any(axis=1)
        if not some.all():
            raise InvalidInputError("the source vector is mapped to zero", index=int(np.argmin(some)))
        return with_length_one(mapped).astype(np.float32)

    def score(self, source_vectors: npt.ArrayLike, target_vectors: npt.ArrayLike) -> AlignmentScore:
        """How well the map does on other pairs, `(n, d_s)` and `(n, d_t)`.

        Equal targets count as one candidate, so that a caption of several pictures is not sought twice.

        Raises:
            InvalidInputError: if the sides differ in length, are empty, not finite or zero.
            IncompatibleSpacesError: if they do not have their space's dimension.
        """
        mapped = self.apply(source_vectors)
        targets = unit_rows(target_vectors, "target vector", self.target)
        if len(mapped) != len(targets) or not len(mapped):
            raise InvalidInputError(f"{len(mapped)} source vectors and {len(targets)} target vectors are not pairs")
        first, own = distinct(targets)
        ranks = ranks_of(mapped, targets[first], own)
        return AlignmentScore(
            pairs=len(mapped),
            candidates=len(first),
            recall_at_1=recall_at_k(ranks, 1),
            recall_at_5=recall_at_k(ranks, 5),
            recall_at_10=recall_at_k(ranks, 10),
            median_rank=median_rank(ranks),
            mean_cosine=float((mapped * targets).sum(axis=1).mean()),
        )

    def with_score(self, source_vectors: npt.ArrayLike, target_vectors: npt.ArrayLike) -> Alignment:
        """The same map with its score on these pairs as `held_out`; they must not be among those fitted on."""
        return replace(self, held_out=self.score(source_vectors, target_vectors))

    def require(self, source: Space, target: Space | None = None) -> None:
        """Raise unless the map is one from `source`, and into `target` if that is given.

        Raises:
            IncompatibleSpacesError: naming both spaces and the way out.
        """
        for wanted, given, does in ((self.source, source, "takes"), (self.target, target, "makes")):
            if given is not None and wanted.fingerprint != given.fingerprint:
                raise IncompatibleSpacesError(
                    f"the alignment {does} vectors of {wanted}, not of {given}. Use the embedders that it was fitted "
                    "with, or fit another with Alignment.fit(source_embedder, target_embedder, pairs)."
                )

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits; equal for maps that are alike, between the same spaces."""
        digest = sha256((self.source.fingerprint + self.target.fingerprint).encode())
        for name in _ARRAYS:
            digest.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return digest.hexdigest()[:32]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the map and both spaces to a safetensors file; `load` reads it back.

        Raises:
            FrameworkUnavailableError: if safetensors is missing.
            OSError: if the file cannot be written.
        """
        record = {
            "source": self.source.to_dict(),
            "target": self.target.to_dict(),
            "method": self.method,
            "pairs": self.pairs,
            "alpha": self.alpha,
            "components": self.components,
            "held_out": None if self.held_out is None else asdict(self.held_out),
        }
        save_record(path, _KIND, record, {name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Alignment:
        """An alignment from a file that `save` wrote.

        Raises:
            ModelLoadError: if there is no such file, it holds something else, or it was damaged or altered.
            FrameworkUnavailableError: if safetensors is missing.
        """
        return load_record(path, _KIND, cls._built)

    @classmethod
    def _built(cls, record: dict[str, Any], arrays: dict[str, FloatArray]) -> Alignment:
        held_out = record["held_out"]
        return cls(
            source=Space.from_dict(record["source"]),
            target=Space.from_dict(record["target"]),
            matrix=arrays["matrix"],
            source_offset=arrays["source_offset"],
            target_offset=arrays["target_offset"],
            method=record["method"],
            pairs=record["pairs"],
            alpha=record["alpha"],
            components=record["components"],
            held_out=None if held_out is None else AlignmentScore(**held_out),
        )

    def __eq__(self, other: object) -> bool:
        return self.fingerprint == other.fingerprint if isinstance(other, Alignment) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __reduce__(self) -> tuple[Callable[..., Alignment], tuple[Any, ...]]:
        # Through the constructor, which makes the arrays read-only again.
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

    def __repr__(self) -> str:
        held_out = "" if self.held_out is None else f"; held out: {self.held_out}"
        return f"<Alignment {self.source} -> {self.target}, {self.method} on {self.pairs} pairs{held_out}>"
