"""`langchain_chroma.Chroma`, embedded or on a server."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_llm_multi_core.stores.access import StoreAccess
from langchain_llm_multi_core.stores.filters import Conditions, Found
from llm_multi_core.embedder.stores import ChromaKeeper, StampKeeper


class ChromaAccess(StoreAccess):
    """Chroma gives distances, squared for its default `l2`."""

    def nearest(self, vector: Sequence[float], k: int, conditions: Conditions) -> list[Found]:
        """See `StoreAccess`."""
        found = self.store.similarity_search_by_vector_with_relevance_scores(list(vector), k, filter=_where(conditions))
        halved = self._metric() == "l2"
        return [Found(document, 1 - float(distance) / (2 if halved else 1)) for document, distance in found]

    def keeper(self) -> StampKeeper:
        """The collection's metadata."""
        return ChromaKeeper(self.store._collection)

    def _metric(self) -> str:
        configuration = self.store._collection.configuration_json  # the other property warns of old settings
        indexes = (configuration.get(name) or {} for name in ("hnsw", "spann"))
        return str(next((index["space"] for index in indexes if "space" in index), "l2"))


def _where(conditions: Conditions) -> dict[str, object] | None:
    each: list[dict[str, object]] = [{key: {"$in": list(values)}} for key, values in conditions.items()]
    if len(each) > 1:
        return {"$and": each}
    return each[0] if each else None
