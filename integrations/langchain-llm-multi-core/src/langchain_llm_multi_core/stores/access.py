"""`StoreAccess`: one kind of vector store, seen as what search, stamps and retrieval need of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from langchain_core.vectorstores import VectorStore

from langchain_llm_multi_core.stores.filters import Conditions, Found
from llm_multi_core.embedder import InvalidOptionError
from llm_multi_core.embedder.stores import StampKeeper

_KINDS = {
    "Chroma": "chroma:ChromaAccess",
    "QdrantVectorStore": "qdrant:QdrantAccess",
    "FAISS": "faiss:FaissAccess",
    "LanceDB": "lancedb:LanceAccess",
    "InMemoryVectorStore": "memory:MemoryAccess",
}
"""By the name of a store's class: module and class here. Any other is handled by what every store has."""


class StoreAccess(ABC):
    """A vector store of one kind.

    Scores are cosines for vectors of length 1, which embedders make unless told otherwise.

    Attributes:
        store: the store.
    """

    def __init__(self, store: Any) -> None:
        self.store = store

    @abstractmethod
    def nearest(self, vector: Sequence[float], k: int, conditions: Conditions) -> list[Found]:
        """The best `k` documents whose metadata meet conditions, best first.

        Args:
            vector: `d` floats.
            k: results wanted, at least 1; fewer are given if there are no more.
            conditions: as of `conditions_of`.
        """

    @abstractmethod
    def keeper(self) -> StampKeeper:
        """The place for a stamp."""


class NoPlace(StampKeeper):
    """Of a store that has no place for a stamp, or not yet.

    Args:
        where: the store, as messages name it.
        reason: why none can be kept, and what to do.
    """

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        self._reason = reason

    def read(self) -> str | None:
        """Nothing."""
        return None

    def write(self, text: str) -> None:
        """Refuse.

        Raises:
            InvalidOptionError: always, with the reason.
        """
        raise InvalidOptionError(self._reason)


def access_of(store: VectorStore) -> StoreAccess:
    """What is known of a store's kind.

    Raises:
        InvalidOptionError: if it is no vector store.
    """
    if not isinstance(store, VectorStore):
        raise InvalidOptionError(f"a LangChain vector store is needed here, not {type(store).__name__}")
    names = (base.__name__ for base in type(store).__mro__)
    target = next((_KINDS[name] for name in names if name in _KINDS), "other:OtherAccess")
    module, _, name = target.partition(":")
    access: type[StoreAccess] = getattr(import_module(f"{__package__}.{module}"), name)
    return access(store)
