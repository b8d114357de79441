"""Keys for LlamaIndex's `embeddings_cache` that tell models, roles and modalities apart.

`BaseEmbedding` looks a vector up under the text alone. Then a query gets the vector of a document of
the same words, and a second model on the same store gets the first one's vectors. `MultiModalEmbedding`
looks media up nowhere; here they have entries under what they hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256
from typing import Any, Literal
from uuid import uuid4

from llama_index.core.storage.kvstore.types import DEFAULT_COLLECTION, BaseKVStore

Role = Literal["query", "document"]
_role: ContextVar[Role] = ContextVar("llm_multi_core_role", default="document")

VECTORS = "embeddings"
"""The collection that LlamaIndex keeps vectors in."""


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

    A key is the SHA-256 of the scope, the role and the text; for media, of the modality and the content's
    hash in place of the text. `get_all` gives the underlying store's entries as they are.

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

    # Vectors of anything, by what it holds.

    def vector(self, kind: str, content: str, role: Role) -> list[float] | None:
        """The vector that is kept for a content, or `None`.

        Args:
            kind: its modality.
            content: the text, or what identifies the content of media.
            role: what the vector is for.
        """
        return _vector_in(self.store.get(self._key(content, role, kind), collection=VECTORS))

    async def avector(self, kind: str, content: str, role: Role) -> list[float] | None:
        """`vector` without blocking the event loop."""
        return _vector_in(await self.store.aget(await self._akey(content, role, kind), collection=VECTORS))

    def keep(self, kind: str, content: str, role: Role, vector: list[float]) -> None:
        """Keep the vector of a content."""
        self.store.put(self._key(content, role, kind), {str(uuid4()): vector}, collection=VECTORS)

    async def akeep(self, kind: str, content: str, role: Role, vector: list[float]) -> None:
        """`keep` without blocking the event loop."""
        await self.store.aput(await self._akey(content, role, kind), {str(uuid4()): vector}, collection=VECTORS)

    def _key(self, content: str, role: Role | None = None, kind: str = "text") -> str:
        if self._found is None:
            self._found = self._scope()
        use = role or _role.get()
        # No role has a colon, and no text comes before the first zero byte: media and texts never collide.
        name = use if kind == "text" else f"{use}:{kind}"
        # Surrogates pass, so that it is the embedder that refuses such a text, and says why.
        return sha256(f"{self._found}\0{name}\0{content}".encode("utf-8", "surrogatepass")).hexdigest()

    async def _akey(self, content: str, role: Role | None = None, kind: str = "text") -> str:
        if self._found is None:  # finding it reads the model's files
            return await asyncio.to_thread(self._key, content, role, kind)
        return self._key(content, role, kind)

    def _both_keys(self, key: str) -> tuple[str, str]:
        return self._key(key, "query"), self._key(key, "document")


def _vector_in(entry: dict[str, Any] | None) -> list[float] | None:
    # LlamaIndex keeps a vector under an id of no meaning.
    return next(iter(entry.values()), None) if entry is not None else None
