"""The methods of alignment: each finds a matrix `W` such that `(X - mean X) W` is close to `Y - mean Y`.

Arrays in, arrays out, all float64 and of unit rows: `X` is `(n, d_s)`, `Y` `(n, d_t)`, pair by pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from llm_multi_core.embedder.analysis.alignment.pairs import folds_of
from llm_multi_core.embedder.analysis.vectors import DoubleArray
from llm_multi_core.embedder.errors import InvalidOptionError
from llm_multi_core.embedder.libraries import require
from llm_multi_core.embedder.rows import IndexArray

DEFAULT_ALPHAS: tuple[float, ...] = tuple(float(f"1e{power}") for power in range(-5, 4))
"""Strengths of regularisation that are tried: for unit rows from next to none to next to all."""


@dataclass(frozen=True, slots=True)
class LinearMap:
    """`y = (x - source_mean) matrix + target_mean`, and what was chosen for it."""

    matrix: DoubleArray
    source_mean: DoubleArray
    target_mean: DoubleArray
    alpha: float | None = None
    components: int | None = None


def ridge(source: DoubleArray, target: DoubleArray, groups: IndexArray, alphas: Sequence[float]) -> LinearMap:
    """Ridge regression (Hoerl and Kennard, 1970): `min |X W - Y|^2 + alpha |W|^2` on centred sides.

    `alpha` is that of least squared error on pairs left out: one by one, in closed form (Golub, Heath
    and Wahba, 1979), or fold by fold where some pairs belong to one group.
    """
    require("sklearn.linear_model", "alignment", "alignments cannot be fitted")
    from sklearn.linear_model import Ridge, RidgeCV

    folds = folds_of(groups) if len(alphas) > 1 else None
    if folds is None and len(alphas) > 1:
        model = RidgeCV(alphas=np.asarray(alphas)).fit(source, target)
        alpha = float(model.alpha_)
    else:
        alpha = alphas[0] if folds is None else _best_strength(source, target, folds, alphas)
        model = Ridge(alpha=alpha).fit(source, target)
    matrix = np.asarray(model.coef_, np.float64).reshape(target.shape[1], source.shape[1]).T
    return LinearMap(matrix, source.mean(axis=0), target.mean(axis=0), alpha)


def _best_strength(
    source: DoubleArray,
    target: DoubleArray,
    folds: Iterable[tuple[IndexArray, IndexArray]],
    alphas: Sequence[float],
) -> float:
    """The strength of least mean squared error on folds left out; each fold is decomposed once for all of them."""
    errors = np.zeros(len(alphas))
    for kept, left_out in folds:
        source_mean, target_mean = source[kept].mean(axis=0), target[kept].mean(axis=0)
        left, singular, axes = _decomposed(source[kept] - source_mean)
        answers = left.T @ (target[kept] - target_mean)
        variates, wanted = (source[left_out] - source_mean) @ axes.T, target[left_out] - target_mean
        for place, alpha in enumerate(alphas):
            errors[place] += (((variates * (singular / (singular**2 + alpha))) @ answers - wanted) ** 2).mean()
    return alphas[int(errors.argmin())]


def procrustes(source: DoubleArray, target: DoubleArray) -> LinearMap:
    """Orthogonal Procrustes (Schönemann, 1966) with one scale: `min |s X R - Y|^2` on centred sides.

    `R = U V^T` of the singular value decomposition of `X^T Y`. For sides of different dimension that is
    the solution with the narrower one padded by zeros: `R` has orthonormal rows or columns. Directions
    that the pairs do not show, because they are fewer than the dimensions, are mapped to zero.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    centred = source - source_mean
    left, singular, right = _decomposed(centred.T @ (target - target_mean))
    scale = singular.sum() / (centred**2).sum()
    return LinearMap(scale * (left @ right), source_mean, target_mean)


def cca(
    source: DoubleArray, target: DoubleArray, groups: IndexArray, alphas: Sequence[float], components: int | None
) -> LinearMap:
    """Regularised canonical correlation analysis (Hotelling, 1936; Vinod, 1976), as a map into the target.

    The target is regressed on the leading canonical variates of the source. With all of them that is
    ridge regression, so `alpha` is chosen as for that; fewer keep only what the two sides share best.
    `components` is by default the number, among powers of two and all, of least squared error on folds
    left out.
    """
    alpha = ridge(source, target, groups, alphas).alpha
    assert alpha is not None  # noqa: S101 - ridge always chooses one
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    encode, decode, _ = canonical(source - source_mean, target - target_mean, alpha)
    rank = encode.shape[1]
    if components is None:
        components = _best_number(source, target, groups, alpha, rank)
    elif components > rank:
        raise InvalidOptionError(f"components={components} is more than the {rank} that these pairs have")
    return LinearMap(encode[:, :components] @ decode[:components], source_mean, target_mean, alpha, components)


def canonical(source: DoubleArray, target: DoubleArray, alpha: float) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """The canonical structure of two centred sides, in closed form (Björck and Golub, 1973).

    Returns:
        `encode` `(d_s, r)`, to the source's canonical variates; `decode` `(r, d_t)`, from those to the
        target; and the canonical correlations `(r,)`, falling.
    """
    left, spread, source_axes = _decomposed(source)
    right, target_spread, target_axes = _decomposed(target)
    source_scale, target_scale = np.sqrt(spread**2 + alpha), np.sqrt(target_spread**2 + alpha)
    shared = (spread / source_scale)[:, None] * (left.T @ right) * (target_spread / target_scale)
    turn, correlations, target_turn = np.linalg.svd(shared, full_matrices=False)
    encode = (source_axes.T / source_scale) @ turn
    decode = correlations[:, None] * (target_turn * target_scale) @ target_axes
    return encode, decode, correlations


def _best_number(source: DoubleArray, target: DoubleArray, groups: IndexArray, alpha: float, rank: int) -> int:
    numbers = [*(1 << power for power in range(rank.bit_length()) if 1 << power < rank), rank]
    folds = folds_of(groups, singles=True)
    if folds is None or len(numbers) == 1:
        return rank
    errors = np.zeros(len(numbers))
    for kept, left_out in folds:
        errors += list(_errors(source, target, kept, left_out, alpha, numbers))
    return numbers[int(errors.argmin())]


def _errors(
    source: DoubleArray,
    target: DoubleArray,
    kept: IndexArray,
    left_out: IndexArray,
    alpha: float,
    numbers: Iterable[int],
) -> Iterable[float]:
    """The squared error on the pairs left out, for each number of components; as many as there are at most."""
    source_mean, target_mean = source[kept].mean(axis=0), target[kept].mean(axis=0)
    encode, decode, _ = canonical(source[kept] - source_mean, target[kept] - target_mean, alpha)
    variates, wanted = (source[left_out] - source_mean) @ encode, target[left_out] - target_mean
    for number in numbers:
        yield float(((variates[:, :number] @ decode[:number] - wanted) ** 2).sum())


def _decomposed(matrix: DoubleArray) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """The singular value decomposition, without what is zero but for rounding."""
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    floor = singular.max(initial=0.0) * max(matrix.shape) * np.finfo(np.float64).eps
    rank = int((singular > floor).sum())
    return left[:, :rank], singular[:rank], right[:rank]
