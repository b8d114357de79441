"""Dictionaries, JSON, pickles and copies."""

from __future__ import annotations

import copy
import json
import logging
import pickle

import pytest
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.rate_limiter import TokenBucketRateLimiter
from llama_index.core.storage.kvstore import SimpleKVStore

from llama_index.embeddings.llm_multi_core import MultiCoreEmbedding
from llm_multi_core.embedder import IncompatibleSpacesError, MissingCredentialsError, ModelLoadError


@pytest.fixture
def embedding(fake_framework) -> MultiCoreEmbedding:
    return MultiCoreEmbedding(fake_framework, "fake-large", roles=True, options={"dimension": 6})


def test_a_dictionary_leads_back(embedding):
    data = embedding.to_dict()
    assert data["class_name"] == "MultiCoreEmbedding"
    assert data["fingerprint"] == embedding.embedder.space.fingerprint
    again = MultiCoreEmbedding.from_dict(data)
    assert again.to_dict() == data
    assert list(again.to_dict()) == list(data)
    assert again.get_query_embedding("a") == embedding.get_query_embedding("a")
    assert data == embedding.to_dict(), "from_dict must not change what it reads"


def test_json_leads_back(embedding):
    text = embedding.to_json()
    assert json.loads(text) == embedding.to_dict()
    assert MultiCoreEmbedding.from_json(text).to_dict() == embedding.to_dict()


def test_a_dump_of_all_fields_leads_back(fake_framework):
    embedding = MultiCoreEmbedding(fake_framework, device="cpu", batch_size=3, embed_batch_size=9, num_workers=2)
    for again in (
        MultiCoreEmbedding.from_dict(embedding.model_dump()),
        MultiCoreEmbedding.model_validate(embedding.model_dump()),
        MultiCoreEmbedding.model_validate_json(embedding.model_dump_json()),
    ):
        assert again.model_dump() == embedding.model_dump()


@pytest.mark.parametrize(
    "change",
    [
        {"model_name": "other"},
        {"dimension": 5},
        {"roles": True},
        {"dimensions": 4, "force_dimensions": True},
        {"normalize": False},
        {"truncation": "mean"},
        {"precision": "float32"},
    ],
    ids=str,
)
def test_what_changes_vectors_changes_the_dictionary(fake_framework, change):
    assert MultiCoreEmbedding(fake_framework, **change).to_dict() != MultiCoreEmbedding(fake_framework).to_dict()


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"device": "cpu"},
        {"batch_size": 5},
        {"embed_batch_size": 5},
        {"num_workers": 2},
        {"callback_manager": CallbackManager([])},
        {"embeddings_cache": SimpleKVStore()},
        {"rate_limiter": TokenBucketRateLimiter(requests_per_minute=9)},
    ],
    ids=str,
)
def test_what_does_not_change_vectors_does_not(fake_framework, change):
    plain, changed = MultiCoreEmbedding(fake_framework), MultiCoreEmbedding(fake_framework, **change)
    assert str(changed.to_dict()) == str(plain.to_dict())
    changed.get_text_embedding("a")
    assert str(changed.to_dict()) == str(plain.to_dict()), "using it must not change it"
    json.loads(changed.to_json())
    json.loads(changed.model_dump_json())


def test_the_order_of_options_does_not_matter(fake_framework):
    one = MultiCoreEmbedding(fake_framework, roles=True, dimension=5)
    other = MultiCoreEmbedding(fake_framework, dimension=5, roles=True)
    assert str(one.to_dict()) == str(other.to_dict())


def test_another_space_is_refused_at_first_use(fake_framework):
    stored = MultiCoreEmbedding(fake_framework).to_dict()
    changed = MultiCoreEmbedding.from_dict({**stored, "model_name": "other"})
    for embed in (changed.get_query_embedding, changed.get_text_embedding, lambda x: changed._get_text_embeddings([x])):
        with pytest.raises(IncompatibleSpacesError, match=stored["fingerprint"]):
            embed("a")
    assert changed.to_dict()["fingerprint"] == stored["fingerprint"], "serialising it again must not forget"
    for again in (pickle.loads(pickle.dumps(changed)), copy.deepcopy(changed), copy.copy(changed)):
        with pytest.raises(IncompatibleSpacesError):
            again.get_text_embedding("a")


async def test_another_space_is_refused_asynchronously(fake_framework):
    stored = MultiCoreEmbedding(fake_framework).to_dict()
    changed = MultiCoreEmbedding.from_dict({**stored, "options": {"dimension": 5}})
    for call in (
        changed.aget_query_embedding("a"),
        changed.aget_text_embedding("a"),
        changed.aget_text_embedding_batch(["a"]),
    ):
        with pytest.raises(IncompatibleSpacesError):
            await call


def test_another_space_is_refused_before_a_cached_vector(fake_framework):
    store = SimpleKVStore()
    MultiCoreEmbedding(fake_framework, "other", embeddings_cache=store).get_text_embedding("a")
    pinned = MultiCoreEmbedding(fake_framework, "other", embeddings_cache=store, fingerprint="0" * 32)
    with pytest.raises(IncompatibleSpacesError):
        pinned.get_text_embedding("a")


UNREACHABLE_PLUGIN = """
    from llm_multi_core.embedder import FrameworkSpec, ModelLoadError, hookimpl
    from llm_multi_core.embedder.testing.fakes import FakeTextEncoder

    class UnreachableEncoder(FakeTextEncoder):
        def describe(self):
            raise ModelLoadError("no such model")

    @hookimpl
    def llm_multi_core_frameworks():
        return [FrameworkSpec("gone", ("text",), "llm_multi_core_gone:UnreachableEncoder", default_model={"text": "m"})]
"""


def test_a_model_that_cannot_be_read_can_be_serialised(install_plugin):
    install_plugin(
        "llm-multi-core-gone",
        entry_points={"gone": "llm_multi_core_gone"},
        modules={"llm_multi_core_gone": UNREACHABLE_PLUGIN},
    )
    embedding = MultiCoreEmbedding("gone")
    data = embedding.to_dict()
    assert data["fingerprint"] is None
    assert data["encoder_id"] is None
    assert MultiCoreEmbedding.from_dict(data).to_dict() == data
    assert MultiCoreEmbedding("gone", fingerprint="f" * 32).to_dict()["fingerprint"] == "f" * 32
    with pytest.raises(ModelLoadError):
        embedding.get_text_embedding("a")


@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), copy.deepcopy, copy.copy])
@pytest.mark.parametrize("used", [False, True])
def test_copies_are_equal_and_work(embedding, copied, used):
    if used:
        embedding.get_text_embedding("a")
    again = copied(embedding)
    assert again.options == {"dimension": 6, "roles": True}
    assert again.model_dump() == embedding.model_dump()
    assert again.to_dict() == embedding.to_dict()
    assert again.get_query_embedding("a") == embedding.get_query_embedding("a")
    assert again.get_text_embedding_batch(["a"]) == embedding.get_text_embedding_batch(["a"])


def test_copies_keep_their_cache(fake_framework):
    embedding = MultiCoreEmbedding(fake_framework, embeddings_cache=SimpleKVStore())
    embedding.get_text_embedding("a")
    for again in (pickle.loads(pickle.dumps(embedding)), copy.deepcopy(embedding), copy.copy(embedding)):
        assert again.embeddings_cache.get("a", collection="embeddings") is not None
        assert again.get_text_embedding("a") == embedding.get_text_embedding("a")


def test_pickling_leaves_the_original_whole(fake_framework, caplog):
    limiter, manager = TokenBucketRateLimiter(requests_per_minute=9), CallbackManager([LlamaDebugHandler()])
    manager.handlers[0].lock = limiter._lock
    embedding = MultiCoreEmbedding(fake_framework, rate_limiter=limiter, callback_manager=manager)
    with caplog.at_level(logging.WARNING):
        again = pickle.loads(pickle.dumps(embedding))
    assert "callback_manager cannot be pickled" in caplog.text
    assert embedding.rate_limiter is limiter
    assert embedding.callback_manager is manager
    assert again.callback_manager.handlers == []
    assert again.get_text_embedding("a") == embedding.get_text_embedding("a")


def test_deep_copies_share_the_limiter_and_the_handlers(fake_framework):
    limiter, manager = TokenBucketRateLimiter(requests_per_minute=9), CallbackManager([])
    store = SimpleKVStore()
    embedding = MultiCoreEmbedding(
        fake_framework, rate_limiter=limiter, callback_manager=manager, embeddings_cache=store
    )
    again = copy.deepcopy(embedding)
    assert again.rate_limiter is limiter
    assert again.callback_manager is manager
    assert again.embeddings_cache.store is store
    assert again.embedder is not embedding.embedder


def test_a_copy_reads_the_key_from_the_environment_again(keyed_framework, monkeypatch):
    embedding = MultiCoreEmbedding(keyed_framework, api_key="from-the-argument")
    vector = embedding.get_text_embedding("a")
    for copied in (pickle.loads(pickle.dumps(embedding)), copy.deepcopy(embedding)):
        with pytest.raises(MissingCredentialsError, match="KEYED_API_KEY"):
            copied.get_text_embedding("a")
    with pytest.raises(MissingCredentialsError):
        MultiCoreEmbedding.from_dict(embedding.to_dict())
    assert MultiCoreEmbedding.from_dict(embedding.to_dict(), api_key="again").get_text_embedding("a") == vector
    monkeypatch.setenv("KEYED_API_KEY", "from-the-environment")
    for copied in (pickle.loads(pickle.dumps(embedding)), copy.deepcopy(embedding)):
        assert copied.get_text_embedding("a") == vector
