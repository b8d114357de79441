"""Guarding a Chroma collection: it knows the model that filled it, whatever function it is opened with."""

from __future__ import annotations

from typing import Any

from llm_multi_core.embedder import InvalidOptionError, MultiModalEmbedder, Stamp
from llm_multi_core.embedder.stores import ChromaKeeper, MissingStamp, check_store, stamp_store
from llm_multi_core_chromadb.function import MultiCoreEmbeddingFunction


def stamp_collection(
    collection: Any, embedding_function: MultiCoreEmbeddingFunction | None = None, *, replace: bool = False
) -> Stamp:
    """Keep with a collection, in its metadata, what it takes to know the model that filled it.

    Args:
        collection: a `chromadb.Collection`.
        embedding_function: what filled it; by default what it was opened with.
        replace: also over the stamp of another space, for a collection that was embedded again.

    Raises:
        IncompatibleSpacesError: if it has the stamp of another space, or vectors of another dimension.
        InvalidOptionError: if there is no embedding function of this package.
    """
    return stamp_store(ChromaKeeper(collection), _embedder(collection, embedding_function), replace=replace)


def check_collection(
    collection: Any,
    embedding_function: MultiCoreEmbeddingFunction | None = None,
    *,
    missing: MissingStamp = "warn",
) -> float | None:
    """Raise unless an embedding function makes the vectors that a collection holds.

    Chroma itself compares only the names of functions. To be called whenever a collection is opened.

    Args:
        collection: a `chromadb.Collection`.
        embedding_function: what it is to be used with; by default what it was opened with.
        missing: what becomes of one without a stamp: `"warn"`, `"raise"` or `"ignore"`.

    Returns:
        The lowest cosine between the probes' vectors then and now; `None` if it has no stamp.

    Raises:
        IncompatibleSpacesError: if the vectors are others; or with `missing="raise"` if it has no stamp.
        InvalidOptionError: if there is no embedding function of this package.
    """
    keeper, embedder = ChromaKeeper(collection), _embedder(collection, embedding_function)
    return check_store(keeper, embedder, missing=missing, stacklevel=3)


def _embedder(collection: Any, embedding_function: MultiCoreEmbeddingFunction | None) -> MultiModalEmbedder:
    candidates = (
        embedding_function,
        getattr(collection, "_embedding_function", None),
        collection.configuration.get("embedding_function"),  # of one that was opened without
    )
    for candidate in candidates:
        if isinstance(candidate, MultiCoreEmbeddingFunction):
            return candidate.embedder
    raise InvalidOptionError(
        f"collection {collection.name!r} was not opened with a MultiCoreEmbeddingFunction; pass embedding_function="
    )
