"""LlamaIndex's `embeddings_cache`, which by itself files vectors under the text alone."""

from __future__ import annotations

import asyncio

import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.storage.kvstore import SimpleKVStore

from llama_index.embeddings.llm_multi_core import MultiCoreEmbedding
from llm_multi_core.embedder import InvalidInputError, TextEmbedder, create_text_embedder


class NaiveEmbedding(BaseEmbedding):
    """The adapter that one would write first: the control that shows the trap."""

    _embedder: TextEmbedder

    def __init__(self, embedder, **fields):
        super().__init__(**fields)
        self._embedder = embedder

    def _get_query_embedding(self, query):
        return self._embedder.embed(query, "query").tolist()

    def _get_text_embedding(self, text):
        return self._embedder.embed(text, "document").tolist()

    async def _aget_query_embedding(self, query):
        return self._get_query_embedding(query)


async def test_the_trap(framework_by_model):
    store, small = SimpleKVStore(), create_text_embedder(framework_by_model, roles=True)
    naive = NaiveEmbedding(small, embeddings_cache=store)
    document = naive.get_text_embedding("a")
    assert small.embed("a", "query").tolist() != document
    assert naive.get_query_embedding("a") == document
    assert await naive.aget_query_embedding("a") == document
    large = create_text_embedder(framework_by_model, "large", roles=True)
    assert large.embed("a", "document").tolist() != document
    assert NaiveEmbedding(large, embeddings_cache=store).get_text_embedding("a") == document


@pytest.mark.parametrize("query_first", [False, True])
def test_a_query_and_a_document_of_the_same_words(fake_framework, query_first):
    embedding = MultiCoreEmbedding(fake_framework, roles=True, embeddings_cache=SimpleKVStore())
    plain = MultiCoreEmbedding(fake_framework, roles=True)
    for _ in range(2):  # filled, then from the cache
        calls = [
            (embedding.get_query_embedding, plain.get_query_embedding),
            (embedding.get_text_embedding, plain.get_text_embedding),
        ]
        for cached, expected in calls if query_first else reversed(calls):
            assert cached("a") == expected("a")
        assert embedding.get_text_embedding_batch(["a", "b"]) == plain.get_text_embedding_batch(["a", "b"])


async def test_a_query_and_a_document_asynchronously(fake_framework):
    embedding = MultiCoreEmbedding(fake_framework, roles=True, embeddings_cache=SimpleKVStore())
    plain = MultiCoreEmbedding(fake_framework, roles=True)
    for _ in range(2):
        assert await embedding.aget_text_embedding_batch(["a", "b"]) == plain.get_text_embedding_batch(["a", "b"])
        query, document = await asyncio.gather(embedding.aget_query_embedding("a"), embedding.aget_text_embedding("a"))
        assert query == plain.get_query_embedding("a")
        assert document == plain.get_text_embedding("a")


@pytest.mark.parametrize(
    "change",
    [{"model": "large"}, {"normalize": False}, {"dimensions": 4, "force_dimensions": True}, {"truncation": "mean"}],
    ids=str,
)
def test_two_models_or_settings_on_one_store(framework_by_model, change):
    store = SimpleKVStore()
    long = "word " * 20
    MultiCoreEmbedding(framework_by_model, truncation="truncate", embeddings_cache=store).get_text_embedding(long)
    change = {"truncation": "truncate", **change}
    other = MultiCoreEmbedding(framework_by_model, embeddings_cache=store, **change)
    assert other.get_text_embedding(long) == MultiCoreEmbedding(framework_by_model, **change).get_text_embedding(long)


def counted(monkeypatch) -> list[list[str]]:
    calls: list[list[str]] = []
    run = TextEmbedder.run

    def counting(self, xs, *arguments, **keywords):
        calls.append(list(xs))
        return run(self, xs, *arguments, **keywords)

    monkeypatch.setattr(TextEmbedder, "run", counting)
    return calls


def test_it_does_cache(fake_framework, monkeypatch):
    calls = counted(monkeypatch)
    store = SimpleKVStore()
    first = MultiCoreEmbedding(fake_framework, roles=True, embeddings_cache=store)
    first.get_text_embedding_batch(["a", "b"])
    first.get_query_embedding("a")
    again = MultiCoreEmbedding(fake_framework, roles=True, embeddings_cache=store, embed_batch_size=1)
    again.get_text_embedding_batch(["a", "b", "c"])
    again.get_query_embedding("a")
    assert calls == [["a", "b"], ["a"], ["c"]]


def test_a_store_that_is_assigned_later_is_safe_as_well(fake_framework):
    store = SimpleKVStore()
    one, other = MultiCoreEmbedding(fake_framework), MultiCoreEmbedding(fake_framework, "other")
    expected = other.get_text_embedding("a")
    one.embeddings_cache = store
    one.get_text_embedding("a")
    other.embeddings_cache = one.embeddings_cache
    assert other.get_text_embedding("a") == expected
    assert other.embeddings_cache.store is store
    copied = other.model_copy(update={"embeddings_cache": SimpleKVStore()})
    assert copied.get_query_embedding("a") == other.get_query_embedding("a")
    assert all("a" not in key.split() for key in copied.embeddings_cache.get_all("embeddings"))
    other.embeddings_cache = None
    assert other.embeddings_cache is None
    with pytest.raises(TypeError, match="BaseKVStore"):
        other.embeddings_cache = {}


async def test_entries_can_be_dropped_by_text(fake_framework):
    embedding = MultiCoreEmbedding(fake_framework, roles=True, embeddings_cache=SimpleKVStore())
    for drop in ("delete", "adelete"):
        embedding.get_query_embedding("a")
        embedding.get_text_embedding("a")
        assert len(await embedding.embeddings_cache.aget_all("embeddings")) == 2
        dropped = getattr(embedding.embeddings_cache, drop)("a", collection="embeddings")
        assert dropped if drop == "delete" else await dropped
        assert embedding.embeddings_cache.get_all("embeddings") == {}
    assert not embedding.embeddings_cache.delete("a", collection="embeddings")


def test_a_text_that_cannot_be_encoded_is_refused_by_the_embedder(fake_framework):
    embedding = MultiCoreEmbedding(fake_framework, embeddings_cache=SimpleKVStore())
    with pytest.raises(InvalidInputError, match="surrogate"):
        embedding.get_text_embedding("\ud800")
