"""Late fusion: the results of several searches for one query become one ranking.

Each search keeps its own index and model. Results are pairs of an id and a score, higher being better;
an id that stands in a list several times (a document found by several of its chunks) counts once, by
its best score.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal, TypeAlias, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.analysis.vectors import DoubleArray
from llm_multi_core.embedder.errors import InvalidInputError, InvalidOptionError

Id = TypeVar("Id", bound=Hashable)
Results: TypeAlias = Sequence[tuple[Id, float]]
ScoreNormalization: TypeAlias = Literal["min-max", "z-score", "none"]


def fuse_scores(
    results: Sequence[Results[Id]],
    weights: Sequence[float] | None = None,
    normalization: ScoreNormalization = "min-max",
) -> list[tuple[Id, float]]:
    """The weighted sum of each document's scores over lists (CombSUM; Fox and Shaw, 1994), best first.

    Scores of different searches have different ranges, so each list is normalised on its own first
    (see `normalized_scores`). A document that a list does not have is taken to score there as its
    last one does.

    Args:
        results: for each search its `(id, score)` pairs, in any order; lists may be empty.
        weights: one for each list, at least 0 and not all 0; by default all 1. They are divided by their sum.
        normalization: `"min-max"`, `"z-score"` or `"none"`.

    Returns:
        `(id, score)`, each id once; equals in the order in which they first appear.

    Raises:
        InvalidInputError: naming the list with a score that is not finite.
        InvalidOptionError: for weights or a normalisation that do not fit.
    """
    documents, scores = _table(results)
    return _ranked(documents, fused_scores(scores, weights, normalization))


def reciprocal_rank_fusion(
    results: Sequence[Results[Id]], weights: Sequence[float] | None = None, k: float = 60.0
) -> list[tuple[Id, float]]:
    """Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009), best first.

    A document scores `sum(w / (k + rank))` over the lists that have it, ranks counted from 1. Only the
    order within a list matters, so it takes scores of any kind.

    Args:
        results: as in `fuse_scores`; equal scores rank in the order of their list.
        weights: as in `fuse_scores`, but taken as they are.
        k: how little the first ranks stand out, at least 0; 60 is the authors'.

    Returns:
        `(id, score)`, each id once; equals in the order in which they first appear.

    Raises:
        InvalidInputError: naming the list with a score that is not finite.
        InvalidOptionError: for weights or a `k` that do not fit.
    """
    documents, scores = _table(results)
    return _ranked(documents, reciprocal_ranks(scores, weights, k))


def fused_scores(
    scores: npt.ArrayLike, weights: Sequence[float] | None = None, normalization: ScoreNormalization = "min-max"
) -> DoubleArray:
    """`fuse_scores` for arrays: `(lists, n)` scores of `n` documents, NaN where a list has none, to `(n,)`."""
    table = _checked_table(scores)
    shares = _checked_weights(weights, len(table))
    total = np.zeros(table.shape[1])
    for share, row in zip(shares / shares.sum(), table, strict=True):
        there = ~np.isnan(row)
        if there.any():
            normalized = normalized_scores(row[there], normalization)
            # Of a list of equal scores min-max makes ones, which those that are not in it do not deserve.
            filled = np.full(len(row), 0.0 if normalization == "min-max" else normalized.min())
            filled[there] = normalized
            total += share * filled
    return total


def reciprocal_ranks(scores: npt.ArrayLike, weights: Sequence[float] | None = None, k: float = 60.0) -> DoubleArray:
    """`reciprocal_rank_fusion` for arrays: `(lists, n)`, NaN where a list has no score, to `(n,)`."""
    table = _checked_table(scores)
    if isinstance(k, bool) or not isinstance(k, int | float) or not 0 <= k < np.inf:
        raise InvalidOptionError(f"k={k!r} is not a number of at least 0")
    total = np.zeros(table.shape[1])
    for weight, row in zip(_checked_weights(weights, len(table)), table, strict=True):
        order = np.argsort(-row, kind="stable")  # NaN comes last
        order = order[: int((~np.isnan(row)).sum())]
        total[order] += weight / (k + np.arange(1, len(order) + 1))
    return total


def normalized_scores(scores: npt.ArrayLike, normalization: ScoreNormalization = "min-max") -> DoubleArray:
    """The scores `(n,)` of one list, made comparable with those of another.

    `"min-max"` brings them to 0..1: `(s - min) / (max - min)`; all 1 if they are equal. `"z-score"` to
    mean 0 and standard deviation 1; all 0 if they are equal. `"none"` leaves them.

    Raises:
        InvalidInputError: naming the first that is not finite.
        InvalidOptionError: for another normalisation.
    """
    if normalization not in get_args(ScoreNormalization):
        known = ", ".join(repr(name) for name in get_args(ScoreNormalization))
        raise InvalidOptionError(f"normalization={normalization!r} does not exist; use one of {known}")
    values = np.asarray(scores, np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        raise InvalidInputError("the score is not finite", index=int(np.argmin(finite)))
    if normalization == "none" or not values.size:
        return values
    low, high = values.min(), values.max()
    if low == high:
        return np.ones_like(values) if normalization == "min-max" else np.zeros_like(values)
    middle, width = (low, high - low) if normalization == "min-max" else (values.mean(), values.std())
    scaled: DoubleArray = (values - middle) / width
    return scaled


def _table(results: Sequence[Results[Id]]) -> tuple[list[Id], DoubleArray]:
    """The distinct ids in order of first appearance, and their scores `(lists, n)`, NaN where there is none."""
    places: dict[Id, int] = {}
    best: list[dict[int, float]] = []
    for index, hits in enumerate(results):
        scores: dict[int, float] = {}
        for document, score in hits:
            if not np.isfinite(score):
                raise InvalidInputError(f"document {document!r} has the score {score}", index=index)
            place = places.setdefault(document, len(places))
            scores[place] = max(float(score), scores.get(place, -np.inf))
        best.append(scores)
    table = np.full((len(best), len(places)), np.nan)
    for row, scores in zip(table, best, strict=True):
        row[list(scores)] = list(scores.values())
    return list(places), table


def _ranked(documents: Sequence[Id], scores: DoubleArray) -> list[tuple[Id, float]]:
    return [(documents[place], float(scores[place])) for place in np.argsort(-scores, kind="stable")]


def _checked_table(scores: npt.ArrayLike) -> DoubleArray:
    table = np.asarray(scores, np.float64)
    if table.ndim != 2:
        raise InvalidInputError(f"scores of shape {table.shape} are not one row a list")
    infinite = np.isinf(table).any(axis=1)
    if infinite.any():
        raise InvalidInputError("the list has an infinite score", index=int(np.argmax(infinite)))
    return table


def _checked_weights(weights: Sequence[float] | None, count: int) -> DoubleArray:
    shares = np.ones(count) if weights is None else np.asarray(weights, np.float64)
    if shares.shape != (count,):
        raise InvalidOptionError(f"weights={weights!r} are not one for each of {count} lists")
    if not (np.isfinite(shares) & (shares >= 0)).all() or (count and not shares.any()):
        raise InvalidOptionError(f"weights={weights!r} are not numbers of at least 0, some above it")
    return shares
