"""Search by text, picture and sound on every kind of store, with filters that mean the same on each."""

import pytest
from langchain_core.documents import Document
from langchain_core.documents.base import Blob
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from langchain_llm_multi_core import (
    MediaFolderLoader,
    MediaQuery,
    MultiCoreEmbeddings,
    amedia_search,
    media_search,
)
from langchain_llm_multi_core.stores import access_of
from llm_multi_core.embedder import (
    Audio,
    Image,
    InvalidInputError,
    InvalidOptionError,
)
from llm_multi_core.embedder.analysis.similarity import cosine_similarity
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture


class Unheard(VectorStore):
    """A store that nothing is known of: it has no scores and no filter."""

    def __init__(self, embeddings):
        self.inner = InMemoryVectorStore(embeddings)

    @property
    def embeddings(self):
        return self.inner.embeddings

    def add_documents(self, documents, **kwargs):
        return self.inner.add_documents(documents, **kwargs)

    def similarity_search(self, query, k=4, **kwargs):
        assert not kwargs
        return self.inner.similarity_search(query, k)

    def similarity_search_by_vector(self, embedding, k=4, **kwargs):
        assert not kwargs
        return self.inner.similarity_search_by_vector(embedding, k)

    @classmethod
    def from_texts(cls, texts, embedding, metadatas=None, **kwargs):
        raise NotImplementedError


@pytest.fixture
def store(place, mixed, library, folder):
    """One of the four, with the folder's documents."""
    made = place.open(mixed(library))
    made.add_documents(MediaFolderLoader(folder, library, uniform_metadata=place.uniform).load())
    return made


def sources(found):
    return [document.metadata["source"].rpartition("/")[2] for document, _ in found]


def test_a_picture_finds_itself_whatever_it_comes_as(store, folder):
    data = (folder / "red.png").read_bytes()
    (stored,) = (each for each, _ in media_search(store, "x", k=50) if each.metadata["source"].endswith("red.png"))
    for query in (folder / "red.png", Image(data), data, Blob(data=data), draw_picture(seed=1), stored):
        (found, score), *_ = media_search(store, query, k=3)
        assert found.metadata["source"].endswith("red.png")
        assert score == pytest.approx(1.0, abs=1e-4)


def test_sounds_pages_and_texts_find_themselves(store, folder, library):
    for query, source in [
        (folder / "tone.wav", "tone.wav"),
        (Audio((folder / "tone.wav").read_bytes()), "tone.wav"),
        (MediaQuery(folder / "tone.wav"), "tone.wav"),
    ]:
        assert sources(media_search(store, query, k=1)) == [source]
    for record in library:
        ((found, _),) = media_search(store, record, k=1)
        assert found.page_content == record.reference
        assert found.metadata.get("start_ms", -1) == (
            record.start_ms if record.start_ms is not None else found.metadata.get("start_ms", -1)
        )
    view = store.embeddings.as_document_role()  # for the fake, a query is something else than the document
    assert sources(media_search(store, "The Moon pulls on the sea.", k=1, embeddings=view)) == ["notes.txt"]


async def test_searching_does_not_block(store, folder):
    for query in (folder / "red.png", "a text", MediaQuery(folder / "tone.wav")):
        assert await amedia_search(store, query, k=5) == media_search(store, query, k=5)


def test_scores_are_cosines_and_in_order(store, folder, library):
    vector = store.embeddings.embed_media_query(folder / "red.png")
    found = media_search(store, folder / "red.png", k=50)
    assert len(found) == 12
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    for document, score in found:
        (own,) = store.embeddings.embed_documents([document.page_content])
        assert score == pytest.approx(cosine_similarity(vector, own), abs=1e-4)


@pytest.mark.parametrize("modality", ["text", "image", "audio", ["text", "audio"]])
def test_a_modality_can_be_asked_for(store, folder, modality):
    names = [modality] if isinstance(modality, str) else modality
    found = media_search(store, folder / "red.png", k=50, modality=modality)
    counts = {"text": 2, "image": 5, "audio": 5}
    assert len(found) == sum(counts[name] for name in names)
    assert {document.metadata["modality"] for document, _ in found} == set(names)


def test_filters_mean_the_same_everywhere(store, folder):
    def found(**where):
        return sorted(sources(media_search(store, "a question", k=50, filter=where)))

    assert found(source=str(folder / "red.png")) == ["red.png"]
    assert found(page=2) == ["report.pdf"]
    assert found(page=[1, 3]) == ["report.pdf"] * 2
    assert found(modality="image", mime_type=["image/png", "image/jpeg"]) == ["blue.jpg", "red.png"]
    assert found(modality=["audio", "text"], source=[str(folder / "tone.wav"), str(folder / "notes.txt")]) == [
        "notes.txt",
        "tone.wav",
    ]
    assert found(source="it's' OR 1=1 --") == []
    assert found(mime_type="image/webp") == []


def test_a_filter_finds_what_is_far_down_the_list(place, mixed, library, tmp_path):
    """Where a store has no filter of its own, a plain top-k would miss it."""
    embeddings = mixed(library)
    store = place.open(embeddings)
    (tmp_path / "far.png").write_bytes(encode_picture(draw_picture(seed=7)))
    (record,) = library.add(tmp_path / "far.png")
    metadata = {"modality": "text", "source": "a.txt", "sha256": "0", "mime_type": "text/plain"}
    texts = [Document(f"text {number}", metadata=metadata) for number in range(100)]
    store.add_documents([*texts, Document(record.reference, metadata=record.to_metadata())])
    view = embeddings.as_document_role()
    found = media_search(store, "text 5", k=100, embeddings=view)
    assert found[0][0].page_content == "text 5"
    ((far, _),) = media_search(store, "text 5", k=1, modality="image", embeddings=view)
    assert far.metadata["source"].endswith("far.png")


def test_a_key_that_no_document_has_finds_nothing(store):
    assert media_search(store, "a question", filter={"nothing": "here"}) == []


def test_an_empty_store_finds_nothing(place, mixed):
    assert media_search(place.open(mixed()), "a question") == []


@pytest.mark.parametrize(("metric", "kind"), [("Euclid", "Qdrant"), ("Dot", "Qdrant"), ("ip", "Faiss")])
def test_scores_are_cosines_under_other_metrics(request, tmp_path, mixed, metric, kind):
    stores = {made.__name__: made for made in request.getfixturevalue("store_kinds")}
    place = stores[f"{kind}Folder"](tmp_path)
    embeddings = mixed()
    store = place.open(embeddings, metric=metric)
    store.add_texts(["one", "two", "three"])
    vector = embeddings.embed_query("two")
    for document, score in media_search(store, "two", k=3):
        assert score == pytest.approx(
            cosine_similarity(vector, embeddings.embed_documents([document.page_content])[0]), abs=1e-4
        )
    if hasattr(place, "close"):
        place.close()


@pytest.mark.parametrize("space", ["l2", "cosine", "ip"])
def test_chromas_distances_become_cosines(tmp_path, request, mixed, space):
    kinds = {made.__name__: made for made in request.getfixturevalue("store_kinds")}
    embeddings = mixed()
    store = kinds["ChromaFolder"](tmp_path).open(embeddings, collection_configuration={"hnsw": {"space": space}})
    store.add_texts(["one", "two", "three"])
    vector = embeddings.embed_query("two")
    for document, score in media_search(store, "two", k=3):
        assert score == pytest.approx(
            cosine_similarity(vector, embeddings.embed_documents([document.page_content])[0]), abs=1e-4
        )


def test_stores_that_nothing_is_known_of_are_searched_and_filtered_too(mixed, library, folder):
    store = Unheard(mixed(library))
    store.add_documents(MediaFolderLoader(folder, library).load())
    (found, score), *_ = media_search(store, folder / "red.png", k=2)
    assert found.metadata["source"].endswith("red.png")
    assert score is None
    assert len(media_search(store, folder / "red.png", k=50, modality="audio")) == 5
    assert sources(media_search(store, "x", k=50, filter={"page": 3})) == ["report.pdf"]
    assert access_of(store).keeper().where == "Unheard"


def test_a_store_in_memory_is_searched_too(mixed, library, folder):
    store = InMemoryVectorStore(mixed(library))
    store.add_documents(MediaFolderLoader(folder, library).load())
    assert sources(media_search(store, folder / "red.png", k=1)) == ["red.png"]
    assert len(media_search(store, "x", k=50, filter={"page": [1, 2]})) == 2


def test_true_and_one_differ(mixed):
    store = InMemoryVectorStore(mixed())
    store.add_texts(["a", "b"], metadatas=[{"flag": True}, {"flag": 1}])
    assert [document.page_content for document, _ in media_search(store, "x", filter={"flag": True})] == ["a"]
    assert [document.page_content for document, _ in media_search(store, "x", filter={"flag": 1})] == ["b"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k=0"),
        ({"modality": "video"}, "modality='video' is not one of 'text', 'image', 'audio'"),
        ({"filter": "page = 1"}, "filter= takes a dict"),
        ({"filter": {"$and": []}}, "names of metadata as keys"),
        ({"filter": {"page": None}}, "takes a string, a number"),
        ({"filter": {"page": []}}, "takes a string, a number"),
        ({"modality": "text", "filter": {"modality": "image"}}, "contradict"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(mixed, arguments, message):
    with pytest.raises(InvalidOptionError, match=message):
        media_search(InMemoryVectorStore(mixed()), "x", **arguments)


def test_a_query_that_is_no_media_is_refused(mixed):
    with pytest.raises(InvalidInputError, match="bytes do not say"):
        media_search(InMemoryVectorStore(mixed()), b"nothing")


def test_a_picture_is_no_query_for_embeddings_of_texts(fake_framework):
    store = InMemoryVectorStore(MultiCoreEmbeddings(framework="fake"))
    store.add_texts(["a"])
    assert media_search(store, "a", k=1)[0][0].page_content == "a"
    with pytest.raises(InvalidOptionError, match="embed texts only"):
        media_search(store, draw_picture())


def test_stores_add_images_by_themselves(mixed, folder):
    """Chroma and LanceDB call `embed_image(uris=...)`."""
    chroma = pytest.importorskip("langchain_chroma")
    chromadb = pytest.importorskip("chromadb")
    embeddings = mixed()
    store = chroma.Chroma("pictures", embeddings, client_settings=chromadb.Settings(anonymized_telemetry=False))
    uris = [str(folder / "red.png"), str(folder / "deeper" / "blue.jpg")]
    store.add_images(uris, metadatas=[{"source": uri} for uri in uris])
    for uri in uris:
        assert store.similarity_search_by_image(uri, k=1)[0].metadata["source"] == uri
        assert media_search(store, Image(uri), k=1)[0][0].metadata["source"] == uri
    store.delete_collection()
