"""`MultiCoreRetriever`: the best of an index of several modalities, with places kept for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.indices import VectorStoreIndex
from llama_index.core.indices.vector_store.retrievers import VectorIndexRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.vector_stores import FilterCondition, MetadataFilter, MetadataFilters
from llama_index.core.vector_stores.types import BasePydanticVectorStore

from llama_index.embeddings.llm_multi_core.media_batches import MediaBatches
from llm_multi_core.embedder import InvalidOptionError, Modality
from llm_multi_core.embedder.analysis import ModalityCalibration, merge_with_quotas

MODALITIES: tuple[str, ...] = (Modality.TEXT, Modality.IMAGE, Modality.AUDIO)

_WIDER = 4
"""By how much more is fetched at a time where a store cannot filter."""

Lists = Mapping[str, list[NodeWithScore]]
"""What was found, best first, by modality."""


class MultiCoreRetriever(BaseRetriever):
    """Retrieves texts, pictures and sound from one index, by a text, a picture or a sound.

    In a joint space a query is often nearer to anything of its own modality than to the right thing of
    another, so that a plain top-k is all of one modality. Two ways round it, alone or together: `quotas` keep
    places for modalities, and a `calibration` judges each score by what is usual for its modality.

    Each modality is searched for by the metadata of `MultiCoreReader` and `with_media_metadata`. Where a
    store cannot filter (FAISS), more is fetched until there is enough of each.

    A string asks by text, a `QueryBundle` by its vector, its `image_path` or its text: see `query_by_image`
    and `query_by_audio`.

    Args:
        index: the index; its embedding, if `embed_model` is not given, embeds what is asked.
        similarity_top_k: results wanted; fewer are given if there are no more.
        quotas: places kept by modality; the rest goes to the best of the others.
        modalities: which ones to search; by default those of the calibration, or all.
        calibration: see `calibrated_on`.
        filters: metadata that results must have.
        embed_model: what embeds what is asked.
        callback_manager: as of every retriever.

    Raises:
        InvalidOptionError: for a number, modality or quota that does not fit.
    """

    def __init__(
        self,
        index: VectorStoreIndex,
        *,
        similarity_top_k: int = 10,
        quotas: Mapping[str, int] | None = None,
        modalities: Sequence[str] | None = None,
        calibration: ModalityCalibration | None = None,
        filters: MetadataFilters | None = None,
        embed_model: MediaBatches | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        known = MODALITIES if calibration is None else tuple(calibration.statistics)
        searched = known if modalities is None else tuple(modalities)
        for name in (*searched, *(quotas or {})):
            if name not in MODALITIES or name not in searched:
                raise InvalidOptionError(f"{name!r} is not one of {', '.join(map(repr, map(str, searched)))}")
        self._index = index
        self._top_k = similarity_top_k
        self._quotas = dict(quotas or {})
        self._modalities = searched
        self._calibration = calibration
        self._filters = filters
        self._embed_model: Any = embed_model if embed_model is not None else index._embed_model
        # Quotas that do not fit are told now, and not when the first question is asked.
        merge_with_quotas({name: [] for name in searched}, similarity_top_k, self._quotas)
        super().__init__(callback_manager=callback_manager)

    def calibrated_on(self, queries: Sequence[str | QueryBundle], depth: int = 100) -> MultiCoreRetriever:
        """This retriever with a calibration from a sample of queries.

        What is usual for a modality is measured on the `depth` nearest entries of each query.

        Args:
            queries: such as will be asked, a dozen or more; what answers them matters little.
            depth: entries of each modality.

        Raises:
            InvalidInputError: if there are too few entries of a modality.
            InvalidOptionError: if the store gives no scores.
        """
        scores: dict[str, list[float]] = {}
        for query in queries:
            vector = self._vector(QueryBundle(query) if isinstance(query, str) else query)
            for name, found in _scored(self._lists(vector, depth)).items():
                scores.setdefault(name, []).extend(score for _, score in found)
        return MultiCoreRetriever(
            self._index,
            similarity_top_k=self._top_k,
            quotas=self._quotas,
            modalities=self._modalities,
            calibration=ModalityCalibration.fit_scores({name: found for name, found in scores.items() if found}),
            filters=self._filters,
            embed_model=self._embed_model,
            callback_manager=self.callback_manager,
        )

    @property
    def calibration(self) -> ModalityCalibration | None:
        """What is usual for each modality, if it is known."""
        return self._calibration

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._merged(self._lists(self._vector(query_bundle), self._top_k))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        vector = await self._avector(query_bundle)
        store = self._index.vector_store
        if store.client is None and type(store).aquery is not BasePydanticVectorStore.aquery:
            return self._merged(await self._alists(vector, self._top_k))  # it has an asynchronous client alone
        # Most stores of LlamaIndex search on the event loop even when they are asked asynchronously.
        return self._merged(await asyncio.to_thread(self._lists, vector, self._top_k))

    def _vector(self, query: QueryBundle) -> list[float]:
        if query.embedding is not None:
            return query.embedding
        if query.image_path is not None:
            by_image: list[float] = self._embed_model.get_image_query_embedding(query.image_path)
            return by_image
        by_text: list[float] = self._embed_model.get_agg_embedding_from_queries(query.embedding_strs)
        return by_text

    async def _avector(self, query: QueryBundle) -> list[float]:
        if query.embedding is not None:
            return query.embedding
        if query.image_path is not None:
            by_image: list[float] = await self._embed_model.aget_image_query_embedding(query.image_path)
            return by_image
        by_text: list[float] = await self._embed_model.aget_agg_embedding_from_queries(query.embedding_strs)
        return by_text

    # Searching.

    def _lists(self, vector: list[float], k: int) -> Lists:
        try:
            return {name: self._nearest(vector, k, self._filters_for(name)) for name in self._modalities}
        except (ValueError, NotImplementedError):
            # As FAISS says that it cannot filter. Whatever else it was shows again without a filter.
            if self._filters is not None:
                raise
            return self._sorted_out(vector, k)

    async def _alists(self, vector: list[float], k: int) -> Lists:
        searches = [self._searcher(k, self._filters_for(name)) for name in self._modalities]
        found = await asyncio.gather(*(one.aretrieve(QueryBundle("", embedding=vector)) for one in searches))
        return dict(zip(self._modalities, found, strict=True))

    def _sorted_out(self, vector: list[float], k: int) -> Lists:
        """The nearest of each modality, from as many of all as that takes."""
        fetched = k * len(self._modalities)
        while True:
            found = self._nearest(vector, fetched, None)
            lists: dict[str, list[NodeWithScore]] = {name: [] for name in self._modalities}
            for node in found:
                modality = node.metadata.get("modality", Modality.TEXT)
                if modality in lists and len(lists[modality]) < k:
                    lists[modality].append(node)
            if len(found) < fetched or all(len(of_one) == k for of_one in lists.values()):
                return lists
            fetched *= _WIDER

    def _nearest(self, vector: list[float], k: int, filters: MetadataFilters | None) -> list[NodeWithScore]:
        return self._searcher(k, filters).retrieve(QueryBundle("", embedding=vector))

    def _searcher(self, k: int, filters: MetadataFilters | None) -> VectorIndexRetriever:
        # Not `index.as_retriever`, which may limit a search to the ids of images.
        return VectorIndexRetriever(self._index, similarity_top_k=k, filters=filters)

    def _filters_for(self, modality: str) -> MetadataFilters:
        own = MetadataFilter(key="modality", value=str(modality))
        if self._filters is None:
            return MetadataFilters(filters=[own])
        if self._filters.condition in (None, FilterCondition.AND):
            return MetadataFilters(filters=[*self._filters.filters, own])
        return MetadataFilters(filters=[self._filters, own])

    # Merging.

    def _merged(self, lists: Lists) -> list[NodeWithScore]:
        nodes = {found.node.node_id: found.node for of_one in lists.values() for found in of_one}
        merge: Callable[..., Any] = merge_with_quotas if self._calibration is None else self._calibration.merge
        hits = merge(_scored(lists), self._top_k, self._quotas)
        return [NodeWithScore(node=nodes[hit.id], score=hit.score) for hit in hits]


def _scored(lists: Lists) -> dict[str, list[tuple[str, float]]]:
    """Ids and scores, higher being better.

    Raises:
        InvalidOptionError: if the store gives no scores.
    """
    scored: dict[str, list[tuple[str, float]]] = {}
    for name, found in lists.items():
        scored[name] = []
        for node in found:
            if node.score is None:
                raise InvalidOptionError("this store gives no scores, by which modalities could be merged")
            scored[name].append((node.node.node_id, float(node.score)))
    rises = any(found[0][1] < found[-1][1] for found in scored.values() if found)
    # FAISS gives distances where its index measures them: the best then comes first with the lowest.
    sign = -1.0 if rises else 1.0
    return {name: [(found_id, sign * score) for found_id, score in found] for name, found in scored.items()}
