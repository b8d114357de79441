"""`MultiModalRetriever`: a mixed store's best documents, with places kept for each modality."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
    adispatch_custom_event,
    dispatch_custom_event,
)
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from langchain_core.vectorstores import VectorStore
from pydantic import ConfigDict, Field, PrivateAttr, field_validator

from langchain_llm_multi_core.media_inputs import MediaInput
from langchain_llm_multi_core.search import MODALITIES, aquery_vector, conditions_for, query_vector
from langchain_llm_multi_core.stamping import StampedEmbeddings, embeddings_of
from langchain_llm_multi_core.stores import Found, access_of
from llm_multi_core.embedder import InvalidOptionError
from llm_multi_core.embedder.analysis.calibration import ModalityCalibration
from llm_multi_core.embedder.analysis.quotas import merge_with_quotas
from llm_multi_core.embedder.pipeline.runtime import runtime

EVENT = "multimodal_retrieval"
"""The custom event that callbacks get of each retrieval: how many results of which modality, with what scores."""


class MultiModalRetriever(BaseRetriever):
    """Retrieves texts, pictures and sound from one store, by a text, a picture or a sound.

    In a joint space a query is often nearer to anything of its own modality than to the right thing of
    another, so that a plain top-k is all of one modality. Two ways round it, alone or together: `quotas` keep
    places for modalities, and a `calibration` judges each score by what is usual for its modality.

    Strings are texts. A picture or sound is asked for with `MediaQuery`, which is a string to everything in
    between: `retriever.invoke(MediaQuery(Image("cat.png")))`.

    Example:
        ```python
        retriever = MultiModalRetriever(vectorstore=store, k=6, quotas={"image": 2, "audio": 1})
        documents = retriever.invoke("waves at the shore")
        ```

    Attributes:
        vectorstore: any vector store.
        embeddings: of this package; by default the store's.
        k: documents wanted.
        modalities: which ones to search; by default those of the calibration, or all.
        quotas: places kept by modality; the rest of `k` goes to the best of the others.
        calibration: see `calibrated_on`.
        filter: metadata that documents must have; as in `media_search`.
        check_stamp: whether the store's stamp is checked before the first search, so that a store that another
            model filled is refused. One without a stamp gives a warning.
        stamp_path: beside which file or folder the stamp is kept, if the store has no place for it.

    Each document has its `score` in its metadata: the cosine, or with a calibration the deviations above what is
    usual; of stores that give no scores the inverse of its rank.

    Raises:
        pydantic.ValidationError: for a setting that does not exist, or is not of its type.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True)

    vectorstore: VectorStore
    embeddings: Embeddings | None = None
    k: int = Field(default=4, ge=1)
    modalities: tuple[str, ...] | None = None
    quotas: dict[str, int] = Field(default_factory=dict)
    calibration: ModalityCalibration | None = None
    filter: dict[str, Any] | None = None
    check_stamp: bool = True
    stamp_path: str | os.PathLike[str] | None = None

    _checked: bool = PrivateAttr(default=False)

    @field_validator("modalities")
    @classmethod
    def _known(cls, modalities: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in modalities or ():
            if name not in MODALITIES:
                raise ValueError(f"{name!r} is not one of {', '.join(map(str, MODALITIES))}")
        return modalities

    def calibrated_on(self, queries: Sequence[MediaInput], depth: int = 100) -> Self:
        """This retriever with a calibration from a sample of queries.

        What is usual for a modality is measured on the `depth` nearest documents of each query.

        Args:
            queries: such as will be asked, a dozen or more; what answers them matters little.
            depth: documents of each modality.

        Raises:
            InvalidOptionError: if the store gives no scores.
            InvalidInputError: if there are too few documents of a modality.
        """
        self._guard()
        scores: dict[str, list[float]] = {}
        for query in queries:
            vector = query_vector(self._embeddings(), query)
            for name, found in self._lists(vector, depth, self.modalities or MODALITIES).items():
                scores.setdefault(name, []).extend(_scores(found))
        calibration = ModalityCalibration.fit_scores({name: values for name, values in scores.items() if values})
        return self.model_copy(update={"calibration": calibration})

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        self._guard()
        found = self._find(query_vector(self._embeddings(), query))
        dispatch_custom_event(EVENT, _summary(found), config={"callbacks": run_manager.get_child()})
        return found

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        await runtime.in_thread(self._guard)
        vector = await aquery_vector(self._embeddings(), query)
        found = await runtime.in_thread(self._find, vector)
        await adispatch_custom_event(EVENT, _summary(found), config={"callbacks": run_manager.get_child()})
        return found

    def _find(self, vector: list[float]) -> list[Document]:
        if not self.quotas and self.calibration is None:
            found = access_of(self.vectorstore).nearest(vector, self.k, conditions_for(self.modalities, self.filter))
            return [_with_score(one.document, score) for one, score in zip(found, _ranked(found), strict=True)]
        lists = self._lists(vector, self.k, self._searched())
        by_place = {
            name: list(zip(((name, place) for place in range(len(found))), self._comparable(found), strict=True))
            for name, found in lists.items()
        }
        merge: Callable[..., Any] = merge_with_quotas if self.calibration is None else self.calibration.merge
        hits = merge(by_place, self.k, self.quotas)
        return [_with_score(lists[hit.id[0]][hit.id[1]].document, hit.score) for hit in hits]

    def _lists(self, vector: list[float], k: int, modalities: Sequence[str]) -> dict[str, list[Found]]:
        access = access_of(self.vectorstore)
        return {str(name): access.nearest(vector, k, conditions_for(name, self.filter)) for name in modalities}

    def _searched(self) -> Sequence[str]:
        if self.modalities is not None:
            return self.modalities
        return MODALITIES if self.calibration is None else tuple(self.calibration.statistics)

    def _comparable(self, found: list[Found]) -> list[float]:
        return _ranked(found) if self.calibration is None else _scores(found)

    def _embeddings(self) -> StampedEmbeddings:
        return embeddings_of(self.vectorstore, self.embeddings)

    def _guard(self) -> None:
        """Refuse a store that another model filled, once."""
        if self.check_stamp and not self._checked:
            self._embeddings().check(self.vectorstore, path=self.stamp_path)
            self._checked = True

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        params = super()._get_ls_params(**kwargs)
        embedder = self._embeddings().embedder
        embedders = getattr(embedder, "embedders", None) or {"text": embedder}
        params["ls_vector_store_provider"] = type(self.vectorstore).__name__
        params["ls_embedding_provider"] = ", ".join(dict.fromkeys(each.framework for each in embedders.values()))
        params["ls_embedding_model"] = ", ".join(dict.fromkeys(each.model for each in embedders.values()))
        return params


def _ranked(found: list[Found]) -> list[float]:
    """The scores, or the inverse ranks where there are none."""
    return [1 / rank if one.score is None else one.score for rank, one in enumerate(found, 1)]


def _scores(found: list[Found]) -> list[float]:
    scores = [one.score for one in found if one.score is not None]
    if len(scores) < len(found):
        raise InvalidOptionError("this kind of store gives no scores that could be calibrated; use quotas= alone")
    return scores


def _with_score(document: Document, score: float) -> Document:
    return document.model_copy(update={"metadata": {**document.metadata, "score": score}})


def _summary(found: list[Document]) -> Mapping[str, Any]:
    scores: dict[str, list[float]] = {}
    for document in found:
        scores.setdefault(str(document.metadata.get("modality", "text")), []).append(document.metadata["score"])
    return {"found": {name: len(each) for name, each in scores.items()}, "scores": scores}
