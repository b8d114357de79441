"""A retriever over a mixed store: quotas, calibrated scores, queries of every modality, traces."""

import pickle

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from pydantic import ValidationError

from langchain_llm_multi_core import (
    MediaFolderLoader,
    MediaQuery,
    MultiModalRetriever,
    media_search,
    stamp,
)
from langchain_llm_multi_core.retriever import EVENT
from llm_multi_core.embedder import Image, InvalidOptionError
from llm_multi_core.embedder.analysis.calibration import ModalityCalibration, ScoreStatistics
from llm_multi_core.embedder.testing.media import draw_picture

GAP = ModalityCalibration(
    {
        "text": ScoreStatistics(0.8, 0.05),
        "image": ScoreStatistics(-0.2, 0.05),
        "audio": ScoreStatistics(-0.2, 0.05),
    }
)


def filled(store, folder, library, **settings):
    """A store with the folder's documents and ten texts, stamped."""
    for number in range(10):
        (folder / f"text {number}.txt").write_text(f"This is text number {number}")
    store.add_documents(MediaFolderLoader(folder, library, **settings).load())
    stamp(store)
    return store


@pytest.fixture
def store(place, mixed, library, folder):
    """One of the four; what all stores have in common is tried with the one in memory."""
    return filled(place.open(mixed(library)), folder, library, uniform_metadata=place.uniform)


@pytest.fixture
def in_memory(mixed, library, folder):
    return filled(InMemoryVectorStore(mixed(library)), folder, library)


def modalities(documents):
    return [document.metadata["modality"] for document in documents]


def test_without_quotas_it_is_the_plain_top_k(in_memory):
    retriever = MultiModalRetriever(vectorstore=in_memory, k=5)
    found = retriever.invoke("a question")
    assert [document.page_content for document in found] == [
        document.page_content for document, _ in media_search(in_memory, "a question", k=5)
    ]
    scores = [document.metadata["score"] for document in found]
    assert scores == sorted(scores, reverse=True)


async def test_quotas_keep_places(store):
    retriever = MultiModalRetriever(vectorstore=store, k=6, quotas={"image": 2, "audio": 1})
    for found in (retriever.invoke("a question"), await retriever.ainvoke("a question")):
        assert len(found) == 6
        assert modalities(found).count("image") >= 2
        assert modalities(found).count("audio") >= 1
    fixed = MultiModalRetriever(vectorstore=store, k=3, quotas={"text": 1, "image": 1, "audio": 1})
    assert sorted(modalities(fixed.invoke("a question"))) == ["audio", "image", "text"]


def test_quotas_take_the_best_of_each(in_memory):
    retriever = MultiModalRetriever(vectorstore=in_memory, k=3, quotas={"image": 2, "audio": 1})
    found = {document.page_content for document in retriever.invoke("a question")}
    best = media_search(in_memory, "a question", k=2, modality="image") + media_search(
        in_memory, "a question", k=1, modality="audio"
    )
    assert found == {document.page_content for document, _ in best}


def test_a_picture_or_sound_is_a_query(store, folder):
    retriever = MultiModalRetriever(vectorstore=store, k=1)
    chain = RunnableLambda(lambda query: query) | retriever
    for path in (folder / "red.png", folder / "tone.wav"):
        query = MediaQuery(path)
        assert str(query).startswith(f"[{path.name}] ")
        for ask in (retriever, chain, store.as_retriever(search_kwargs={"k": 1})):
            assert ask.invoke(query)[0].metadata["source"] == str(path)


async def test_a_picture_is_a_query_without_blocking(in_memory, folder):
    retriever = MultiModalRetriever(vectorstore=in_memory, k=1)
    (found,) = await retriever.ainvoke(MediaQuery(Image(draw_picture(seed=1)), "the red one"))
    assert found.metadata["source"] == str(folder / "red.png")


def test_a_query_for_media_survives_pickling(folder):
    query = MediaQuery(folder / "red.png")
    copied = pickle.loads(pickle.dumps(query))
    assert (copied, copied.media) == (query, folder / "red.png")
    assert query != MediaQuery(folder / "red.png")  # which a cache of queries would take for the same
    assert MediaQuery(b"...", "the red one") == "the red one"


def test_modalities_and_filters_narrow_the_search(store, folder):
    retriever = MultiModalRetriever(vectorstore=store, k=50, modalities=("image", "audio"))
    assert set(modalities(retriever.invoke("a question"))) == {"image", "audio"}
    report = {"source": str(folder / "report.pdf")}
    retriever = MultiModalRetriever(vectorstore=store, k=50, filter=report, quotas={"image": 1})
    assert sorted(document.metadata["page"] for document in retriever.invoke("a question")) == [1, 2, 3]


def test_a_calibration_judges_by_what_is_usual(store):
    plain = MultiModalRetriever(vectorstore=store, k=4).invoke("a question")
    calibrated = MultiModalRetriever(vectorstore=store, k=4, calibration=GAP).invoke("a question")
    assert "text" not in modalities(calibrated)
    assert plain != calibrated
    (best, score), *_ = media_search(store, "a question", k=1, modality=["image", "audio"])
    assert calibrated[0].page_content == best.page_content
    assert calibrated[0].metadata["score"] == pytest.approx((score + 0.2) / 0.05, abs=1e-3)


def test_a_calibration_is_fitted_on_queries(in_memory):
    queries = [f"question {number}" for number in range(6)]
    retriever = MultiModalRetriever(vectorstore=in_memory, k=4).calibrated_on(queries)
    usual = retriever.calibration.statistics
    assert set(usual) == {"text", "image", "audio"}
    scores = [score for query in queries for _, score in media_search(in_memory, query, k=50, modality="image")]
    assert usual["image"].mean == pytest.approx(sum(scores) / len(scores), abs=1e-6)
    found = retriever.invoke("another question")
    assert len(found) == 4
    assert all(abs(document.metadata["score"]) < 6 for document in found)


def test_documents_of_the_store_are_not_written_to(in_memory):
    MultiModalRetriever(vectorstore=in_memory, k=3).invoke("a question")
    assert not any("score" in entry["metadata"] for entry in in_memory.store.values())


class Scoreless(VectorStore):
    """A store of which nothing is known but its search by vector."""

    def __init__(self, inner):
        self.inner = inner

    @property
    def embeddings(self):
        return self.inner.embeddings

    def similarity_search(self, query, k=4, **kwargs):
        return self.inner.similarity_search(query, k)

    def similarity_search_by_vector(self, embedding, k=4, **kwargs):
        return self.inner.similarity_search_by_vector(embedding, k)

    @classmethod
    def from_texts(cls, texts, embedding, metadatas=None, **kwargs):
        raise NotImplementedError


def test_a_store_without_scores_takes_quotas_and_no_calibration(in_memory):
    store = Scoreless(in_memory)
    retriever = MultiModalRetriever(vectorstore=store, k=3, quotas={"image": 1, "audio": 1}, check_stamp=False)
    found = retriever.invoke("a question")
    assert {"image", "audio"} <= set(modalities(found))
    assert [document.metadata["score"] for document in found] == [1.0, 1.0, 1.0]  # the first of each
    for attempt in (
        lambda: retriever.model_copy(update={"calibration": GAP}).invoke("a question"),
        lambda: retriever.calibrated_on(["a question"]),
    ):
        with pytest.raises(InvalidOptionError, match="gives no scores"):
            attempt()


class Watcher(BaseCallbackHandler):
    def __init__(self):
        self.started, self.events, self.ended = [], [], []

    def on_retriever_start(self, serialized, query, **kwargs):
        self.started.append((query, kwargs["metadata"]))

    def on_custom_event(self, name, data, **kwargs):
        self.events.append((name, data))

    def on_retriever_end(self, documents, **kwargs):
        self.ended.append(documents)


async def test_callbacks_are_told_what_is_searched_and_what_was_found(in_memory, folder):
    retriever = MultiModalRetriever(vectorstore=in_memory, k=4, quotas={"image": 1, "audio": 1})
    watcher = Watcher()
    query = MediaQuery(Image((folder / "red.png").read_bytes()))
    retriever.invoke(query, config={"callbacks": [watcher]})
    await retriever.ainvoke("a question", config={"callbacks": [watcher]})
    (asked, metadata), (text, _) = watcher.started
    assert asked == query
    assert asked.startswith("[image] ")
    assert len(asked) < 30
    assert text == "a question"
    assert metadata["ls_retriever_name"] == "multimodal"
    assert metadata["ls_vector_store_provider"] == "InMemoryVectorStore"
    assert metadata["ls_embedding_provider"] == "fake, fake-image, fake-audio"
    assert metadata["ls_embedding_model"] == "fake-small"
    for (name, data), documents in zip(watcher.events, watcher.ended, strict=True):
        assert name == EVENT
        assert sum(data["found"].values()) == len(documents) == 4
        assert {name: len(scores) for name, scores in data["scores"].items()} == data["found"]


@pytest.mark.parametrize(
    "setting", [{"k": 0}, {"modalities": ("video",)}, {"quota": {"image": 1}}, {"quotas": {"image": "many"}}]
)
def test_settings_that_do_not_exist_are_refused(in_memory, setting):
    with pytest.raises(ValidationError):
        MultiModalRetriever(vectorstore=in_memory, **setting)


@pytest.mark.parametrize(("quotas", "message"), [({"image": 9}, "sum to 9"), ({"video": 1}, "quotas name 'video'")])
def test_quotas_that_do_not_fit_are_refused(in_memory, quotas, message):
    with pytest.raises(InvalidOptionError, match=message):
        MultiModalRetriever(vectorstore=in_memory, k=4, quotas=quotas).invoke("a question")
