"""`LanceDB` of langchain-community."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from langchain_llm_multi_core.stores.access import NoPlace, StoreAccess
from langchain_llm_multi_core.stores.filters import Conditions, Found, Scalar
from llm_multi_core.embedder.stores import LanceKeeper, StampKeeper


class LanceAccess(StoreAccess):
    """LanceDB has a column of metadata, whose fields are those of the first documents; filters are SQL."""

    def nearest(self, vector: Sequence[float], k: int, conditions: Conditions) -> list[Found]:
        """See `StoreAccess`."""
        table = self.store.get_table()
        if table is None or not _knows(table, conditions):
            return []
        sql = " AND ".join(_condition(key, values) for key, values in conditions.items()) or None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "No results found", UserWarning)  # an empty list says so
            found = self.store.similarity_search_by_vector(
                list(vector), k, filter=sql, prefilter=True, score=True, metrics="cosine"
            )
        return [Found(document, 1 - float(distance)) for document, distance in found]

    def keeper(self) -> StampKeeper:
        """The metadata of the column of vectors."""
        table = self.store.get_table()
        if table is None:
            where = f"LanceDB table {self.store._table_name!r}"
            return NoPlace(where, f"there is no {where} yet; add documents first, then stamp it")
        return LanceKeeper(table, self.store._vector_key)


def _knows(table: Any, conditions: Conditions) -> bool:
    if not conditions:
        return True
    fields = table.schema.field("metadata").type
    return all(fields.get_field_index(key) >= 0 for key in conditions)


def _condition(key: str, values: tuple[Scalar, ...]) -> str:
    return f"metadata['{_escaped(key)}'] IN ({', '.join(map(_literal, values))})"


def _literal(value: Scalar) -> str:
    if isinstance(value, str):
        return f"'{_escaped(value)}'"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _escaped(text: str) -> str:
    return text.replace("'", "''")
