"""`langchain_qdrant.QdrantVectorStore`, on a server or in local mode."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from langchain_llm_multi_core.stores.access import StoreAccess
from langchain_llm_multi_core.stores.filters import Conditions, Found, Scalar
from llm_multi_core.embedder.stores import QdrantKeeper, StampKeeper


class QdrantAccess(StoreAccess):
    """Qdrant gives cosines, or what another metric gives."""

    def nearest(self, vector: Sequence[float], k: int, conditions: Conditions) -> list[Found]:
        """See `StoreAccess`."""
        found = self.store.similarity_search_with_score_by_vector(list(vector), k, filter=self._filter(conditions))
        return [Found(document, self._cosine(float(score))) for document, score in found]

    def keeper(self) -> StampKeeper:
        """The collection's metadata."""
        return QdrantKeeper(self.store.client, self.store.collection_name, self.store.vector_name)

    def _cosine(self, score: float) -> float | None:
        metric = str(getattr(self.store.distance, "value", self.store.distance)).lower()
        if metric == "euclid":
            return 1 - score**2 / 2
        return score if metric in ("cosine", "dot") else None

    def _filter(self, conditions: Conditions) -> Any:
        if not conditions:
            return None
        models = import_module("qdrant_client.models")  # which is there, since the store is
        key = self.store.metadata_payload_key
        must = [
            models.Filter(should=[_equal(models, f"{key}.{name}", value) for value in values])
            for name, values in conditions.items()
        ]
        return models.Filter(must=must)


def _equal(models: Any, key: str, value: Scalar) -> Any:
    if isinstance(value, float):
        return models.FieldCondition(key=key, range=models.Range(gte=value, lte=value))
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))
