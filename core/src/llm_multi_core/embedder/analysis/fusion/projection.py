"""Fewer dimensions for joined vectors: principal components, or a random projection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.analysis.vectors import DoubleArray, checked_rows
from llm_multi_core.embedder.errors import InvalidOptionError
from llm_multi_core.embedder.rows import FloatArray

ProjectionMethod: TypeAlias = Literal["pca", "gaussian"]


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """`(x - offset) matrix`; made by `pca_projection` or `gaussian_projection`.

    Attributes:
        matrix: `(d, k)` float32, read-only.
        offset: `(d,)` float32, read-only.
        method: how it was made.
    """

    matrix: FloatArray
    offset: FloatArray
    method: ProjectionMethod

    def __post_init__(self) -> None:
        for name in ("matrix", "offset"):
            array = np.array(getattr(self, name), np.float32)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if self.matrix.ndim != 2 or self.offset.shape != self.matrix.shape[:1]:
            raise InvalidOptionError(
                f"a projection of shape {self.matrix.shape} does not go with an offset of shape {self.offset.shape}"
            )

    @property
    def dimension(self) -> int:
        """Components of a projected vector."""
        return int(self.matrix.shape[1])

    def apply(self, rows: DoubleArray) -> DoubleArray:
        """`(n, d)` to `(n, k)`, not brought to length 1."""
        projected: DoubleArray = (rows - self.offset) @ self.matrix.astype(np.float64)
        return projected

    def __reduce__(self) -> tuple[Callable[..., Projection], tuple[Any, ...]]:
        # Through the constructor, which makes the arrays read-only again.
        return type(self), (self.matrix, self.offset, self.method)


def pca_projection(vectors: npt.ArrayLike, dimension: int) -> Projection:
    """The projection onto the principal components of vectors (Pearson, 1901; Hotelling, 1933).

    Args:
        vectors: `(n, d)` float, such as those of a sample of the documents to be indexed.
        dimension: at most `n - 1`, which is what `n` vectors about their mean span, and at most `d`.

    Raises:
        InvalidInputError: if a vector is not finite.
        InvalidOptionError: if the vectors do not span so many dimensions.
    """
    rows = checked_rows(vectors)
    _check_dimension(dimension)
    offset = rows.mean(axis=0) if len(rows) else np.zeros(rows.shape[1])
    _, spread, axes = np.linalg.svd(rows - offset, full_matrices=False)
    rank = int((spread > spread.max(initial=0.0) * max(rows.shape) * np.finfo(np.float64).eps).sum())
    if dimension > rank:
        raise InvalidOptionError(
            f"{len(rows)} vectors of {rows.shape[1]} dimensions span {rank} about their mean, not {dimension}; "
            "give more vectors or ask for fewer dimensions"
        )
    axes = axes[:dimension]
    # An axis has no sign of its own: its largest entry is made positive, as scikit-learn does.
    signs = np.sign(axes[np.arange(dimension), np.abs(axes).argmax(axis=1)])
    return Projection((axes * signs[:, None]).T.astype(np.float32), offset.astype(np.float32), "pca")


def gaussian_projection(source_dimension: int, dimension: int, seed: int = 0) -> Projection:
    """A random projection, which keeps dot products about as they are without having seen a vector.

    Entries are independent and normal with variance `1 / k`; the error of a cosine falls as
    `1 / sqrt(k)` (Johnson and Lindenstrauss, 1984; Dasgupta and Gupta, 2003).

    Raises:
        InvalidOptionError: if a dimension is not a positive whole number.
    """
    _check_dimension(source_dimension)
    _check_dimension(dimension)
    matrix = np.random.default_rng(seed).standard_normal((source_dimension, dimension)) / np.sqrt(dimension)
    return Projection(matrix.astype(np.float32), np.zeros(source_dimension, np.float32), "gaussian")


def _check_dimension(dimension: int) -> None:
    if isinstance(dimension, bool) or not isinstance(dimension, int) or dimension < 1:
        raise InvalidOptionError(f"dimension={dimension!r} is not a positive whole number")
