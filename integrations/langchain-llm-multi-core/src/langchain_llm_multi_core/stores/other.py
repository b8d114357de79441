"""Any other vector store, by what all have in common: documents by vector, best first, without scores."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_llm_multi_core.stores.access import NoPlace, StoreAccess
from langchain_llm_multi_core.stores.filters import Conditions, Found, filtered
from llm_multi_core.embedder.stores import StampKeeper


class OtherAccess(StoreAccess):
    """Scores of unknown stores may be similarities or distances, so none are taken; filters are applied here."""

    def nearest(self, vector: Sequence[float], k: int, conditions: Conditions) -> list[Found]:
        """See `StoreAccess`."""
        return filtered(lambda amount: self._search(vector, amount), k, conditions)

    def keeper(self) -> StampKeeper:
        """None is known."""
        kind = type(self.store).__name__
        return NoPlace(
            kind,
            f"nothing is known of where a {kind} could keep a stamp; pass path= of a folder, or of the file that it "
            "is saved in, and the stamp is kept beside it",
        )

    def _search(self, vector: Sequence[float], k: int) -> list[Found]:
        return [Found(document, None) for document in self.store.similarity_search_by_vector(list(vector), k)]
