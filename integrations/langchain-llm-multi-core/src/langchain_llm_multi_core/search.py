"""Search in any vector store by a text, a picture or a sound."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from langchain_llm_multi_core.media_inputs import MediaInput
from langchain_llm_multi_core.media_roles import MediaEmbeddings
from langchain_llm_multi_core.stamping import embeddings_of
from langchain_llm_multi_core.stores import Where, access_of
from langchain_llm_multi_core.stores.filters import Conditions, conditions_of
from llm_multi_core.embedder import InvalidOptionError, Modality
from llm_multi_core.embedder.analysis.retrieval import check_k
from llm_multi_core.embedder.pipeline.runtime import runtime

MODALITIES: tuple[str, ...] = (Modality.TEXT, Modality.IMAGE, Modality.AUDIO)


def media_search(
    store: VectorStore,
    query: MediaInput,
    k: int = 4,
    *,
    modality: str | Sequence[str] | None = None,
    filter: Where | None = None,  # noqa: A002 - LangChain's word
    embeddings: Embeddings | None = None,
) -> list[tuple[Document, float | None]]:
    """The documents nearest to a text, a picture or a sound.

    Args:
        store: any vector store.
        query: a string, which is always a text; or a `Blob`, `Image`, `Audio`, path, PIL image, bytes, or a
            document or record of media.
        k: results wanted; fewer are given if there are no more.
        modality: only documents of this one, or of these.
        filter: only documents whose metadata have these values; a list means any of them. The same for
            every store: where one cannot filter, more is fetched and filtered here.
        embeddings: of this package; by default the store's.

    Returns:
        Documents with their cosine to the query, best first. The cosine is `None` for stores that nothing is
        known of, since their scores may be distances.

    Raises:
        InvalidInputError: if the query cannot be embedded.
        IncompatibleSpacesError: if its modality does not reach the joint space.
        InvalidOptionError: for a `k`, modality or filter that does not exist, or a picture or sound as a query
            with embeddings of texts.
    """
    check_k(k)
    conditions = conditions_for(modality, filter)
    vector = query_vector(embeddings_of(store, embeddings), query)
    return [(document, score) for document, score in access_of(store).nearest(vector, k, conditions)]


async def amedia_search(
    store: VectorStore,
    query: MediaInput,
    k: int = 4,
    *,
    modality: str | Sequence[str] | None = None,
    filter: Where | None = None,  # noqa: A002 - LangChain's word
    embeddings: Embeddings | None = None,
) -> list[tuple[Document, float | None]]:
    """`media_search` without blocking the event loop; the store is searched in a thread."""
    check_k(k)
    conditions = conditions_for(modality, filter)
    vector = await aquery_vector(embeddings_of(store, embeddings), query)
    found = await runtime.in_thread(access_of(store).nearest, vector, k, conditions)
    return [(document, score) for document, score in found]


def query_vector(embeddings: Embeddings, query: MediaInput) -> list[float]:
    """The vector of a query.

    Raises:
        InvalidOptionError: for a picture or sound with embeddings of texts.
    """
    if isinstance(query, str):
        return embeddings.embed_query(query)
    return _media(embeddings).embed_media_query(query)


async def aquery_vector(embeddings: Embeddings, query: MediaInput) -> list[float]:
    """`query_vector` without blocking the event loop."""
    if isinstance(query, str):
        return await embeddings.aembed_query(query)
    return await _media(embeddings).aembed_media_query(query)


def conditions_for(modality: str | Sequence[str] | None, where: Where | None) -> Conditions:
    """A filter, and a modality as a part of it.

    Raises:
        InvalidOptionError: for a modality that does not exist, or a filter that contradicts it.
    """
    conditions = conditions_of(where)
    if modality is None:
        return conditions
    names = (modality,) if isinstance(modality, str) else tuple(modality)
    for name in names:
        if name not in MODALITIES:
            raise InvalidOptionError(f"modality={name!r} is not one of {', '.join(map(repr, map(str, MODALITIES)))}")
    wanted = conditions.get("modality", names)
    both = tuple(str(name) for name in names if name in wanted)
    if not both:
        raise InvalidOptionError(f"modality={modality!r} and filter={{'modality': ...}} contradict each other")
    return {**conditions, "modality": both}


def _media(embeddings: Embeddings) -> MediaEmbeddings:
    if isinstance(embeddings, MediaEmbeddings):
        return embeddings
    raise InvalidOptionError(
        f"{type(embeddings).__name__} embed texts only; a picture or sound as a query needs "
        "MultiCoreMultiModalEmbeddings"
    )
