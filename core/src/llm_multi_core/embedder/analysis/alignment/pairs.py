"""Which pairs belong together, so that none of a group is learned from while another is judged by.

Two pairs with the same picture, or with the same caption, are one example seen twice: a map that
learned from the first would be praised for knowing the second.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from llm_multi_core.embedder.analysis.vectors import DoubleArray
from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.libraries import require
from llm_multi_core.embedder.rows import IndexArray

FOLDS = 5
"""Parts that grouped pairs are cross-validated in."""


def groups_of(source: DoubleArray, target: DoubleArray, labels: Sequence[Hashable] | None = None) -> IndexArray:
    """The group of each pair `(n,)`, from 0: pairs are of one group if they share a vector, directly or by a chain.

    Args:
        source: `(n, d_s)`.
        target: `(n, d_t)`.
        labels: `(n,)`; given, equal labels alone make a group.

    Raises:
        InvalidInputError: if there is not one label for each pair.
    """
    if labels is not None:
        if len(labels) != len(source):
            raise InvalidInputError(f"{len(labels)} groups for {len(source)} pairs; give one for each pair")
        numbers: dict[Hashable, int] = {}
        return np.asarray([numbers.setdefault(label, len(numbers)) for label in labels], np.int64)
    require("scipy.sparse.csgraph", "alignment", "alignments cannot be fitted")
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    sources, targets = distinct(source)[1], distinct(target)[1]
    # A graph of source and target vectors, in which each pair is an edge.
    nodes = int(sources.max()) + int(targets.max()) + 2
    edges = coo_array((np.ones(len(source)), (sources, targets + int(sources.max()) + 1)), shape=(nodes, nodes))
    _, component = connected_components(edges, directed=False)
    groups: IndexArray = np.unique(component[sources], return_inverse=True)[1].astype(np.int64)
    return groups


def distinct(rows: DoubleArray) -> tuple[IndexArray, IndexArray]:
    """Where the distinct rows first stand `(m,)`, and which of them each row is `(n,)`."""
    # Adding zero makes a negative zero a positive one, which it equals.
    _, first, inverse = np.unique(rows + 0.0, axis=0, return_index=True, return_inverse=True)
    return first.astype(np.int64), inverse.reshape(-1).astype(np.int64)


def folds_of(groups: IndexArray, singles: bool = False) -> list[tuple[IndexArray, IndexArray]] | None:
    """Pairs to learn from and pairs to judge by, in `FOLDS` ways or as many as there are groups.

    `None` where folds are not needed, because every pair stands alone (unless `singles`), or not to be
    had, because all are of one group or one fold would have less than two pairs to learn from.
    """
    count = int(groups.max()) + 1
    if count < 2 or (count == len(groups) and not singles):
        return None
    require("sklearn.model_selection", "alignment", "alignments cannot be fitted")
    from sklearn.model_selection import GroupKFold

    folds = list(GroupKFold(min(FOLDS, count)).split(groups, groups=groups))
    return folds if all(len(kept) > 1 for kept, _ in folds) else None


def held_out_pairs(groups: IndexArray, share: float, seed: int) -> tuple[IndexArray, IndexArray]:
    """Pairs to fit on and pairs to hold out: about `share` of the groups, drawn with `seed`.

    Raises:
        InvalidInputError: if that leaves fewer than two pairs to fit on, or none to hold out.
    """
    count = int(groups.max()) + 1
    drawn = np.random.default_rng(seed).permutation(count)[: max(1, round(share * count))]
    out = np.isin(groups, drawn)
    fitted, held_out = np.flatnonzero(~out), np.flatnonzero(out)
    if len(fitted) < 2:
        raise InvalidInputError(
            f"{len(groups)} pairs in {count} groups leave {len(fitted)} to fit on when {len(held_out)} are held out; "
            "give more pairs (pairs that share an input are one group), name groups=, or pass held_out=0"
        )
    return fitted, held_out
