"""LangChain's cache over embeddings of three modalities: models, maps, roles and pictures do not mix."""

import pickle

import pytest
from langchain_core.stores import InMemoryByteStore

from langchain_llm_multi_core import MediaQuery, MultiCoreMultiModalEmbeddings
from llm_multi_core.embedder import Image, InvalidOptionError, MemoryCache, create_multimodal_embedder
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture

classic = pytest.importorskip("langchain_classic.embeddings")

CHANGES = [{}, {"seed": 1}, {"dimension": 16}, {"image": {"model": "fake-large"}}, {"truncation": "mean"}]


def refuse(*args, **kwargs):
    raise AssertionError("the cache should have answered")


def cached(embeddings, store, role="document"):
    return classic.CacheBackedEmbeddings.from_bytes_store(
        embeddings,
        store,
        namespace=embeddings.cache_namespace(role),
        query_embedding_cache=role == "query",
        key_encoder="blake2b",
    )


def test_the_default_namespace_mixes_models(mixed):
    """Why there is `cache_namespace`: LangChain's own default is empty."""
    store = InMemoryByteStore()
    naive = [
        classic.CacheBackedEmbeddings.from_bytes_store(mixed(seed=seed), store, key_encoder="blake2b")
        for seed in (0, 1)
    ]
    first = naive[0].embed_documents(["a text"])
    assert naive[1].embed_documents(["a text"]) == first


def test_one_store_serves_many_without_mixing_them(mixed, library, folder, monkeypatch):
    (record,) = library.add(folder / "red.png")
    texts = ["a text", record.reference]
    variants = [mixed(library, **change) for change in CHANGES]
    wanted = [(each.embed_documents(texts), each.embed_query("a text")) for each in variants]
    store = InMemoryByteStore()
    for _ in range(2):  # the second round is answered by what the first one left
        for embeddings, (documents, query) in zip(variants, wanted, strict=True):
            assert cached(embeddings, store).embed_documents(texts) == documents
            assert cached(embeddings, store, "query").embed_query("a text") == query
        monkeypatch.setattr(MultiCoreMultiModalEmbeddings, "embed_documents", refuse)
        monkeypatch.setattr(MultiCoreMultiModalEmbeddings, "embed_query", refuse)


def test_a_changed_picture_is_embedded_again(mixed, library, folder):
    embeddings, store, found = mixed(library), InMemoryByteStore(), []
    for seed in (1, 2):
        (folder / "red.png").write_bytes(encode_picture(draw_picture(seed=seed)))
        (record,) = library.add(folder / "red.png")
        found.append(cached(embeddings, store).embed_documents([record.reference]))
        assert found[-1] == embeddings.embed_image(uris=[folder / "red.png"])
    assert found[0] != found[1]
    assert len(list(store.yield_keys())) == 2


def test_two_pictures_as_queries_are_not_confused(mixed, folder):
    embeddings, store = mixed(), InMemoryByteStore()
    backed = cached(embeddings, store, "query")
    for data in ((folder / "red.png").read_bytes(), (folder / "deeper" / "blue.jpg").read_bytes()):
        wanted = embeddings.embed_media_query(Image(data))
        assert backed.embed_query(MediaQuery(Image(data))) == wanted


def test_a_view_may_keep_queries_with_documents(mixed, library, folder):
    (record,) = library.add(folder / "red.png")
    store = InMemoryByteStore()
    for view in (mixed(library).as_document_role(), mixed(library).as_symmetric()):
        backed = classic.CacheBackedEmbeddings.from_bytes_store(
            view, store, namespace=view.cache_namespace(), query_embedding_cache=True, key_encoder="blake2b"
        )
        for text in ("a text", record.reference):
            assert backed.embed_query(text) == view.embed_query(text) == backed.embed_documents([text])[0]
    assert len(list(store.yield_keys())) == 4


def test_namespaces_follow_what_changes_a_vector_and_nothing_else(mixed):
    roles = ("document", "query", "symmetric")
    names = [mixed(**change).cache_namespace(role) for change in CHANGES for role in roles]
    assert len(set(names)) == len(names)
    one = mixed()
    for same in (mixed(), mixed(device="cpu"), mixed(cache=MemoryCache()), mixed(truncation="truncate")):
        assert same.cache_namespace("query") == one.cache_namespace("query")
    assert pickle.loads(pickle.dumps(one)).cache_namespace() == one.cache_namespace() == names[0]
    assert one.as_document_role().cache_namespace() == one.cache_namespace("document")
    assert one.as_symmetric().cache_namespace() == one.cache_namespace("symmetric")
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for name in names)
    with pytest.raises(InvalidOptionError, match="role='passage'"):
        one.cache_namespace("passage")


def test_a_namespace_does_not_follow_the_key(keyed):
    names = {
        MultiCoreMultiModalEmbeddings(embedder=create_multimodal_embedder("keyed", api_key=key)).cache_namespace()
        for key in ("one", "other")
    }
    assert len(names) == 1


def test_the_embedders_own_cache_needs_no_namespace(mixed, library, folder):
    (record,) = library.add(folder / "red.png")
    texts, cache = ["a text", record.reference], MemoryCache()
    for change in CHANGES:
        plain, kept = mixed(library, **change), mixed(library, cache=cache, **change)
        for _ in range(2):
            assert kept.embed_documents(texts) == plain.embed_documents(texts)
            assert kept.embed_query("a text") == plain.embed_query("a text")
