"""Scores and vectors of several modalities made comparable, for one top-k over a mixed index.

Even in a joint space each modality lies in a cone of its own, so that a text query is closer to any
text than to the right picture: the modality gap (Liang et al., 2022, "Mind the Gap"). A mixed top-k is
then all text. Two ways round it: judge a score by what is usual for its modality (z-scores), or take
each modality's mean out of its vectors before they are indexed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.analysis.quotas import Hit, merge_with_quotas
from llm_multi_core.embedder.analysis.vectors import DoubleArray, unit_rows, with_length_one
from llm_multi_core.embedder.errors import IncompatibleSpacesError, InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.frameworks import nearest
from llm_multi_core.embedder.rows import FloatArray

Id = TypeVar("Id", bound=Hashable)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ScoreStatistics:
    """Mean and standard deviation of the scores that queries have with documents of a modality."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, scores: npt.ArrayLike, modality: str) -> ScoreStatistics:
        """Those of scores of any shape.

        Raises:
            InvalidInputError: naming the modality, if the scores are not finite, fewer than 2 or all equal.
        """
        values = np.asarray(scores, np.float64)
        if not np.isfinite(values).all():
            raise InvalidInputError(f"a score of modality {modality!r} is not finite")
        if values.size < 2 or values.min() == values.max():
            raise InvalidInputError(
                f"the {values.size} scores of modality {modality!r} do not differ, so nothing can be told from them"
            )
        return cls(float(values.mean()), float(values.std()))


@dataclass(frozen=True, slots=True, eq=False)
class ModalityCalibration:
    """What is usual for each modality of an index.

    Attributes:
        statistics: by modality, of the scores of its documents.
        centers: by modality, the mean of its documents' vectors of length 1, `(d,)` float32; empty if it
            was fitted on scores.
    """

    statistics: Mapping[str, ScoreStatistics]
    centers: Mapping[str, FloatArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("statistics", "centers"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @classmethod
    def fit(cls, queries: npt.ArrayLike, documents_by_modality: Mapping[str, npt.ArrayLike]) -> ModalityCalibration:
        """From vectors: a sample of the queries to expect, and of each modality's documents.

        The cosines of all queries with all documents count, of which nearly all are of documents that
        do not answer: what is measured is the score of no relation.

        Args:
            queries: `(q, d)`.
            documents_by_modality: `(n, d)` by modality.

        Raises:
            InvalidInputError: if a vector is not finite or zero, or there are too few.
            IncompatibleSpacesError: if the dimensions differ.
        """
        asked = unit_rows(queries, "query vector")
        statistics, centers = {}, {}
        for name, documents in documents_by_modality.items():
            rows = unit_rows(documents, f"{name} vector")
            if rows.shape[1] != asked.shape[1]:
                raise IncompatibleSpacesError(
                    f"queries of {asked.shape[1]} dimensions cannot be compared with {name} vectors of {rows.shape[1]}"
                )
            statistics[name] = ScoreStatistics.of(asked @ rows.T, name)
            centers[name] = rows.mean(axis=0).astype(np.float32)
        return cls(statistics, centers)

    @classmethod
    def fit_scores(cls, scores_by_modality: Mapping[str, npt.ArrayLike]) -> ModalityCalibration:
        """From scores that a store gave for queries of no particular answer, of any shape, by modality.

        Raises:
            InvalidInputError: naming a modality whose scores are not finite, fewer than 2 or all equal.
        """
        return cls({name: ScoreStatistics.of(scores, name) for name, scores in scores_by_modality.items()})

    def calibrated(self, modality: str, scores: npt.ArrayLike) -> DoubleArray:
        """Scores of a modality in standard deviations above what is usual for it, in their shape.

        Raises:
            InvalidOptionError: for a modality that it was not fitted on.
        """
        usual = self._of(self.statistics, modality, "scores")
        shifted: DoubleArray = np.asarray(scores, np.float64) - usual.mean
        return shifted / usual.deviation

    def centered(self, modality: str, vectors: npt.ArrayLike) -> FloatArray:
        """Vectors `(n, d)` of a modality without its mean; see `mean_centered`.

        Raises:
            InvalidOptionError: for a modality that it was not fitted on, with vectors.
            InvalidInputError: if a vector is not finite, zero, or the mean itself.
        """
        return mean_centered(vectors, self._of(self.centers, modality, "vectors"))

    def merge(
        self,
        results_by_modality: Mapping[str, Sequence[tuple[Id, float]]],
        k: int,
        quotas: Mapping[str, int] | None = None,
    ) -> list[Hit[Id]]:
        """`merge_with_quotas` of the calibrated scores.

        Raises:
            InvalidInputError: for a score that is not finite.
            InvalidOptionError: for a modality that it was not fitted on, or quotas that do not fit.
        """
        calibrated = {
            name: list(
                zip(
                    [found for found, _ in results],
                    self.calibrated(name, [score for _, score in results]).tolist(),
                    strict=True,
                )
            )
            for name, results in results_by_modality.items()
        }
        return merge_with_quotas(calibrated, k, quotas)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a store's metadata; `from_dict` reads it back."""
        return {
            "statistics": {name: [usual.mean, usual.deviation] for name, usual in self.statistics.items()},
            "centers": {name: [float(f"{x:.8g}") for x in center] for name, center in self.centers.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModalityCalibration:
        """A calibration from `to_dict`'s data."""
        return cls(
            {name: ScoreStatistics(*usual) for name, usual in data["statistics"].items()},
            {name: np.asarray(center, np.float32) for name, center in data["centers"].items()},
        )

    def __reduce__(self) -> tuple[Callable[..., ModalityCalibration], tuple[Any, ...]]:
        return type(self), tuple(dict(getattr(self, item.name)) for item in fields(self))

    @staticmethod
    def _of(known: Mapping[str, T], modality: str, source: str) -> T:
        if modality not in known:
            listed = ", ".join(map(repr, known)) or "none"
            raise InvalidOptionError(
                f"modality {modality!r} was not among the {source} that this was fitted on ({listed})"
                + nearest(str(modality), list(known))
            )
        return known[modality]


def mean_centered(vectors: npt.ArrayLike, center: npt.ArrayLike | None = None) -> FloatArray:
    """Vectors brought to length 1, less their mean, and brought to length 1 again.

    With each modality's own mean taken out, the cones of a joint space lie over one another. Queries
    take the mean of queries of their own modality.

    Args:
        vectors: `(n, d)`.
        center: `(d,)`, the mean to take out; by default that of these vectors, of which there must then
            be several.

    Returns:
        `(n, d)` float32, of length 1.

    Raises:
        InvalidInputError: naming the first row that is not finite, zero, or the mean itself.
        IncompatibleSpacesError: if the mean has another dimension.
    """
    rows = unit_rows(vectors)
    mean = rows.mean(axis=0) if center is None and len(rows) else np.asarray(0.0 if center is None else center)
    if center is not None and mean.shape != rows.shape[1:]:
        raise IncompatibleSpacesError(f"a mean of shape {mean.shape} does not go with vectors of {rows.shape[1]}")
    shifted = rows - mean
    some = np.abs(shifted).max(axis=1) > 1e-9
    if not some.all():
        raise InvalidInputError(
            "the vector is the mean itself, without which it has no direction", index=int(np.argmin(some))
        )
    return with_length_one(shifted).astype(np.float32)
