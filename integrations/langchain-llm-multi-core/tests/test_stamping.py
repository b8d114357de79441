"""Stores are stamped when they are filled, and refused to another model when they are opened."""

import warnings

import pytest
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from langchain_llm_multi_core import (
    MultiCoreEmbeddings,
    MultiModalRetriever,
    UnstampedIndexWarning,
    check,
    media_search,
    stamp,
)
from llm_multi_core.embedder import IncompatibleSpacesError, InvalidOptionError, Modality, create_text_embedder

TEXTS = ["one text", "another text", "a third"]


def filled(place, embeddings, **settings):
    store = place.open(embeddings, **settings)
    store.add_texts(TEXTS, metadatas=[{"modality": "text"}] * 3)
    return store


def test_a_stamp_outlives_saving_and_opening(place, mixed):
    embeddings = mixed()
    store = filled(place, embeddings)
    assert set(embeddings.stamp(store).canaries) == {Modality.TEXT, Modality.IMAGE, Modality.AUDIO}
    place.save(store)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mixed().check(place.open(mixed())) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("change", [{"seed": 1}, {"roles": False}], ids=["another map", "another prompt"])
def test_a_swapped_model_of_the_same_dimension_is_refused(place, mixed, change):
    store = filled(place, mixed())
    stamp(store)
    place.save(store)
    swapped = mixed(**change)
    assert swapped.space.dimension == mixed().space.dimension
    with pytest.raises(IncompatibleSpacesError, match=r"the probes for (text|image) agree only to a cosine of"):
        check(place.open(swapped))


def test_the_store_itself_takes_the_swapped_model(place, mixed):
    """Why there are stamps."""
    store = filled(place, mixed())
    place.save(store)
    assert len(place.open(mixed(seed=1, roles=False)).similarity_search("one text", k=1)) == 1


def test_a_store_without_a_stamp_warns_and_can_be_stamped(place, mixed):
    embeddings = mixed()
    store = filled(place, embeddings)
    with pytest.warns(UnstampedIndexWarning, match="has no stamp") as caught:
        assert embeddings.check(store) is None
    assert caught[0].filename == __file__
    with pytest.warns(UnstampedIndexWarning) as caught:
        assert check(store) is None
    assert caught[0].filename == __file__
    with pytest.raises(IncompatibleSpacesError, match="has no stamp"):
        check(store, missing="raise")
    assert check(store, missing="ignore") is None
    stamp(store)
    assert check(store) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("stamped", [False, True])
def test_another_dimension_is_named(place, mixed, stamped):
    store = filled(place, mixed())
    if stamped:
        stamp(store)
    place.save(store)
    narrow = mixed(dimension=16)
    with pytest.raises(IncompatibleSpacesError, match=r"holds vectors of 32 dimensions.* makes 16"):
        narrow.check(place.open(narrow))


def test_a_stamp_is_never_found(place, mixed):
    store = filled(place, mixed())
    stamp(store)
    place.save(store)
    store = place.open(mixed())
    found = store.similarity_search("one text", k=50)
    assert sorted(document.page_content for document in found) == sorted(TEXTS)
    assert len(media_search(store, "one text", k=50)) == 3


def test_a_stamp_outlives_additions(place, mixed):
    store = filled(place, mixed())
    stamp(store)
    store.add_texts(["more"], metadatas=[{"modality": "text"}])
    place.save(store)
    assert check(place.open(mixed())) is not None


def test_another_models_stamp_is_replaced_only_on_purpose(place, mixed):
    store = filled(place, mixed())
    stamp(store)
    with pytest.raises(IncompatibleSpacesError):
        stamp(store, mixed(seed=1))
    stamp(store, mixed(seed=1), replace=True)
    assert check(store, mixed(seed=1)) is not None


def test_a_store_of_texts_is_stamped_too(place, fake_framework):
    embeddings = MultiCoreEmbeddings(framework="fake", roles=True)
    store = filled(place, embeddings, dimension=8)
    embeddings.stamp(store)
    place.save(store)
    store = place.open(embeddings, dimension=8)
    assert embeddings.as_symmetric().check(store) == pytest.approx(1.0, abs=1e-6)
    with pytest.raises(IncompatibleSpacesError):
        MultiCoreEmbeddings(framework="fake").check(store)


async def test_stamping_and_checking_do_not_block(place, mixed):
    embeddings = mixed()
    store = filled(place, embeddings)
    with pytest.warns(UnstampedIndexWarning):
        await embeddings.acheck(store)
    await embeddings.astamp(store)
    assert await embeddings.acheck(store) == pytest.approx(1.0, abs=1e-6)


async def test_a_retriever_refuses_a_store_of_another_model_by_itself(place, mixed):
    store = filled(place, mixed())
    stamp(store)
    place.save(store)
    retriever = MultiModalRetriever(vectorstore=place.open(mixed(seed=1)))
    with pytest.raises(IncompatibleSpacesError):
        retriever.invoke("one text")
    with pytest.raises(IncompatibleSpacesError):
        await retriever.ainvoke("one text")
    store = place.open(mixed())
    assert MultiModalRetriever(vectorstore=store, k=1).invoke("one text")


def test_a_retriever_warns_of_a_store_without_a_stamp_once(place, mixed):
    retriever = MultiModalRetriever(vectorstore=filled(place, mixed()), k=1)
    with pytest.warns(UnstampedIndexWarning):
        retriever.invoke("one text")
    retriever.invoke("one text")
    MultiModalRetriever(vectorstore=retriever.vectorstore, check_stamp=False).invoke("one text")


# Kinds of stores that keep nothing by themselves.


def test_a_store_in_memory_keeps_it_while_it_lives_or_in_a_file(mixed, tmp_path):
    store = InMemoryVectorStore(mixed())
    with pytest.warns(UnstampedIndexWarning):
        check(store)
    store.add_texts(TEXTS)
    stamp(store)
    assert check(store) is not None
    with pytest.raises(IncompatibleSpacesError, match=r"holds vectors of 32 dimensions.* makes 16"):
        check(store, mixed(dimension=16))
    saved = tmp_path / "store.json"
    store.dump(str(saved))
    stamp(store, path=saved)
    again = InMemoryVectorStore.load(str(saved), mixed())
    assert check(again, path=saved) is not None
    with pytest.warns(UnstampedIndexWarning):
        check(again)
    with pytest.raises(IncompatibleSpacesError):
        check(InMemoryVectorStore.load(str(saved), mixed(seed=1)), path=saved)
    with pytest.raises(IncompatibleSpacesError, match="dimensions"):
        check(InMemoryVectorStore.load(str(saved), mixed(dimension=16)), path=saved)
    retriever = MultiModalRetriever(vectorstore=again, stamp_path=saved, k=1)
    assert retriever.invoke("one text")[0].page_content == "one text"


class Unheard(VectorStore):
    """A store that nothing is known of."""

    def __init__(self, embeddings):
        self.inner = InMemoryVectorStore(embeddings)

    @property
    def embeddings(self):
        return self.inner.embeddings

    def similarity_search(self, query, k=4, **kwargs):
        return self.inner.similarity_search(query, k)

    @classmethod
    def from_texts(cls, texts, embedding, metadatas=None, **kwargs):
        raise NotImplementedError


def test_any_other_store_is_stamped_in_a_file(mixed, tmp_path):
    store = Unheard(mixed())
    with pytest.warns(UnstampedIndexWarning):
        check(store)
    with pytest.raises(InvalidOptionError, match=r"where a Unheard could keep a stamp; pass path="):
        stamp(store)
    stamp(store, path=tmp_path)
    assert check(store, path=tmp_path) is not None
    with pytest.raises(IncompatibleSpacesError):
        check(Unheard(mixed(seed=1)), path=tmp_path)


def test_a_table_that_is_not_there_yet_is_told_of(mixed, tmp_path):
    lancedb = pytest.importorskip("lancedb")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*langchain-community.*", DeprecationWarning)
        vectorstores = pytest.importorskip("langchain_community.vectorstores")
    store = vectorstores.LanceDB(lancedb.connect(tmp_path), mixed(), table_name="things", mode="append")
    with pytest.warns(UnstampedIndexWarning, match="LanceDB table 'things' has no stamp"):
        check(store)
    with pytest.raises(InvalidOptionError, match="there is no LanceDB table 'things' yet"):
        stamp(store)
    assert media_search(store, "a text") == []


def test_embeddings_of_others_are_refused(mixed, fake_framework):
    from langchain_core.embeddings import DeterministicFakeEmbedding

    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    for attempt in (lambda: check(store), lambda: stamp(store), lambda: media_search(store, "a")):
        with pytest.raises(InvalidOptionError, match="has DeterministicFakeEmbedding; pass embeddings="):
            attempt()
    with pytest.raises(InvalidOptionError, match="a LangChain vector store is needed here, not dict"):
        mixed().stamp({})


def test_embeddings_inside_a_cache_are_found(mixed):
    classic = pytest.importorskip("langchain_classic.embeddings")
    from langchain_core.stores import InMemoryByteStore

    embeddings = mixed()
    cached = classic.CacheBackedEmbeddings.from_bytes_store(
        embeddings, InMemoryByteStore(), namespace=embeddings.cache_namespace(), key_encoder="blake2b"
    )
    store = InMemoryVectorStore(cached)
    store.add_texts(TEXTS)
    stamp(store)
    assert check(store) is not None
    assert media_search(store, "a third", k=1)[0][0].page_content


def test_a_stamp_does_not_ask_the_cache_for_its_probes(fake_framework):
    """A cache may be older than the model."""
    from llm_multi_core.embedder import MemoryCache

    cache = MemoryCache()
    embeddings = MultiCoreEmbeddings(framework="fake", cache=cache)
    store = InMemoryVectorStore(embeddings)
    embeddings.stamp(store)
    assert embeddings.check(store) is not None
    assert len(cache) == 0
    with create_text_embedder("fake") as embedder:
        assert embedder.dimension == 8
