"""Comparing vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.analysis.vectors import DoubleArray, with_length_one
from llm_multi_core.embedder.errors import InvalidInputError


def cosine_similarity(u: npt.ArrayLike, v: npt.ArrayLike) -> float:
    """The cosine of two vectors `(d,)`, from -1 to 1.

    Raises:
        InvalidInputError: if they are no vectors, differ in length, are not finite, or one is zero.
    """
    left, right = _vector(u), _vector(v)
    if left.shape != right.shape:
        raise InvalidInputError(f"vectors of {left.size} and {right.size} dimensions cannot be compared")
    return float(np.clip(left @ right, -1.0, 1.0))


def _vector(values: npt.ArrayLike) -> DoubleArray:
    """One vector, `(d,)` or the only row of `(1, d)`, brought to length 1."""
    try:
        vector = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{type(values).__name__} is not a vector of numbers") from error
    if vector.ndim == 0 or vector.size != vector.shape[-1]:
        raise InvalidInputError(f"an array of shape {vector.shape} is not one vector")
    if not np.isfinite(vector).all():
        raise InvalidInputError("a vector is not finite")
    if not vector.any():
        raise InvalidInputError("a zero vector has no direction")
    scaled: DoubleArray = with_length_one(vector.reshape(1, -1))[0]
    return scaled
