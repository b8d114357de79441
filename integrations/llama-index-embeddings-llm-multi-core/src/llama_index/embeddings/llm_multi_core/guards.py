"""Guarding an index of LlamaIndex: it knows the model that filled it, and refuses another.

The stamp lies in the vector store itself where that has a place for it: a Chroma collection, a Qdrant
collection, a LanceDB table. Of others (FAISS, LlamaIndex's own) it lies in the folder that the index is
persisted in.
"""

from __future__ import annotations

import os
from typing import Any, TypeAlias

from llama_index.core.indices import VectorStoreIndex
from llama_index.core.vector_stores.types import BasePydanticVectorStore

from llama_index.embeddings.llm_multi_core.adapted import AdaptedEmbedding
from llm_multi_core.embedder import InvalidOptionError, MultiModalEmbedder, Stamp, TextEmbedder
from llm_multi_core.embedder.stores import (
    ChromaKeeper,
    FileKeeper,
    LanceKeeper,
    MissingStamp,
    QdrantKeeper,
    StampKeeper,
    check_store,
    stamp_store,
)

Folder: TypeAlias = str | os.PathLike[str]


def stamp_index(
    index: VectorStoreIndex | BasePydanticVectorStore,
    embed_model: AdaptedEmbedding | None = None,
    *,
    persist_dir: Folder | None = None,
    replace: bool = False,
) -> Stamp:
    """Keep with an index what it takes to know the model that filled it; embeds a few probes of each modality.

    Args:
        index: the index, or its vector store.
        embed_model: the embedding that filled it; by default the index's.
        persist_dir: the folder that the index was persisted in, for stores that have no place for a stamp.
        replace: also over the stamp of another space, for an index whose entries were all embedded again.

    Returns:
        The stamp that the index has now.

    Raises:
        IncompatibleSpacesError: if it has the stamp of another space, or vectors of another dimension.
        InvalidOptionError: if there is no place for the stamp, or the index is still empty.
    """
    return stamp_store(_keeper(index, persist_dir), _embedder(index, embed_model), replace=replace)


def check_index(
    index: VectorStoreIndex | BasePydanticVectorStore,
    embed_model: AdaptedEmbedding | None = None,
    *,
    persist_dir: Folder | None = None,
    missing: MissingStamp = "warn",
) -> float | None:
    """Raise unless an embedding makes the vectors that an index holds. To be called whenever one is opened.

    Args:
        index: the index, or its vector store.
        embed_model: the embedding that it is to be used with; by default the index's.
        persist_dir: the folder that the index was persisted in, for stores that have no place for a stamp.
        missing: what becomes of an index without a stamp: `"warn"` (`UnstampedIndexWarning`), `"raise"` or
            `"ignore"`.

    Returns:
        The lowest cosine between the probes' vectors then and now; `None` if it has no stamp.

    Raises:
        IncompatibleSpacesError: if the model, its prompts, dimensions or alignments are others than those that
            filled it; or with `missing="raise"` if it has no stamp.
        InvalidOptionError: if there is no place for a stamp, or the index is still empty.
    """
    return check_store(_keeper(index, persist_dir), _embedder(index, embed_model), missing=missing, stacklevel=3)


def _embedder(index: Any, embed_model: AdaptedEmbedding | None) -> TextEmbedder | MultiModalEmbedder:
    chosen = embed_model if embed_model is not None else getattr(index, "_embed_model", None)
    if not isinstance(chosen, AdaptedEmbedding):
        raise InvalidOptionError(
            "a stamp is taken of a MultiCoreEmbedding or a MultiCoreMultiModalEmbedding, and not of a "
            f"{type(chosen).__name__}; pass embed_model="
        )
    return chosen.embedder


def _keeper(index: Any, persist_dir: Folder | None) -> StampKeeper:
    """Where the stamp of an index lies. Stores are told by what they can do, since none is imported here."""
    store = getattr(index, "vector_store", index)
    if hasattr(type(store), "table") and hasattr(store, "vector_column_name"):
        try:
            table = store.table
        except Exception as error:  # its own kind, which is not imported here
            raise InvalidOptionError(
                f"this LanceDB store has no table yet ({error}); add documents first, then stamp it"
            ) from error
        return LanceKeeper(table, store.vector_column_name)
    client = store.client
    if hasattr(store, "collection_name") and hasattr(client, "update_collection"):
        return QdrantKeeper(client, store.collection_name, getattr(store, "dense_vector_name", ""))
    if hasattr(client, "modify") and hasattr(client, "metadata"):
        return ChromaKeeper(client)
    if persist_dir is None:
        raise InvalidOptionError(
            f"{type(store).__name__} has no place for a stamp of its own; pass persist_dir=, the folder that the index "
            "was persisted in"
        )
    return FileKeeper(persist_dir)
