"""Comparing vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

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


def _vector(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """One vector, `(d,)` or the only row of `(1, d)`, brought to length 1."""
    try:
        vector = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{type(values).__name__} is not a vector of numbers") from error
    if vector.ndim == 0 or vector.size != vector.shape[-1]:
        raise InvalidInputError(f"an array of shape {vector.shape} is not one vector")
    vector = vector.reshape(-1)
    if not np.isfinite(vector).all():
        raise InvalidInputError("a vector is not finite")
    if not vector.any():
        raise InvalidInputError("a zero vector has no direction")
    # Scaled by the largest entry first, so that neither tiny nor huge vectors lose their direction.
    vector = vector / np.abs(vector).max()
    scaled: npt.NDArray[np.float64] = vector / np.linalg.norm(vector)
    return scaled
