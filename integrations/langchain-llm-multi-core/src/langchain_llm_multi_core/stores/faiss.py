"""`FAISS` of langchain-community."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.documents import Document

from langchain_llm_multi_core.stores.access import StoreAccess
from langchain_llm_multi_core.stores.filters import Conditions, Found, filtered
from llm_multi_core.embedder.stores import StampKeeper
from llm_multi_core.embedder.stores.keepers import KEY

_INNER_PRODUCT, _SQUARED_EUCLIDEAN = 0, 1  # faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2


class FaissAccess(StoreAccess):
    """FAISS gives squared distances or inner products, and knows nothing of metadata."""

    def nearest(self, vector: Sequence[float], k: int, conditions: Conditions) -> list[Found]:
        """See `StoreAccess`."""
        total: int = self.store.index.ntotal
        return filtered(lambda amount: self._search(vector, min(amount, total)), k, conditions) if total else []

    def keeper(self) -> StampKeeper:
        """An entry of the docstore, which is saved with the index, and which no vector leads to."""
        return DocstoreKeeper(self.store)

    def _search(self, vector: Sequence[float], k: int) -> list[Found]:
        found = self.store.similarity_search_with_score_by_vector(list(vector), k)
        return [Found(document, self._cosine(float(score))) for document, score in found]

    def _cosine(self, score: float) -> float | None:
        metric = self.store.index.metric_type
        if metric == _SQUARED_EUCLIDEAN:
            return 1 - score / 2
        return score if metric == _INNER_PRODUCT else None


class DocstoreKeeper(StampKeeper):
    """An entry of a FAISS store's docstore.

    Args:
        store: a `FAISS`.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self.where = "FAISS index"

    def read(self) -> str | None:
        """The entry's text."""
        entry = self._store.docstore.search(KEY)
        return entry.page_content if isinstance(entry, Document) else None  # a string says that it was not found

    def write(self, text: str) -> None:
        """The entry anew."""
        if self.read() is not None:
            self._store.docstore.delete([KEY])
        self._store.docstore.add({KEY: Document(text)})

    def dimension(self) -> int | None:
        """What the index was made for."""
        return int(self._store.index.d)
