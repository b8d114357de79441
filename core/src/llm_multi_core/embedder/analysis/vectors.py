"""Arrays of vectors as the analyses take them: checked with named errors, in float64, of length 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.errors import IncompatibleSpacesError, InvalidInputError

if TYPE_CHECKING:
    from llm_multi_core.embedder.spaces import Space

DoubleArray: TypeAlias = npt.NDArray[np.float64]


def checked_rows(values: npt.ArrayLike, what: str = "vector", space: Space | None = None) -> DoubleArray:
    """Vectors as finite float64 rows.

    Args:
        values: `(n, d)`; `n` may be 0.
        what: the word for one of them in messages.
        space: where they must lie, as far as their length tells.

    Raises:
        InvalidInputError: if they are no matrix of numbers, or naming the first row that is not finite.
        IncompatibleSpacesError: if they have another dimension than `space`.
    """
    try:
        rows = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{type(values).__name__} is not a matrix of {what}s, one a row") from error
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise InvalidInputError(f"an array of shape {rows.shape} is not a matrix of {what}s, one a row")
    if space is not None and rows.shape[1] != space.dimension:
        raise IncompatibleSpacesError(
            f"a {what} of {rows.shape[1]} dimensions does not lie in {space}; pass vectors that were made there"
        )
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise InvalidInputError(f"the {what} is not finite", index=int(np.argmin(finite)))
    return rows


def unit_rows(values: npt.ArrayLike, what: str = "vector", space: Space | None = None) -> DoubleArray:
    """`checked_rows`, each brought to length 1.

    Raises:
        InvalidInputError: as `checked_rows`, and naming the first zero row.
        IncompatibleSpacesError: as `checked_rows`.
    """
    rows = checked_rows(values, what, space)
    some = rows.any(axis=1)
    if not some.all():
        raise InvalidInputError(f"the {what} is zero and has no direction", index=int(np.argmin(some)))
    return with_length_one(rows)


def with_length_one(rows: DoubleArray) -> DoubleArray:
    """Finite, non-zero rows `(n, d)` scaled to length 1 in the L2 norm."""
    # Scaled by the largest entry first, so that neither tiny nor huge rows lose their direction.
    scaled = rows / np.abs(rows).max(axis=1, keepdims=True)
    unit: DoubleArray = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    return unit
