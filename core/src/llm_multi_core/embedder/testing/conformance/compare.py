"""Comparing rows of any kind: by cosine and by the largest absolute difference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Self

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.rows import Rows

LOWEST_COSINE = 0.999
LARGEST_ERROR = 0.05
CONTROL_COSINE = 0.99

Vectors = npt.NDArray[np.float64]
"""The vectors of one item, `(k, d)`: one if dense or sparse, several if multi-vector."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two vectors of the same input may lie apart.

    Attributes:
        cosine: the lowest cosine; never below 0.999.
        error: the largest absolute difference of a component, as a share of the vector's length;
            never above 0.05.
    """

    cosine: float = 0.9999
    error: float = 0.015

    def __post_init__(self) -> None:
        if not LOWEST_COSINE <= self.cosine <= 1:
            raise ValueError(f"a cosine of {self.cosine} is outside the kit's bounds, {LOWEST_COSINE} to 1")
        if not 0 <= self.error <= LARGEST_ERROR:
            raise ValueError(f"an error of {self.error} is outside the kit's bounds, 0 to {LARGEST_ERROR}")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike the vectors of two items are.

    Attributes:
        cosine: the lowest cosine of two vectors in the same place; 0 if their numbers differ.
        error: the largest absolute difference of a component.
        relative: that difference as a share of the longest vector.
    """

    cosine: float
    error: float
    relative: float

    def within(self, tolerance: Tolerance) -> bool:
        """Whether the two are the same, as far as the tolerance goes; NaN never is."""
        return self.cosine >= tolerance.cosine and self.relative <= tolerance.error

    @classmethod
    def worst(cls, found: Iterable[Agreement]) -> Self:
        """The lowest cosine and the largest errors of several."""
        figures = [(entry.cosine, entry.error, entry.relative) for entry in found]
        cosines, errors, relatives = zip((1.0, 0.0, 0.0), *figures, strict=True)
        return cls(min(cosines), max(errors), max(relatives))

    def __str__(self) -> str:
        return f"cosine {self.cosine:.6f}, maximum absolute error {self.error:.3g}"


def vectors_of(rows: Rows, dimension: int) -> list[Vectors]:
    """The vectors of each row; sparse ones are spread over the `dimension` of the vocabulary."""
    if rows.offsets is None:
        return [row[None].astype(np.float64) for row in rows.values]
    spans = list(zip(rows.offsets[:-1], rows.offsets[1:], strict=True))
    if rows.indices is None:
        return [rows.values[start:end].astype(np.float64) for start, end in spans]
    spread = [np.zeros((1, dimension)) for _ in spans]
    for vector, (start, end) in zip(spread, spans, strict=True):
        np.add.at(vector[0], rows.indices[start:end], rows.values[start:end])
    return spread


def agreement(left: Vectors, right: Vectors) -> Agreement:
    """How alike the vectors of two items are."""
    if left.shape != right.shape:
        return Agreement(0.0, float("inf"), float("inf"))
    if not left.size:
        return Agreement(1.0, 0.0, 0.0)
    lengths = np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1)
    product = lengths[0] * lengths[1]
    same = (left == right).all(axis=1)  # also two zero vectors, which have no cosine
    cosines = np.divide((left * right).sum(axis=1), product, out=same.astype(np.float64), where=product > 0)
    error = float(np.abs(left - right).max())
    longest = float(max(length.max() for length in lengths))
    return Agreement(float(cosines.min()), error, error / longest if longest > 0 else error)


def assert_same(actual: Sequence[Vectors], expected: Sequence[Vectors], tolerance: Tolerance, claim: str) -> Agreement:
    """Fail unless both hold the same vectors, item by item.

    Returns:
        How alike they are at worst.
    """
    assert len(actual) == len(expected), f"{claim}: {len(actual)} rows where {len(expected)} are due"
    found = [agreement(*pair) for pair in zip(actual, expected, strict=True)]
    for place, entry in enumerate(found):
        assert entry.within(tolerance), (
            f"{claim}: row {place} differs ({entry}; at least cosine {tolerance.cosine} and at most "
            f"{tolerance.error:g} of the vector's length as error are due){_likeness(actual[place], expected, place)}"
        )
    return Agreement.worst(found)


def assert_changed(actual: Sequence[Vectors], before: Sequence[Vectors], tolerance: Tolerance, claim: str) -> None:
    """Fail unless some item's vectors differ from what they were."""
    assert len(actual) == len(before), f"{claim}: {len(actual)} rows where {len(before)} are due"
    found = [agreement(*pair) for pair in zip(actual, before, strict=True)]
    assert not all(entry.within(tolerance) for entry in found), (
        f"{claim}: all vectors stay the same (at most {min(found, key=lambda entry: entry.cosine)})"
    )


def assert_distinct(vectors: Sequence[Vectors], tolerance: Tolerance) -> None:
    """Fail unless rows of different items can be told apart, so that other comparisons mean something."""
    lowest = Agreement(1.0, 0.0, 0.0)
    for (i, left), (j, right) in combinations(enumerate(vectors), 2):
        found = agreement(left, right)
        assert found.cosine < tolerance.cosine, f"different samples {i} and {j} have one vector ({found})"
        lowest = min(lowest, found, key=lambda entry: entry.cosine)
    assert lowest.cosine < CONTROL_COSINE, (
        f"no two samples are further apart than {lowest}; a control pair below {CONTROL_COSINE} is due, "
        "so give samples that differ more, or draw random weights wider"
    )


def assert_finite(vectors: Sequence[Vectors], claim: str) -> None:
    """Fail unless every vector is finite and none is zero."""
    for place, rows in enumerate(vectors):
        assert np.isfinite(rows).all(), f"{claim}: row {place} is not finite"
        assert rows.size, f"{claim}: row {place} has no vector"
        assert rows.any(axis=1).all(), f"{claim}: row {place} is zero"


def _likeness(vectors: Vectors, expected: Sequence[Vectors], place: int) -> str:
    """A hint where a row is that of another item."""
    for other, candidate in enumerate(expected):
        if other != place and agreement(vectors, candidate).within(Tolerance()):
            return f"; it is the row of item {other}"
    return ""
