"""What an encoder returns: `Rows`, one row per item, dense, multi-vector or sparse.

The pipeline reorders, checks, cuts and normalises rows through these methods only, so that a new
output kind needs no change to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.errors import InvalidOutputError

Output = Literal["dense", "multi", "sparse"]
FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.int64]

_AT_A_TIME = 64
"""Vectors that are normalised together: few enough for what is computed on the way to stay in a processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """One row per item.

    - dense: `values` `(n, d)`.
    - multi-vector (ColBERT, ColPali): `values` `(total, d)`; row `i` is
      `values[offsets[i]:offsets[i + 1]]`.
    - sparse (SPLADE), as in CSR: `values` and `indices` `(nonzeros,)`, row `i` between
      `offsets[i]` and `offsets[i + 1]`; `indices` are positions in the vocabulary.

    Values are float32. A blank row (of a failed item) is NaN when dense, empty otherwise.
    """

    values: FloatArray
    offsets: IndexArray | None = None
    indices: IndexArray | None = None

    @classmethod
    def of(cls, output: Rows | npt.ArrayLike) -> Rows:
        """Rows from what an encoder returned: `Rows`, or a bare `(n, d)` array.

        Raises:
            InvalidOutputError: if it is neither, or its parts do not fit together.
        """
        if isinstance(output, Rows):
            output.check_structure()
            return output
        try:
            with np.errstate(over="ignore"):  # what is too large becomes infinite, which `check` reports
                values = np.asarray(output, dtype=np.float32)
        except (TypeError, ValueError, RuntimeError) as error:  # torch refuses with the last two
            raise InvalidOutputError(f"an encoder returned {type(output).__name__}, not an array of numbers") from error
        if values.ndim != 2:
            raise InvalidOutputError(f"an encoder returned an array of shape {values.shape}, not (n, d)")
        return cls(values)

    @classmethod
    def empty(cls, dimension: int, output: Output = "dense") -> Rows:
        """No rows at all, of the given kind."""
        if output == "dense":
            return cls(np.empty((0, dimension), np.float32))
        offsets = np.zeros(1, np.int64)
        if output == "multi":
            return cls(np.empty((0, dimension), np.float32), offsets)
        return cls(np.empty(0, np.float32), offsets, np.empty(0, np.int64))

    @property
    def output(self) -> Output:
        """Which kind these rows are."""
        if self.offsets is None:
            return "dense"
        return "multi" if self.indices is None else "sparse"

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        arrays = (self.values, self.offsets, self.indices)
        return sum(int(array.nbytes) for array in arrays if array is not None)

    def __len__(self) -> int:
        return len(self.values) if self.offsets is None else len(self.offsets) - 1

    def take(self, index: npt.ArrayLike) -> Rows:
        """The rows at `index` `(m,)`, in that order; an entry of -1 gives a blank row."""
        wanted = np.asarray(index, dtype=np.int64).reshape(-1)
        if self.offsets is None:
            if len(self.values) == 0 and (wanted < 0).all():
                return Rows(np.full((len(wanted), self.values.shape[1]), np.nan, np.float32))
            taken = self.values[wanted]  # -1 picks the last row, blanked below
            missing = wanted < 0
            if missing.any():
                taken[missing] = np.nan
            return Rows(taken)
        starts = np.where(wanted < 0, 0, self.offsets[wanted])
        ends = np.where(wanted < 0, 0, self.offsets[wanted + 1])
        lengths = ends - starts
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        # Position k of the result lies (k - its row's start) past that row's start in the source.
        gather = np.arange(int(offsets[-1])) - np.repeat(offsets[:-1] - starts, lengths)
        return Rows(self.values[gather], offsets, None if self.indices is None else self.indices[gather])

    @staticmethod
    def concat(blocks: Sequence[Rows]) -> Rows:
        """All rows of `blocks` (at least one, all of one kind), in order."""
        if len(blocks) == 1:
            return blocks[0]
        kinds = {block.output for block in blocks}
        if len(kinds) > 1:
            raise InvalidOutputError(f"one encoder returned rows of several kinds: {', '.join(sorted(kinds))}")
        values = np.concatenate([block.values for block in blocks])
        if blocks[0].offsets is None:
            return Rows(values)
        pieces, total = [np.zeros(1, np.int64)], 0
        for block in blocks:
            assert block.offsets is not None  # noqa: S101 - by the check of kinds above
            pieces.append(block.offsets[1:] + total)
            total += int(block.offsets[-1])
        indices = [block.indices for block in blocks if block.indices is not None]
        return Rows(values, np.concatenate(pieces), np.concatenate(indices) if indices else None)

    def fits(self, count: int, dimension: int, output: Output) -> bool:
        """Whether these are `count` well-formed rows of that kind and dimension, sound or not."""
        try:
            self.check_structure()
            self._check_form(count, dimension, output)
        except InvalidOutputError:
            return False
        return True

    def check(self, count: int, dimension: int, output: Output) -> npt.NDArray[np.bool_]:
        """Which rows are sound: `(n,)`, `False` where a row is not finite.

        Raises:
            InvalidOutputError: if count, dimension or kind are not as declared; then no row can be
                trusted to belong to its item.
        """
        self._check_form(count, dimension, output)
        if self.offsets is None:
            return np.asarray(np.isfinite(self.values).all(axis=1))
        finite = np.isfinite(self.values)
        return self._per_row(np.asarray(finite.all(axis=1) if finite.ndim == 2 else finite))

    def _check_form(self, count: int, dimension: int, output: Output) -> None:
        if len(self) != count:
            raise InvalidOutputError(f"an encoder returned {len(self)} rows for {count} inputs")
        if self.output != output:
            raise InvalidOutputError(f"an encoder that declares {output} output returned {self.output} rows")
        if self.indices is None:
            if self.values.shape[1] != dimension:
                raise InvalidOutputError(
                    f"an encoder that declares dimension {dimension} returned rows of {self.values.shape[1]}"
                )
        elif self.indices.size and (self.indices.min() < 0 or self.indices.max() >= dimension):
            raise InvalidOutputError(f"an encoder returned sparse indices outside its {dimension} dimensions")

    def normalize(self) -> Rows:
        """Rows of length 1 in the L2 norm; of a multi-vector row, each vector. Zero rows stay zero."""
        if self.indices is not None and self.offsets is not None:
            lengths = np.diff(self.offsets)
            row = np.repeat(np.arange(len(self)), lengths)
            norms = np.sqrt(np.bincount(row, self.values.astype(np.float64) ** 2, len(self)))
            scale = np.repeat(norms, lengths)  # in float64, since the norm of huge values overflows float32
            scaled = np.divide(self.values, scale, out=self.values.astype(np.float64), where=scale > 0)
            return Rows(scaled.astype(np.float32), self.offsets, self.indices)
        normalised = np.empty_like(self.values)
        for start in range(0, len(self.values), _AT_A_TIME):
            end = start + _AT_A_TIME
            normalised[start:end] = _of_length_one(self.values[start:end])
        return Rows(normalised, self.offsets)

    def nonzero(self) -> npt.NDArray[np.bool_]:
        """Which rows have a direction at all: `(n,)`. NaN rows count as such."""
        some = np.asarray(self.values.any(axis=1) if self.values.ndim == 2 else self.values != 0)
        return some if self.offsets is None else ~self._per_row(~some)

    def cut(self, dimension: int) -> Rows:
        """The first `dimension` components of every vector (Matryoshka), not re-normalised."""
        if self.indices is not None:
            raise InvalidOutputError("sparse rows cannot be cut to fewer dimensions")
        if self.values.shape[1] == dimension:
            return self
        if self.values.shape[1] < dimension:
            raise InvalidOutputError(f"rows of {self.values.shape[1]} dimensions cannot be cut to {dimension}")
        return Rows(np.ascontiguousarray(self.values[:, :dimension]), self.offsets)

    def weighted_mean(self, owner: npt.ArrayLike, weight: npt.ArrayLike, count: int) -> Rows:
        """Dense rows averaged per owner: row `j` is the weighted mean of the rows owned by `j`.

        Args:
            owner: `(n,)` which of the `count` results each row goes into.
            weight: `(n,)` positive weights.
            count: number of results; each must own at least one row.
        """
        if self.offsets is not None:
            raise InvalidOutputError(f"{self.output} rows have no mean")
        owners, weights = np.asarray(owner, np.int64), np.asarray(weight, np.float64)
        sums = np.zeros((count, self.values.shape[1]))
        np.add.at(sums, owners, self.values * weights[:, None])
        totals = np.bincount(owners, weights, count)
        return Rows((sums / totals[:, None]).astype(np.float32))

    def _per_row(self, flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        assert self.offsets is not None  # noqa: S101 - only called for rows with offsets
        bad = np.concatenate([[0], np.cumsum(~flags)])
        per_row: npt.NDArray[np.bool_] = bad[self.offsets[1:]] == bad[self.offsets[:-1]]
        return per_row

    def check_structure(self) -> None:
        """Raise `InvalidOutputError` unless values, offsets and indices fit together."""
        faults = [
            f"{name} must be a flat array of signed integers"
            for name, array in (("offsets", self.offsets), ("indices", self.indices))
            if array is not None and (getattr(array, "ndim", 0) != 1 or array.dtype.kind != "i")
        ]
        if getattr(self.values, "dtype", None) != np.float32:
            faults.append("values must be a float32 array")
        elif self.values.ndim != (1 if self.indices is not None else 2):
            faults.append(f"values have {self.values.ndim} dimensions")
        elif not faults:
            faults.extend(self._structural_faults())
        if faults:
            raise InvalidOutputError(f"an encoder returned malformed rows: {'; '.join(faults)}")

    def _structural_faults(self) -> list[str]:
        faults = []
        offsets = self.offsets
        if offsets is not None and (
            len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(self.values) or (np.diff(offsets) < 0).any()
        ):
            faults.append("offsets must rise from 0 to the number of values")
        if self.indices is not None:
            if offsets is None:
                faults.append("indices need offsets")
            elif len(self.indices) != len(self.values):
                faults.append("indices and values differ in length")
        return faults

    def __getstate__(self) -> tuple[Any, ...]:
        return self.values, self.offsets, self.indices

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        for name, value in zip(("values", "offsets", "indices"), state, strict=True):
            object.__setattr__(self, name, value)


def _of_length_one(values: FloatArray) -> FloatArray:
    """Vectors `(n, d)` of length 1; zero stays zero, and what is not finite becomes NaN."""
    # Scaled by the largest entry first, so that neither tiny nor huge ones lose their direction.
    peak = np.abs(values).max(axis=1, keepdims=True, initial=0.0)
    peak[~(peak > 0)] = 1
    with np.errstate(invalid="ignore"):
        scaled: FloatArray = values / peak
    norms = np.linalg.norm(scaled, axis=1, keepdims=True)
    norms[~(norms > 0)] = 1
    scaled /= norms
    return scaled
