"""Retrieval by text, picture and sound, with places kept for modalities and scores judged by what is usual."""

from __future__ import annotations

import threading
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import pytest
from llama_index.core import MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ImageBlock, TextBlock
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
from llama_index.core.schema import MediaResource, Node, QueryBundle, TextNode
from llama_index.core.vector_stores import FilterCondition, MetadataFilter, MetadataFilters, SimpleVectorStore

from llama_index.embeddings.llm_multi_core import (
    MediaBlocks,
    MultiCoreReader,
    MultiCoreRetriever,
    aquery_by_audio,
    aquery_by_image,
    query_by_audio,
    query_by_image,
)
from llm_multi_core.embedder import InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.analysis import ModalityCalibration

DIMENSION = 64


def node(name, modality, vector, **metadata):
    text = MediaResource(text=name)
    return Node(id_=name, text_resource=text, metadata={"modality": modality, **metadata}, embedding=list(vector))


@pytest.fixture
def gap():
    """Entries of three modalities, each in a cone of its own: any text is nearer to a text than any picture is."""
    random = np.random.default_rng(0)
    cones = dict(zip(("text", "image", "audio"), np.eye(DIMENSION) * 3, strict=False))
    return [
        node(f"{modality} {number}", modality, cone + random.normal(0, 0.3, DIMENSION), even=number % 2)
        for modality, cone in cones.items()
        for number in range(12)
    ]


def index_of(nodes, embedding, store=None):
    context = StorageContext.from_defaults(vector_store=store or SimpleVectorStore())
    return VectorStoreIndex(nodes, storage_context=context, embed_model=embedding)


@pytest.fixture
def index(gap, embedding):
    return index_of(gap, embedding)


ABOUT_TEXTS = QueryBundle("", embedding=[3.0, 1.0, 0.5, *[0.1] * (DIMENSION - 3)])


def names(found):
    return [result.node.node_id for result in found]


def modalities(found):
    return [result.node.metadata["modality"] for result in found]


def test_without_quotas_one_modality_takes_all(index):
    plain = index.as_retriever(similarity_top_k=6).retrieve(ABOUT_TEXTS)
    assert set(modalities(plain)) == {"text"}, "the trap"
    found = MultiCoreRetriever(index, similarity_top_k=6).retrieve(ABOUT_TEXTS)
    assert names(found) == names(plain)
    assert [one.score for one in found] == pytest.approx([one.score for one in plain])


async def test_quotas_keep_places(index):
    retriever = MultiCoreRetriever(index, similarity_top_k=6, quotas={"image": 2, "audio": 1})
    found = retriever.retrieve(ABOUT_TEXTS)
    assert sorted(modalities(found)) == ["audio", "image", "image", "text", "text", "text"]
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    only = MultiCoreRetriever(index, similarity_top_k=2, modalities=["image"]).retrieve(ABOUT_TEXTS)
    assert [name for name in names(found) if name.startswith("image")] == names(only)
    assert names(await retriever.aretrieve(ABOUT_TEXTS)) == names(found)


def test_a_calibration_judges_by_what_is_usual(index, gap):
    random = np.random.default_rng(1)
    like_texts = np.eye(DIMENSION)[0] * 3 + random.normal(0, 0.3, (20, DIMENSION))
    retriever = MultiCoreRetriever(index, similarity_top_k=3)
    calibrated = retriever.calibrated_on([QueryBundle("", embedding=list(vector)) for vector in like_texts])
    assert isinstance(calibrated.calibration, ModalityCalibration)
    # A question in the manner of texts about what the third picture shows, as far as that differs from others.
    shown = np.asarray(gap[15].embedding) - np.eye(DIMENSION)[1] * 3
    asked = QueryBundle("", embedding=list(np.eye(DIMENSION)[0] * 3 + shown))
    assert set(modalities(retriever.retrieve(asked))) == {"text"}
    assert "image 3" in names(calibrated.retrieve(asked))


def test_filters_of_ones_own_are_kept(index):
    even = MetadataFilters(filters=[MetadataFilter(key="even", value=0)])
    found = MultiCoreRetriever(index, similarity_top_k=6, quotas={"image": 2}, filters=even).retrieve(ABOUT_TEXTS)
    assert modalities(found).count("image") == 2
    assert all(int(name.split()[1]) % 2 == 0 for name in names(found))


def test_alternatives_among_filters_are_kept_together():
    either = MetadataFilters(
        filters=[MetadataFilter(key="a", value=1), MetadataFilter(key="b", value=2)], condition=FilterCondition.OR
    )
    index = VectorStoreIndex([], embed_model=MockEmbedding(embed_dim=DIMENSION))
    combined = MultiCoreRetriever(index, filters=either)._filters_for("image")
    assert combined.condition is FilterCondition.AND
    assert combined.filters == [either, MetadataFilter(key="modality", value="image")]


class Unfiltered(SimpleVectorStore):
    """A store that cannot filter, and gives distances, as FAISS does."""

    asked: list[int] = []

    def query(self, query, **kwargs):
        if query.filters is not None:
            raise ValueError("Metadata filters not implemented for Faiss yet.")
        self.asked.append(query.similarity_top_k)
        result = super().query(query, **kwargs)
        result.similarities = [1 - similarity for similarity in result.similarities]
        return result


async def test_stores_that_cannot_filter_are_asked_for_more(gap, embedding, index):
    store = Unfiltered(asked=[])
    distant = index_of(gap, embedding, store)
    retriever = MultiCoreRetriever(distant, similarity_top_k=3, quotas={"image": 1, "audio": 1})
    found = retriever.retrieve(ABOUT_TEXTS)
    assert store.asked == [9, 36]
    expected = MultiCoreRetriever(index, similarity_top_k=3, quotas={"image": 1, "audio": 1}).retrieve(ABOUT_TEXTS)
    assert names(found) == names(expected)
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True), "higher is better, though the store gives distances"
    with pytest.raises(ValueError, match="not implemented"):
        MultiCoreRetriever(distant, filters=MetadataFilters(filters=[])).retrieve(ABOUT_TEXTS)


def test_an_entry_without_a_modality_is_a_text_where_nothing_is_filtered(embedding):
    store = Unfiltered(asked=[])
    index = index_of([TextNode(text="plain", embedding=[1.0] * DIMENSION)], embedding, store)
    assert MultiCoreRetriever(index).retrieve(ABOUT_TEXTS)[0].text == "plain"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quotas": {"video": 1}}, "'video' is not one of"),
        ({"modalities": ["smell"]}, "'smell' is not one of"),
        ({"modalities": ["text"], "quotas": {"image": 1}}, "'image' is not one of 'text'"),
        ({"quotas": {"image": 3, "audio": 3}, "similarity_top_k": 5}, "exceed|more than"),
        ({"quotas": {"image": -1}}, "at least 0"),
        ({"similarity_top_k": 0}, "positive whole number"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_told_at_once(index, settings, message):
    with pytest.raises(InvalidOptionError, match=message):
        MultiCoreRetriever(index, **settings)


class Scoreless(SimpleVectorStore):
    def query(self, query, **kwargs):
        result = super().query(query, **kwargs)
        result.similarities = None
        return result


def test_a_store_without_scores_is_refused(gap, embedding):
    retriever = MultiCoreRetriever(index_of(gap, embedding, Scoreless()))
    with pytest.raises(InvalidOptionError, match="no scores"):
        retriever.retrieve(ABOUT_TEXTS)
    with pytest.raises(InvalidOptionError, match="no scores"):
        retriever.calibrated_on([ABOUT_TEXTS])


def test_a_calibration_needs_entries(embedding, gap):
    with pytest.raises(InvalidInputError, match="nothing can be told"):
        MultiCoreRetriever(index_of(gap[:1], embedding)).calibrated_on([ABOUT_TEXTS])


async def test_stores_search_off_the_event_loop(gap, embedding):
    class Watched(SimpleVectorStore):
        threads: list = []

        def query(self, query, **kwargs):
            self.threads.append(threading.current_thread())
            return super().query(query, **kwargs)

    store = Watched(threads=[])
    assert await MultiCoreRetriever(index_of(gap, embedding, store)).aretrieve(ABOUT_TEXTS)
    assert store.threads
    assert threading.main_thread() not in store.threads


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning")
async def test_a_store_with_an_asynchronous_client_alone(gap, embedding, index):
    qdrant = pytest.importorskip("qdrant_client")
    from llama_index.vector_stores.qdrant import QdrantVectorStore

    for one in gap:
        one.id_ = str(uuid5(NAMESPACE_URL, one.id_))
    store = QdrantVectorStore("things", aclient=qdrant.AsyncQdrantClient(":memory:"))
    await store.async_add(gap)
    retriever = MultiCoreRetriever(
        VectorStoreIndex.from_vector_store(store, embed_model=embedding), similarity_top_k=6, quotas={"image": 2}
    )
    found = await retriever.aretrieve(ABOUT_TEXTS)
    assert sorted(modalities(found)) == ["image"] * 2 + ["text"] * 4


# Asking by text, picture and sound.


@pytest.fixture
def folder_index(embedding, media):
    for number in range(3):
        media.picture(f"{number}.png", number)
        media.sound(f"{number}.wav", 200.0 + 150 * number)
        media.text(f"{number}.txt", f"text number {number}")
    nodes = MultiCoreReader(media.folder).load_nodes()
    return VectorStoreIndex(embedding(nodes), embed_model=embedding)


async def test_each_modality_asks(folder_index, embedding, media):
    retriever = MultiCoreRetriever(folder_index, similarity_top_k=3)
    for number in range(3):
        picture, sound = media.folder / f"{number}.png", media.folder / f"{number}.wav"
        asked = [
            (QueryBundle("", image_path=str(picture)), picture),
            (query_by_image(embedding, picture), picture),
            (await aquery_by_image(embedding, picture), picture),
            (query_by_audio(embedding, sound), sound),
            (await aquery_by_audio(embedding, sound), sound),
        ]
        for query, path in asked:
            for found in (retriever.retrieve(query), await retriever.aretrieve(query)):
                assert found[0].metadata["source"] == str(path)
        by_hand = folder_index.as_retriever(similarity_top_k=1).retrieve(query_by_audio(embedding, sound))
        assert by_hand[0].metadata["source"] == str(sound), "any retriever takes such a query"
    found = await retriever.aretrieve("text number 1")
    assert names(found) == names(retriever.retrieve("text number 1"))


SHOWN: list = []


class SeeingModel(MockLLM):
    """A language model that notes what it is shown."""

    def chat(self, messages, **kwargs):
        SHOWN.extend(block for message in messages for block in message.blocks)
        return ChatResponse(message=ChatMessage(role="assistant", content="a drawing"))


def test_a_query_engine_is_asked_by_picture_and_shows_it_to_a_model(folder_index, embedding, media):
    SHOWN.clear()
    engine = RetrieverQueryEngine(
        MultiCoreRetriever(folder_index, similarity_top_k=2, modalities=["image"]),
        get_response_synthesizer(
            llm=SeeingModel(is_chat_model=True), response_mode=ResponseMode.SIMPLE_SUMMARIZE, multimodal=True
        ),
        node_postprocessors=[MediaBlocks()],
    )
    answer = engine.query(query_by_image(embedding, media.folder / "1.png", "what is this?"))
    assert str(answer) == "a drawing"
    assert answer.source_nodes[0].metadata["source"] == str(media.folder / "1.png")
    pictures = [block.resolve_image().read() for block in SHOWN if isinstance(block, ImageBlock)]
    assert pictures[0] == (media.folder / "1.png").read_bytes()
    assert any(isinstance(block, TextBlock) and "what is this?" in block.text for block in SHOWN)


def test_another_embedding_may_ask(folder_index, joint, media):
    other = joint(seed=0)
    retriever = MultiCoreRetriever(folder_index, embed_model=other)
    query = QueryBundle("", image_path=str(media.folder / "1.png"))
    assert retriever.retrieve(query)[0].metadata["source"] == str(media.folder / "1.png")
