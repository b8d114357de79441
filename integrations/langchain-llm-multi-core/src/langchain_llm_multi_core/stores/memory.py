"""`InMemoryVectorStore` of langchain-core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_llm_multi_core.stores.access import StoreAccess
from langchain_llm_multi_core.stores.filters import Conditions, Found, holds
from llm_multi_core.embedder.stores import StampKeeper
from llm_multi_core.embedder.stores.keepers import KEY


class MemoryAccess(StoreAccess):
    """The store gives cosines, and filters by a function."""

    def nearest(self, vector: Sequence[float], k: int, conditions: Conditions) -> list[Found]:
        """See `StoreAccess`."""
        found = self.store.similarity_search_with_score_by_vector(
            list(vector), k, filter=lambda document: holds(conditions, document.metadata)
        )
        return [Found(document, float(score)) for document, score in found]

    def keeper(self) -> StampKeeper:
        """The store itself, for as long as it lives: what `dump` writes has no place for a stamp."""
        return ObjectKeeper(self.store)


class ObjectKeeper(StampKeeper):
    """The store's own object.

    Args:
        store: an `InMemoryVectorStore`.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self.where = "store in memory"

    def read(self) -> str | None:
        """The text that is kept, or `None`."""
        text: str | None = getattr(self._store, KEY, None)
        return text

    def write(self, text: str) -> None:
        """Keep a text."""
        setattr(self._store, KEY, text)

    def dimension(self) -> int | None:
        """That of the first vector."""
        first = next(iter(self._store.store.values()), None)
        return None if first is None else len(first["vector"])
