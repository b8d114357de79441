"""Comparing vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.errors import InvalidInputError


def cosine_similarity(u: npt.ArrayLike, v: npt.ArrayLike) -> float:
    """The cosine of two vectors `(d,)`, from -1 to 1.

    Raises:
        InvalidInputError: if they differ in length, are not finite, or one is zero.
    """
    left, right = (np.asarray(vector, np.float64).reshape(-1) for vector in (u, v))
    if left.shape != right.shape:
        raise InvalidInputError(f"vectors of {left.size} and {right.size} dimensions cannot be compared")
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise InvalidInputError("a vector is not finite")
    if not (left.any() and right.any()):
        raise InvalidInputError("a zero vector has no direction")
    left, right = left / np.linalg.norm(left), right / np.linalg.norm(right)
    return float(np.clip(left @ right, -1.0, 1.0))
