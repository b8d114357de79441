"""Exact search over vectors, and the measures of how good a ranking is.

The measures are functions of ranks alone: where, counted from 1, each query's relevant documents stand
(infinite where a document was not found). `ranks_of` takes them from vectors, `ranks_in` from lists of
ids. For search at scale use a vector store; this one compares everything with everything.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.analysis.vectors import DoubleArray, unit_rows
from llm_multi_core.embedder.errors import IncompatibleSpacesError, InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.rows import FloatArray, IndexArray

Ranks: TypeAlias = (
    "Sequence[Sequence[float] | npt.NDArray[np.floating]] | Sequence[float] "
    "| npt.NDArray[np.floating] | npt.NDArray[np.integer]"
)
"""Per query the ranks of its relevant documents, or just one rank per query; infinite for not found."""

_BLOCK_ENTRIES = 1 << 24
"""Cosines held at a time (64 MB)."""


def top_k(queries: npt.ArrayLike, documents: npt.ArrayLike, k: int) -> tuple[IndexArray, FloatArray]:
    """The `k` documents of highest cosine with each query, best first; equals in the documents' order.

    Args:
        queries: `(q, d)`, of any length but zero.
        documents: `(n, d)`, likewise.
        k: at least 1; more than `n` gives all.

    Returns:
        Positions in `documents` `(q, min(k, n))` int64, and the cosines, float32.

    Raises:
        InvalidInputError: if a vector is not finite or zero.
        IncompatibleSpacesError: if queries and documents differ in dimension.
        InvalidOptionError: if `k` is not a positive whole number.
    """
    check_k(k)
    left, right = _pair(queries, documents)
    kept = min(k, len(right))
    indices, scores = np.empty((len(left), kept), np.int64), np.empty((len(left), kept), np.float32)
    for start, cosines in _cosine_blocks(left, right):
        for row, values in enumerate(cosines, start):
            # Everything that ties with the last kept one is sorted too, so that ties never depend on chance.
            bound = np.partition(values, len(values) - kept)[len(values) - kept] if kept else np.float32(0)
            candidates = np.flatnonzero(values >= bound)
            best = candidates[np.argsort(-values[candidates], kind="stable")[:kept]]
            indices[row], scores[row] = best, values[best]
    return indices, scores


def ranks_of(queries: npt.ArrayLike, documents: npt.ArrayLike, relevant: npt.ArrayLike) -> IndexArray:
    """The rank of each query's one relevant document among all documents by cosine.

    Args:
        queries: `(q, d)`.
        documents: `(n, d)`.
        relevant: `(q,)` positions in `documents`.

    Returns:
        `(q,)` int64 from 1; among equals the documents' order decides, as in `top_k`.

    Raises:
        InvalidInputError: if a vector is not finite or zero, or a position does not exist.
        IncompatibleSpacesError: if queries and documents differ in dimension.
    """
    left, right = _pair(queries, documents)
    own = np.asarray(relevant)
    if own.shape != (len(left),) or (own.size and own.dtype.kind not in "iu"):
        raise InvalidInputError(f"relevant has the shape {own.shape}; it takes one position for each query")
    outside = (own < 0) | (own >= len(right))
    if outside.any():
        raise InvalidInputError(f"there is no document at its position {own[outside][0]}", index=int(outside.argmax()))
    ranks = np.empty(len(left), np.int64)
    for start, cosines in _cosine_blocks(left, right):
        columns = own[start : start + len(cosines)].astype(np.int64)
        mine = np.take_along_axis(cosines, columns[:, None], axis=1)
        ahead = (cosines == mine) & (np.arange(len(right)) < columns[:, None])
        ranks[start : start + len(cosines)] = 1 + ((cosines > mine) | ahead).sum(axis=1)
    return ranks


def ranks_in(
    ranked: Sequence[Sequence[Hashable]], relevant: Sequence[Collection[Hashable]]
) -> list[npt.NDArray[np.float64]]:
    """The ranks of each query's relevant documents in a list of ids, best first.

    Args:
        ranked: for each query the ids that were found, none twice.
        relevant: for each query the ids that should have been, at least one.

    Returns:
        For each query `(r,)` float64 in the order of its relevant ids; infinite where one is missing.

    Raises:
        InvalidInputError: if the two differ in length, or naming the query whose ids are wrong.
    """
    if len(ranked) != len(relevant):
        raise InvalidInputError(f"{len(ranked)} rankings and the relevant documents of {len(relevant)} queries")
    ranks = []
    for index, (found, wanted) in enumerate(zip(ranked, relevant, strict=True)):
        places = {document: rank for rank, document in enumerate(found, 1)}
        if len(places) != len(found):
            raise InvalidInputError("an id stands twice in the ranking", index=index)
        if not len(wanted):
            raise InvalidInputError("the query has no relevant document", index=index)
        ranks.append(np.asarray([places.get(document, np.inf) for document in wanted], np.float64))
    return ranks


def recall_at_k(ranks: Ranks, k: int) -> float:
    """The share of relevant documents among the first `k`, averaged over queries.

    With one relevant document a query this is the share of queries that find it (hit rate).
    """
    check_k(k)
    return float(np.mean([np.mean(query <= k) for query in _queries(ranks)]))


def median_rank(ranks: Ranks) -> float:
    """The median over queries of the rank of the first relevant document; infinite if most find none."""
    first = np.sort([query.min() for query in _queries(ranks)])
    middle = first[[(len(first) - 1) // 2, len(first) // 2]]
    return float(middle.mean())


def mrr(ranks: Ranks) -> float:
    """Mean reciprocal rank of the first relevant document, 0 where none was found (Voorhees, 1999)."""
    return float(np.mean([1 / query.min() for query in _queries(ranks)]))


def ndcg(ranks: Ranks, k: int, gains: Sequence[Sequence[float]] | None = None) -> float:
    """Normalised discounted cumulative gain of the first `k`, averaged over queries.

    `DCG = sum(gain / log2(1 + rank))` over the relevant documents with `rank <= k`, divided by that of
    the best possible order (Järvelin and Kekäläinen, 2002).

    Args:
        ranks: per query the ranks of its relevant documents.
        k: the depth, at least 1.
        gains: how relevant each of them is, above 0, in the same shape; by default all alike.

    Raises:
        InvalidInputError: if `gains` has another shape or a gain is not above 0.
        InvalidOptionError: if `k` is not a positive whole number.
    """
    check_k(k)
    queries = _queries(ranks)
    worth = [np.ones(len(query)) for query in queries] if gains is None else [np.asarray(g, np.float64) for g in gains]
    if [gain.shape for gain in worth] != [query.shape for query in queries]:
        raise InvalidInputError("gains and ranks differ in shape")
    values = []
    for index, (query, gain) in enumerate(zip(queries, worth, strict=True)):
        if not (np.isfinite(gain) & (gain > 0)).all():
            raise InvalidInputError("a gain is not a number above 0", index=index)
        ideal = np.sort(gain)[::-1][:k]
        found = query <= k
        dcg = (gain[found] / np.log2(1 + query[found])).sum()
        values.append(dcg / (ideal / np.log2(np.arange(2, len(ideal) + 2))).sum())
    return float(np.mean(values))


def check_k(k: int) -> None:
    """Raise `InvalidOptionError` unless `k` is a positive whole number."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise InvalidOptionError(f"k={k!r} is not a positive whole number")


def _queries(ranks: Ranks) -> list[npt.NDArray[np.float64]]:
    """The ranks of each query as an array `(r,)` with `r >= 1`."""
    queries = [np.atleast_1d(np.asarray(query, np.float64)) for query in ranks]
    if not queries:
        raise InvalidInputError("there are no ranks to measure")
    for index, query in enumerate(queries):
        if query.ndim != 1 or not query.size or not (query >= 1).all():
            raise InvalidInputError("the ranks of a query are numbers from 1, at least one", index=index)
    return queries


def _pair(queries: npt.ArrayLike, documents: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    left, right = unit_rows(queries, "query vector"), unit_rows(documents, "document vector")
    if left.shape[1] != right.shape[1]:
        raise IncompatibleSpacesError(
            f"queries of {left.shape[1]} and documents of {right.shape[1]} dimensions cannot be compared; "
            "embed both with the same model and dimensions"
        )
    return _single(left), _single(right)


def _single(rows: DoubleArray) -> FloatArray:
    return rows.astype(np.float32)


def _cosine_blocks(queries: FloatArray, documents: FloatArray) -> Iterator[tuple[int, FloatArray]]:
    """Cosines `(m, n)` of a stretch of queries with all documents, and where the stretch starts."""
    step = max(1, _BLOCK_ENTRIES // max(1, len(documents)))
    for start in range(0, len(queries), step):
        yield start, queries[start : start + step] @ documents.T
