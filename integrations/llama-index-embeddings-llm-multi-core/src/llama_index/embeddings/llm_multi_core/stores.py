"""Keys for LlamaIndex's `embeddings_cache` that tell models and roles apart.

`BaseEmbedding` looks a vector up under the text alone. Then a query gets the vector of a document of
the same words, and a second model on the same store gets the first one's vectors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256
from typing import Any, Literal

from llama_index.core.storage.kvstore.types import DEFAULT_COLLECTION, BaseKVStore

_Role = Literal["query", "document"]
_role: ContextVar[_Role] = ContextVar("llm_multi_core_role", default="document")


@contextmanager
def looking_up_queries() -> Iterator[None]:
    """Within this block, keys are those of queries; otherwise of documents."""
    token = _role.set("query")
    try:
        yield
    finally:
        _role.reset(token)


class ScopedStore(BaseKVStore):
    """A key-value store as one embedder may see it: the same texts, under keys of its own.

    A key is the SHA-256 of the scope, the role and the text. `get_all` gives the underlying store's
    entries as they are.

    Args:
        store: where the entries are kept; any number of embedders may share it.
        scope: gives what separates this embedder's entries from others'; asked at first use.
    """

    def __init__(self, store: BaseKVStore, scope: Callable[[], str]) -> None:
        self.store = store
        self._scope = scope
        self._found: str | None = None

    def put(self, key: str, val: dict[str, Any], collection: str = DEFAULT_COLLECTION) -> None:
        """Keep `val` for the text `key`."""
        self.store.put(self._key(key), val, collection=collection)

    async def aput(self, key: str, val: dict[str, Any], collection: str = DEFAULT_COLLECTION) -> None:
        """Keep `val` for the text `key`."""
        await self.store.aput(await self._akey(key), val, collection=collection)

    def get(self, key: str, collection: str = DEFAULT_COLLECTION) -> dict[str, Any] | None:
        """What was kept for the text `key`, or `None`."""
        return self.store.get(self._key(key), collection=collection)

    async def aget(self, key: str, collection: str = DEFAULT_COLLECTION) -> dict[str, Any] | None:
        """What was kept for the text `key`, or `None`."""
        return await self.store.aget(await self._akey(key), collection=collection)

    def get_all(self, collection: str = DEFAULT_COLLECTION) -> dict[str, dict[str, Any]]:
        """Every entry of the underlying store, of all embedders."""
        return self.store.get_all(collection=collection)

    async def aget_all(self, collection: str = DEFAULT_COLLECTION) -> dict[str, dict[str, Any]]:
        """Every entry of the underlying store, of all embedders."""
        return await self.store.aget_all(collection=collection)

    def delete(self, key: str, collection: str = DEFAULT_COLLECTION) -> bool:
        """Drop what was kept for the text `key`, as a query and as a document; whether there was any."""
        deleted = [self.store.delete(own, collection=collection) for own in self._both_keys(key)]
        return any(deleted)

    async def adelete(self, key: str, collection: str = DEFAULT_COLLECTION) -> bool:
        """`delete` without blocking the event loop."""
        await self._akey(key)
        deleted = [await self.store.adelete(own, collection=collection) for own in self._both_keys(key)]
        return any(deleted)

    def _key(self, text: str, role: _Role | None = None) -> str:
        if self._found is None:
            self._found = self._scope()
        # Surrogates pass, so that it is the embedder that refuses such a text, and says why.
        content = f"{self._found}\0{role or _role.get()}\0{text}".encode("utf-8", "surrogatepass")
        return sha256(content).hexdigest()

    async def _akey(self, text: str) -> str:
        if self._found is None:  # finding it reads the model's files
            return await asyncio.to_thread(self._key, text)
        return self._key(text)

    def _both_keys(self, text: str) -> tuple[str, str]:
        return self._key(text, "query"), self._key(text, "document")
