"""Embeddings as values: fixed, equal, copied, pickled."""

import copy
import pickle

import pytest

from langchain_llm_multi_core import MultiCoreEmbeddings
from llm_multi_core.embedder import InvalidOptionError, MemoryCache, MissingCredentialsError


@pytest.fixture
def embeddings(fake_framework):
    return MultiCoreEmbeddings(framework=fake_framework, dimension=6, roles=True, cache=MemoryCache())


def copies(embeddings):
    yield copy.copy(embeddings)
    yield copy.deepcopy(embeddings)
    yield embeddings.model_copy()
    yield embeddings.model_copy(deep=True)
    yield embeddings.model_copy(update={"show_progress": True})
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.loads(pickle.dumps(embeddings, protocol))


def test_copies_are_equal_and_work(embeddings):
    wanted = embeddings.embed_query("a"), embeddings.embed_documents(["a", "b"])
    for copied in copies(embeddings):
        assert copied == embeddings
        assert hash(copied) == hash(embeddings)
        assert (copied.embed_query("a"), copied.embed_documents(["a", "b"])) == wanted
    assert wanted[0] != wanted[1][0]


def test_views_are_copied_and_pickled_too(embeddings):
    view = embeddings.as_document_role()
    for copied in (copy.copy(view), copy.deepcopy(view), pickle.loads(pickle.dumps(view))):
        assert copied == view
        assert hash(copied) == hash(view)
        assert copied.embed_query("a") == view.embed_query("a")
    assert view != embeddings.as_symmetric()
    assert view != embeddings
    assert "role='document'" in repr(view)


def test_copies_in_the_process_share_the_embedder(embeddings):
    assert copy.copy(embeddings).embedder is embeddings.embedder
    copied = copy.deepcopy(embeddings)
    assert copied.embedder is embeddings.embedder
    assert copied.cache is embeddings.cache
    assert copied.options is not embeddings.options


def test_a_changed_copy_is_made_anew(embeddings):
    changed = embeddings.model_copy(update={"dimension": 3, "normalize": False})
    assert len(changed.embed_query("a")) == 3
    assert changed.options == {"dimension": 3, "roles": True}
    assert changed.cache is embeddings.cache
    assert len(embeddings.embed_query("a")) == 6
    assert embeddings.model_copy(update={"options": {}}).options == {}
    assert embeddings.model_copy(update={"model_name": "fake-large"}).model == "fake-large"
    with pytest.raises(InvalidOptionError, match="did you mean 'dimension'"):
        embeddings.model_copy(update={"dimensoin": 3})


def test_equal_means_equal_vectors(fake_framework):
    one = MultiCoreEmbeddings(framework=fake_framework)
    assert one == MultiCoreEmbeddings(framework=fake_framework, model="fake-small", cache=MemoryCache())
    for change in ({"model": "fake-large"}, {"normalize": False}, {"dimension": 4}, {"truncation": "mean"}):
        assert one != one.model_copy(update=change)
    assert one != one.embedder
    assert len({one, one.model_copy(), one.model_copy(update={"model": "fake-large"})}) == 2


def test_values_are_fixed(embeddings):
    with pytest.raises(AttributeError, match="model_copy"):
        embeddings.normalize = False
    with pytest.raises(AttributeError, match="nonsense cannot be set"):
        embeddings.nonsense = 1
    assert embeddings.normalize


def test_repr_says_what_differs_from_the_default(embeddings):
    assert repr(embeddings) == (
        "MultiCoreEmbeddings(framework='fake', model='fake-small', options={'dimension': 6, 'roles': True})"
    )


def test_a_pickled_copy_reads_the_environment_at_its_first_use(keyed, monkeypatch):
    pickled = pickle.dumps(MultiCoreEmbeddings(framework="keyed", api_key="explicit"))
    copied = pickle.loads(pickled)
    with pytest.raises(MissingCredentialsError, match="KEYED_API_KEY"):
        copied.embed_query("a")
    monkeypatch.setenv("KEYED_API_KEY", "from-the-environment")
    copied.embed_query("a")
    assert keyed.seen == ["from-the-environment"]
