"""Indexes a folder of texts, pictures and recordings with LangChain and with LlamaIndex, and asks both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from langchain_core.vectorstores import InMemoryVectorStore
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import QueryBundle
from media_folder import MediaFolder

from langchain_llm_multi_core import MediaFolderLoader, MultiCoreMultiModalEmbeddings, media_search
from llama_index.embeddings.llm_multi_core import (
    MultiCoreMultiModalEmbedding,
    MultiCoreReader,
    MultiCoreRetriever,
    query_by_audio,
    query_by_image,
)
from llm_multi_core.embedder import Modality
from llm_multi_core.embedder.analysis import ranks_in, recall_at_k

TOP = 3
"""Answers to a question."""


@dataclass(frozen=True)
class Question:
    """What is asked, with a text or with media, and the file that answers it."""

    query: str | Path
    right: Path


@dataclass(frozen=True)
class Direction:
    """Questions in one modality, about files of another."""

    asked: Modality
    wanted: Modality
    questions: tuple[Question, ...]

    def __str__(self) -> str:
        return f"{self.asked} → {self.wanted}"


class Answer(NamedTuple):
    """A file that was found, and the cosine of its vector with the question's."""

    file: Path
    score: float


class Index(ABC):
    """One index of a folder of mixed files."""

    name: str
    size: int
    """Entries in it."""

    @abstractmethod
    def search(self, query: str | Path, asked: Modality, wanted: Modality) -> list[Answer]:
        """The best `TOP` files of a modality for a text, or for a file with media, best first."""

    def answers(self, direction: Direction) -> list[list[Answer]]:
        """The answers to each question."""
        return [self.search(question.query, direction.asked, direction.wanted) for question in direction.questions]


class LangChainIndex(Index):
    """A vector store of LangChain.

    Args:
        library: the folder.
        settings: as of `joint_settings`.
    """

    name = "LangChain"

    def __init__(self, library: Path, settings: Mapping[str, Any]) -> None:
        embeddings = MultiCoreMultiModalEmbeddings(**settings)
        documents = MediaFolderLoader(library, embeddings.library).load()
        self.size = len(documents)
        self._store = InMemoryVectorStore(embeddings)
        self._store.add_documents(documents)

    def search(self, query: str | Path, asked: Modality, wanted: Modality) -> list[Answer]:
        """See `Index`."""
        found = media_search(self._store, query, TOP, modality=wanted)
        return [Answer(Path(document.metadata["source"]), float(score or 0)) for document, score in found]


class LlamaIndexIndex(Index):
    """A vector index of LlamaIndex.

    Args:
        library: the folder.
        settings: as of `joint_settings`.
    """

    name = "LlamaIndex"

    def __init__(self, library: Path, settings: Mapping[str, Any]) -> None:
        self._embedding = MultiCoreMultiModalEmbedding(**settings)
        nodes = MultiCoreReader(library, library=self._embedding.library).load_nodes()
        self.size = len(nodes)
        self._index = VectorStoreIndex(list(self._embedding(nodes)), embed_model=self._embedding)

    def search(self, query: str | Path, asked: Modality, wanted: Modality) -> list[Answer]:
        """See `Index`."""
        bundle: str | QueryBundle = str(query)
        if asked is Modality.IMAGE:
            bundle = query_by_image(self._embedding, query)
        elif asked is Modality.AUDIO:
            bundle = query_by_audio(self._embedding, query)
        found = MultiCoreRetriever(self._index, similarity_top_k=TOP, modalities=[wanted]).retrieve(bundle)
        return [Answer(Path(each.metadata["source"]), float(each.score or 0)) for each in found]


def directions(folder: MediaFolder) -> list[Direction]:
    """Lots of the catalogue asked for in its words, and media asked what lot they show."""
    shown = {Modality.IMAGE: folder.pictures, Modality.AUDIO: folder.recordings}
    by_words = [
        Direction(Modality.TEXT, modality, tuple(Question(folder.lots[lot], file) for file, lot in lots.items()))
        for modality, lots in shown.items()
    ]
    by_media = [
        Direction(modality, Modality.TEXT, tuple(Question(folder.asking[file], lot) for file, lot in lots.items()))
        for modality, lots in shown.items()
    ]
    return by_words + by_media


def recall(direction: Direction, answers: Sequence[Sequence[Answer]], k: int = 1) -> float:
    """The share of questions whose answer is among the first `k`."""
    found = [[answer.file for answer in each] for each in answers]
    return recall_at_k(ranks_in(found, [[question.right] for question in direction.questions]), k)
