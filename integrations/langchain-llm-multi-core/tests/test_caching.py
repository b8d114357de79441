"""LangChain's cache over one store: models, roles and settings do not mix."""

import itertools

import pytest
from langchain_core.stores import InMemoryByteStore

from langchain_llm_multi_core import MultiCoreEmbeddings
from llm_multi_core.embedder import InvalidOptionError, MemoryCache

classic = pytest.importorskip("langchain_classic.embeddings")
storage = pytest.importorskip("langchain_classic.storage")

TEXTS = ["one text", "another text"]

NAMED_PLUGIN = """
from dataclasses import replace

from llm_multi_core.embedder import hookimpl
from llm_multi_core.embedder.testing import fakes


class NamedEncoder(fakes.FakeTextEncoder):
    def describe(self):
        return replace(super().describe(), sliceable=True)

    def identity(self):
        return {"precision": self.config.precision}

    def vectors(self, items, task):
        dimension = self.describe().space.dimension
        kind = f"{self.config.model}|{self.config.precision}|{task.role}"
        return [fakes.fake_vector(f"{kind}|{item.text}", dimension) for item in items]


@hookimpl
def llm_multi_core_frameworks():
    return [fakes.fake_offer(NamedEncoder, "named").spec]
"""


def cached(embeddings, store):
    """As README says."""
    documents = classic.CacheBackedEmbeddings.from_bytes_store(
        embeddings, store, namespace=embeddings.cache_namespace("document"), key_encoder="blake2b"
    )
    queries = classic.CacheBackedEmbeddings.from_bytes_store(
        embeddings,
        store,
        namespace=embeddings.cache_namespace("query"),
        query_embedding_cache=True,
        key_encoder="blake2b",
    )
    return classic.CacheBackedEmbeddings(
        embeddings, documents.document_embedding_store, query_embedding_store=queries.query_embedding_store
    )


@pytest.fixture
def named(install_plugin):
    """A framework whose vectors depend on the model's name and precision, and can be cut."""
    install_plugin("llm-multi-core-named", entry_points={"n": "named_plugin"}, modules={"named_plugin": NAMED_PLUGIN})
    return "named"


@pytest.fixture
def variants(named):
    """Embeddings whose vectors of one text all differ."""
    one = MultiCoreEmbeddings(framework=named, roles=True)
    changes = [
        {"model": "fake-large"},
        {"dimension": 5},
        {"normalize": False},
        {"dimensions": 4},
        {"precision": "float16"},
    ]
    return [one, *(one.model_copy(update=change) for change in changes)]


def refuse(*args, **kwargs):
    raise AssertionError("the cache should have answered")


async def test_one_store_serves_many_without_mixing_them(variants, monkeypatch):
    store = InMemoryByteStore()
    for _ in range(2):  # the second round is answered by what the first one left
        for embeddings in variants:
            backed = cached(embeddings, store)
            for text in TEXTS:
                assert backed.embed_query(text) == embeddings.embed_query(text)
                assert await backed.aembed_query(text) == embeddings.embed_query(text)
            assert backed.embed_documents(TEXTS) == embeddings.embed_documents(TEXTS)
            assert await backed.aembed_documents(TEXTS) == embeddings.embed_documents(TEXTS)
            assert backed.embed_query(TEXTS[0]) != backed.embed_documents(TEXTS)[0]
    assert len(list(store.yield_keys())) == len(variants) * 2 * len(TEXTS)
    wanted = [(e.embed_query(TEXTS[0]), e.embed_documents(TEXTS)) for e in variants]
    monkeypatch.setattr(MultiCoreEmbeddings, "embed_query", refuse)
    monkeypatch.setattr(MultiCoreEmbeddings, "embed_documents", refuse)
    for embeddings, vectors in zip(variants, wanted, strict=True):
        backed = cached(embeddings, store)
        assert (backed.embed_query(TEXTS[0]), backed.embed_documents(TEXTS)) == vectors


def test_a_view_may_keep_queries_with_documents(variants):
    store, kept = InMemoryByteStore(), []
    for embeddings in variants:
        view = embeddings.as_symmetric()
        backed = classic.CacheBackedEmbeddings.from_bytes_store(
            view, store, namespace=view.cache_namespace(), query_embedding_cache=True, key_encoder="blake2b"
        )
        assert backed.embed_query("one text") == view.embed_query("one text")
        assert backed.embed_documents(["one text"]) == view.embed_documents(["one text"])
        kept.append(len(list(store.yield_keys())))
    assert kept == [1, 2, 3, 4, 5, 6]


def test_namespaces_follow_what_changes_a_vector(variants):
    one = variants[0]
    others = [one.model_copy(update={"truncation": policy}) for policy in ("mean", "error")]
    roles = ("document", "query", "symmetric")
    names = [e.cache_namespace(role) for e, role in itertools.product([*variants, *others], roles)]
    assert len(set(names)) == len(names)
    assert one.as_document_role().cache_namespace() == one.cache_namespace() == one.cache_namespace("document")
    assert one.as_symmetric().cache_namespace() == one.cache_namespace("symmetric")


def test_namespaces_do_not_follow_anything_else(fake_framework):
    one = MultiCoreEmbeddings(framework=fake_framework)
    for change in (
        {"batch_size": 2},
        {"device": "cpu"},
        {"show_progress": True},
        {"cache": MemoryCache()},
        {"truncation": "truncate"},
        {"framework": "llm-multi-core-fake/fake"},
    ):
        assert one.model_copy(update=change).cache_namespace("query") == one.cache_namespace("query")


def test_a_namespace_does_not_follow_the_key(keyed):
    names = {MultiCoreEmbeddings(framework="keyed", api_key=key).cache_namespace() for key in ("one", "other")}
    assert len(names) == 1


def test_a_role_that_does_not_exist_has_no_namespace(fake_framework):
    with pytest.raises(InvalidOptionError, match="role='passage' does not exist"):
        MultiCoreEmbeddings(framework=fake_framework).cache_namespace("passage")


def test_a_namespace_is_a_file_name(fake_framework, tmp_path):
    folder = tmp_path / "vectors"
    embeddings = MultiCoreEmbeddings(framework=fake_framework, roles=True)
    for _ in range(2):
        backed = cached(embeddings, storage.LocalFileStore(folder))
        assert backed.embed_documents(TEXTS) == embeddings.embed_documents(TEXTS)
        assert backed.embed_query(TEXTS[0]) == embeddings.embed_query(TEXTS[0])
    assert len(list(folder.iterdir())) == 3


def test_the_embedders_own_cache_needs_no_namespace(fake_framework):
    cache = MemoryCache()
    for _ in range(2):
        for dimension in (4, 5):
            plain = MultiCoreEmbeddings(framework=fake_framework, roles=True, dimension=dimension)
            with_cache = plain.model_copy(update={"cache": cache})
            assert with_cache.embed_query("a") == plain.embed_query("a")
            assert with_cache.embed_documents(["a"]) == plain.embed_documents(["a"])
    assert len(cache) == 4
