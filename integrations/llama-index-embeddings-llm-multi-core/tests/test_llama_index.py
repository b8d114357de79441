"""Inside LlamaIndex: indexes, retrievers, settings, pipelines, and what the base class offers."""

from __future__ import annotations

import pytest
from llama_index.core import Document, Settings, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.callbacks.schema import CBEventType
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.rate_limiter import BaseRateLimiter
from llama_index.core.schema import TextNode

from llama_index.embeddings.llm_multi_core import MultiCoreEmbedding
from llm_multi_core.embedder import TextEmbedder

TEXTS = ["the cat sleeps", "rain falls", "stocks rose today", "bread is baked"]


@pytest.fixture
def embedding(fake_framework) -> MultiCoreEmbedding:
    return MultiCoreEmbedding(fake_framework)


def documents() -> list[Document]:
    return [Document(text=text) for text in TEXTS]


def test_an_index_finds_persists_and_opens_again(embedding, tmp_path):
    index = VectorStoreIndex.from_documents(documents(), embed_model=embedding)
    found = index.as_retriever(similarity_top_k=2).retrieve("rain falls")
    assert found[0].text == "rain falls"
    assert found[0].score == pytest.approx(1.0, abs=1e-5)
    index.storage_context.persist(tmp_path / "index")

    again = MultiCoreEmbedding.from_json(embedding.to_json())
    storage = StorageContext.from_defaults(persist_dir=str(tmp_path / "index"))
    opened = load_index_from_storage(storage, embed_model=again)
    assert opened.as_retriever(similarity_top_k=1).retrieve("bread is baked")[0].text == "bread is baked"


async def test_an_index_is_asked_asynchronously(embedding):
    index = VectorStoreIndex.from_documents(documents(), embed_model=embedding, use_async=False)
    found = await index.as_retriever(similarity_top_k=1).aretrieve("rain falls")
    assert found[0].text == "rain falls"


def test_it_can_be_the_default(embedding, monkeypatch):
    monkeypatch.setattr(Settings, "_embed_model", None)
    Settings.embed_model = embedding
    assert Settings.embed_model is embedding
    index = VectorStoreIndex.from_documents(documents())
    assert index.as_retriever(similarity_top_k=1).retrieve("the cat sleeps")[0].text == "the cat sleeps"


async def test_it_is_a_transformation(embedding):
    expected = embedding.get_text_embedding_batch(TEXTS)
    nodes = [TextNode(text=text) for text in TEXTS]
    assert [node.embedding for node in embedding(nodes)] == expected
    nodes = [TextNode(text=text) for text in TEXTS]
    assert [node.embedding for node in await embedding.acall(nodes)] == expected


def counted(monkeypatch) -> list[int]:
    calls: list[int] = []
    run = TextEmbedder.run

    def counting(self, xs, *arguments, **keywords):
        calls.append(len(xs))
        return run(self, xs, *arguments, **keywords)

    monkeypatch.setattr(TextEmbedder, "run", counting)
    return calls


def test_the_ingestion_cache_tells_models_and_settings_apart(framework_by_model, monkeypatch):
    calls = counted(monkeypatch)
    pipeline = IngestionPipeline(transformations=[MultiCoreEmbedding(framework_by_model)])

    def ingest(**change):
        pipeline.transformations = [MultiCoreEmbedding(framework_by_model, **change)]
        return [node.embedding for node in pipeline.run(nodes=[TextNode(text=text) for text in TEXTS])]

    first = ingest()
    assert ingest() == first
    assert ingest(embed_batch_size=2, device="cpu", batch_size=1) == first
    assert calls == [len(TEXTS)], "the same vectors come from the cache"
    assert ingest(model="other") != first
    assert ingest(normalize=False) != first
    assert calls == [len(TEXTS)] * 3


async def test_callbacks_see_every_text(fake_framework):
    handler = LlamaDebugHandler(print_trace_on_end=False)
    embedding = MultiCoreEmbedding(fake_framework, callback_manager=CallbackManager([handler]), embed_batch_size=3)
    embedding.get_query_embedding("q")
    embedding.get_text_embedding("t")
    embedding.get_text_embedding_batch(TEXTS)
    await embedding.aget_query_embedding("q")
    await embedding.aget_text_embedding_batch(TEXTS)
    pairs = handler.get_event_pairs(CBEventType.EMBEDDING)
    chunks = [end.payload["chunks"] for _, end in pairs]
    assert chunks == [["q"], ["t"], TEXTS[:3], TEXTS[3:], ["q"], TEXTS[:3], TEXTS[3:]]


async def test_events_and_spans_come_once_a_call(embedding):
    class Recorder(BaseEventHandler):
        events: list = []

        def handle(self, event, **_):
            self.events.append(event)

    recorder, spans = Recorder(), SimpleSpanHandler()
    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(recorder)
    dispatcher.add_span_handler(spans)
    try:
        embedding.get_query_embedding("q")
        await embedding.aget_query_embedding("q")
        embedding.get_text_embedding_batch(["t"])
    finally:
        dispatcher.event_handlers.remove(recorder)
        dispatcher.span_handlers.remove(spans)
    assert [type(event) for event in recorder.events] == [EmbeddingStartEvent, EmbeddingEndEvent] * 3
    assert recorder.events[0].model_dict["model_name"] == "fake-small"
    names = [span.id_.split("-")[0] for span in spans.completed_spans]
    assert names.count("MultiCoreEmbedding.get_query_embedding") == 1
    assert names.count("MultiCoreEmbedding.aget_query_embedding") == 1
    assert names.count("MultiCoreEmbedding.get_text_embedding_batch") == 1


async def test_the_rate_limiter_is_asked(fake_framework):
    class Counter(BaseRateLimiter):
        asked = 0

        def acquire(self, num_tokens=0):
            self.asked += 1

        async def async_acquire(self, num_tokens=0):
            self.asked += 1

    limiter = Counter()
    embedding = MultiCoreEmbedding(fake_framework, rate_limiter=limiter, embed_batch_size=2)
    embedding.get_query_embedding("q")
    embedding.get_text_embedding_batch(TEXTS)
    await embedding.aget_query_embedding("q")
    await embedding.aget_text_embedding_batch(TEXTS)
    assert limiter.asked == 1 + 2 + 1 + 2


async def test_num_workers_keep_the_order(fake_framework):
    embedding = MultiCoreEmbedding(fake_framework, num_workers=3, embed_batch_size=2)
    texts = [str(number) for number in range(15)]
    expected = MultiCoreEmbedding(fake_framework).get_text_embedding_batch(texts)
    assert await embedding.aget_text_embedding_batch(texts) == expected


def test_similarity_is_the_bases(embedding):
    vector = embedding.get_text_embedding("a")
    assert embedding.similarity(vector, vector) == pytest.approx(1.0)
