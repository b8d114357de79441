"""Guarding a LanceDB table: it knows the model that filled it."""

from __future__ import annotations

from typing import Any

from llm_multi_core.embedder import InvalidOptionError, MultiModalEmbedder, Stamp
from llm_multi_core.embedder.stores import LanceKeeper, MissingStamp, check_store, stamp_store
from llm_multi_core_lancedb.function import MultiCoreEmbeddingFunction


def stamp_table(
    table: Any,
    function: MultiCoreEmbeddingFunction | None = None,
    *,
    column: str | None = None,
    replace: bool = False,
) -> Stamp:
    """Keep with a table, in its vector column's metadata, what it takes to know the model that filled it.

    Args:
        table: a `lancedb.table.LanceTable`.
        function: what filled it; by default the table's own.
        column: the vector column; by default the first.
        replace: also over the stamp of another space, for a column that was embedded again.

    Raises:
        IncompatibleSpacesError: if it has the stamp of another space, or vectors of another dimension.
        InvalidOptionError: if there is no such column, or no function of this package.
    """
    return stamp_store(LanceKeeper(table, column), _embedder(table, function, column), replace=replace)


def check_table(
    table: Any,
    function: MultiCoreEmbeddingFunction | None = None,
    *,
    column: str | None = None,
    missing: MissingStamp = "warn",
) -> float | None:
    """Raise unless a function makes the vectors that a table holds. To be called whenever one is opened.

    Args:
        table: a `lancedb.table.LanceTable`.
        function: what it is to be used with; by default the table's own.
        column: the vector column; by default the first.
        missing: what becomes of one without a stamp: `"warn"`, `"raise"` or `"ignore"`.

    Returns:
        The lowest cosine between the probes' vectors then and now; `None` if it has no stamp.

    Raises:
        IncompatibleSpacesError: if the vectors are others; or with `missing="raise"` if it has no stamp.
        InvalidOptionError: if there is no such column, or no function of this package.
    """
    keeper, embedder = LanceKeeper(table, column), _embedder(table, function, column)
    return check_store(keeper, embedder, missing=missing, stacklevel=3)


def _embedder(table: Any, function: MultiCoreEmbeddingFunction | None, column: str | None) -> MultiModalEmbedder:
    own = [config.function for name, config in table.embedding_functions.items() if column in (None, name)]
    for candidate in (function, *own):
        if isinstance(candidate, MultiCoreEmbeddingFunction):
            return candidate.embedder
    raise InvalidOptionError(f"table {table.name!r} has no MultiCoreEmbeddingFunction; pass function=")
