"""Stamps of vector stores: kept when a store is filled, checked when it is opened."""

from __future__ import annotations

import os
from abc import abstractmethod
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from langchain_llm_multi_core.stores import StoreAccess, access_of
from llm_multi_core.embedder import BaseEmbedder, InvalidOptionError, MultiModalEmbedder, Stamp
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core.embedder.stores import FileKeeper, MissingStamp, StampKeeper, check_store, stamp_store

AnyEmbedder = BaseEmbedder[Any] | MultiModalEmbedder


class StampedEmbeddings(Embeddings):
    """Embeddings of this package, which know again the stores that they filled."""

    @property
    @abstractmethod
    def embedder(self) -> AnyEmbedder:
        """The embedder itself."""

    def stamp(self, store: VectorStore, *, path: str | os.PathLike[str] | None = None, replace: bool = False) -> Stamp:
        """Keep with a store what tells that these embeddings filled it.

        The stamp is the space's fingerprint and the vectors of fixed probes. Chroma, Qdrant and LanceDB keep it in
        metadata of their own, FAISS in its docstore, which `save_local` saves, `InMemoryVectorStore` as long as it
        lives. It is never among the results.

        Args:
            store: the store.
            path: for any other store, or one that is dumped to a file: the folder or file that it is saved in,
                beside which the stamp is kept.
            replace: also over the stamp of another model, for a store whose documents were all embedded again.

        Returns:
            The stamp that the store has now.

        Raises:
            IncompatibleSpacesError: if another model filled it, or its vectors have another dimension.
            InvalidOptionError: if the store has no place for it, or not yet.
        """
        return stamp_store(_keeper(store, path), self.embedder, replace=replace)

    def check(
        self,
        store: VectorStore,
        *,
        path: str | os.PathLike[str] | None = None,
        missing: MissingStamp = "warn",
        stacklevel: int = 3,
    ) -> float | None:
        """Raise unless these embeddings make the vectors that a store holds. To be called when it is opened.

        Args:
            store: the store.
            path: as for `stamp`.
            missing: what becomes of a store without a stamp: `"warn"` (an `UnstampedIndexWarning`), `"raise"` or
                `"ignore"`.
            stacklevel: of that warning: 3 is who calls this.

        Returns:
            The lowest cosine between the probes' vectors then and now; `None` if there is no stamp.

        Raises:
            IncompatibleSpacesError: if another model filled it, even one of the same dimension and name, or its
                vectors have another dimension.
        """
        return check_store(_keeper(store, path), self.embedder, missing=missing, stacklevel=stacklevel)

    async def astamp(
        self, store: VectorStore, *, path: str | os.PathLike[str] | None = None, replace: bool = False
    ) -> Stamp:
        """`stamp` without blocking the event loop."""
        return await runtime.in_thread(self.stamp, store, path=path, replace=replace)

    async def acheck(
        self, store: VectorStore, *, path: str | os.PathLike[str] | None = None, missing: MissingStamp = "warn"
    ) -> float | None:
        """`check` without blocking the event loop."""
        return await runtime.in_thread(self.check, store, path=path, missing=missing)


def stamp(
    store: VectorStore,
    embeddings: Embeddings | None = None,
    *,
    path: str | os.PathLike[str] | None = None,
    replace: bool = False,
) -> Stamp:
    """`StampedEmbeddings.stamp` for a store that has its embeddings, by itself or in a cache around them."""
    return embeddings_of(store, embeddings).stamp(store, path=path, replace=replace)


def check(
    store: VectorStore,
    embeddings: Embeddings | None = None,
    *,
    path: str | os.PathLike[str] | None = None,
    missing: MissingStamp = "warn",
) -> float | None:
    """`StampedEmbeddings.check` for a store that has its embeddings, by itself or in a cache around them."""
    return embeddings_of(store, embeddings).check(store, path=path, missing=missing, stacklevel=4)


def embeddings_of(store: VectorStore, embeddings: Embeddings | None = None) -> StampedEmbeddings:
    """The embeddings of this package that a store uses; those that were given, if any.

    Raises:
        InvalidOptionError: if they are others, or the store does not give them away.
    """
    found: Any = embeddings if embeddings is not None else getattr(store, "embeddings", None)
    found = getattr(found, "underlying_embeddings", found)  # LangChain's cache around them
    if not isinstance(found, StampedEmbeddings):
        have = "no embeddings that it gives away" if found is None else type(found).__name__
        raise InvalidOptionError(
            f"the {type(store).__name__} has {have}; pass embeddings= of langchain_llm_multi_core that fill it"
        )
    return found


def _keeper(store: VectorStore, path: str | os.PathLike[str] | None) -> StampKeeper:
    access = access_of(store)
    return access.keeper() if path is None else _BesideKeeper(path, access)


class _BesideKeeper(FileKeeper):
    """A file beside the index of a store that may know the dimension of what it holds."""

    def __init__(self, path: str | os.PathLike[str], access: StoreAccess) -> None:
        super().__init__(path)
        self._access = access

    def dimension(self) -> int | None:
        return self._access.keeper().dimension()
