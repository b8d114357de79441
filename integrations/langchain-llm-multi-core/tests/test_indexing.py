"""`index()` over a folder: a rerun embeds nothing, a changed file is embedded again, and what is gone is removed."""

import warnings

import pytest
from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_llm_multi_core import (
    MediaFolderLoader,
    MultiCoreMultiModalEmbeddings,
    UnregisteredReferenceWarning,
    document_key,
    media_document,
    media_search,
)
from llm_multi_core.embedder import InvalidInputError, MultiModalEmbedder
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture

NOTHING = {"num_added": 0, "num_updated": 0, "num_deleted": 0}


@pytest.fixture
def embedded(monkeypatch):
    """The inputs that were embedded, in the order in which they were."""
    seen = []
    real, areal = MultiModalEmbedder.embed_joint, MultiModalEmbedder.aembed_joint

    def watched(self, xs, *args, **kwargs):
        seen.extend(xs := list(xs))
        return real(self, xs, *args, **kwargs)

    async def awatched(self, xs, *args, **kwargs):
        seen.extend(xs := list(xs))
        return await areal(self, xs, *args, **kwargs)

    monkeypatch.setattr(MultiModalEmbedder, "embed_joint", watched)
    monkeypatch.setattr(MultiModalEmbedder, "aembed_joint", awatched)
    return seen


@pytest.fixture
def run(place, mixed, library, folder):
    """Indexes the folder into a store; gives the result."""
    store = place.open(mixed(library))
    records = InMemoryRecordManager(namespace=mixed().cache_namespace())
    records.create_schema()

    def run(cleanup="full", **settings):
        loader = MediaFolderLoader(folder, library, uniform_metadata=place.uniform)
        return index(
            loader, records, store, cleanup=cleanup, source_id_key="source", key_encoder=document_key, **settings
        )

    run.store = store
    return run


def sources(store):
    found = media_search(store, "anything", k=100)
    return sorted(document.metadata["source"].rpartition("/")[2] for document, _ in found)


def test_a_rerun_embeds_nothing(run, embedded):
    assert run()["num_added"] == 12
    assert len(embedded) == 12
    embedded.clear()
    assert run() == {**NOTHING, "num_skipped": 12}
    assert embedded == []


@pytest.mark.parametrize("cleanup", ["full", "incremental", "scoped_full"])
def test_a_changed_picture_is_embedded_again_and_the_old_one_removed(run, folder, embedded, cleanup):
    run(cleanup)
    embedded.clear()
    (folder / "red.png").write_bytes(encode_picture(draw_picture(seed=9)))
    assert run(cleanup) == {"num_added": 1, "num_updated": 0, "num_deleted": 1, "num_skipped": 11}
    assert len(embedded) == 1
    assert sources(run.store).count("red.png") == 1
    ((found, score),) = media_search(run.store, folder / "red.png", k=1)
    assert found.metadata["source"] == str(folder / "red.png")
    assert score == pytest.approx(1.0, abs=1e-4)


def test_what_is_gone_is_removed_and_what_is_new_added(run, folder):
    run()
    (folder / "report.pdf").unlink()
    (folder / "new.png").write_bytes(encode_picture(draw_picture(seed=8)))
    assert run() == {"num_added": 1, "num_updated": 0, "num_deleted": 3, "num_skipped": 9}
    assert "report.pdf" not in sources(run.store)
    assert "new.png" in sources(run.store)


def test_a_picture_that_was_touched_is_not_embedded_again(run, folder, embedded):
    run()
    embedded.clear()
    data = (folder / "red.png").read_bytes()
    (folder / "red.png").unlink()
    (folder / "red.png").write_bytes(data)
    assert run() == {**NOTHING, "num_skipped": 12}
    assert embedded == []


@pytest.mark.parametrize("kind", ["ChromaFolder", "QdrantFolder"])
def test_adding_again_replaces_where_the_store_goes_by_ids(store_kinds, kind, tmp_path, mixed, library, folder):
    """FAISS refuses an id that is there, and LanceDB adds a second; with them use `index()`."""
    place = next(made for made in store_kinds if made.__name__ == kind)(tmp_path)
    store = place.open(mixed(library))
    for _ in range(2):
        store.add_documents(MediaFolderLoader(folder, library, pattern="*.png").load())
    assert sources(store) == ["red.png"]
    if hasattr(place, "close"):
        place.close()


@pytest.mark.parametrize("encoder", ["sha256", "blake2b"])
def test_langchains_own_keys_tell_pictures_apart_too(mixed, library, tmp_path, encoder):
    """Without words of their own, two pictures would have one hash of text and metadata."""
    for seed in range(5):
        (tmp_path / "scans" / f"{seed}").mkdir(parents=True)
        (tmp_path / "scans" / f"{seed}" / "scan.png").write_bytes(encode_picture(draw_picture(seed=seed)))
    store, records = InMemoryVectorStore(mixed(library)), InMemoryRecordManager(namespace="n")
    records.create_schema()
    loader = MediaFolderLoader(tmp_path / "scans", library)
    assert index(loader, records, store, cleanup="full", key_encoder=encoder)["num_added"] == 5
    assert index(loader, records, store, cleanup="full", key_encoder=encoder)["num_skipped"] == 5
    vectors = {tuple(entry["vector"]) for entry in store.store.values()}
    assert len(vectors) == 5


def test_naive_documents_of_pictures_do_collide(mixed, library, folder):
    """Which shows what the reference in the text is for."""
    records = InMemoryRecordManager(namespace="n")
    records.create_schema()
    naive = [Document("", metadata={"modality": "image"}) for _ in range(2)]
    result = index(naive, records, InMemoryVectorStore(mixed(library)), key_encoder="sha256")
    assert result["num_added"] == 1


async def test_the_asynchronous_form_does_the_same(mixed, library, folder, embedded):
    store, records = InMemoryVectorStore(mixed(library)), InMemoryRecordManager(namespace="n")
    await records.acreate_schema()
    for added in (12, 0):
        embedded.clear()
        result = await aindex(
            MediaFolderLoader(folder, library),
            records,
            store,
            cleanup="full",
            key_encoder=document_key,
        )
        assert (result["num_added"], len(embedded)) == (added, added)


def test_a_failed_run_is_not_taken_for_done(run, folder, monkeypatch):
    with monkeypatch.context() as patch:

        def fail(self, texts):
            raise InvalidInputError("the model is away")

        patch.setattr(MultiCoreMultiModalEmbeddings, "embed_documents", fail)
        with pytest.raises(InvalidInputError, match="the model is away"):
            run()
    assert run()["num_added"] == 12


def test_a_record_manager_of_another_model_knows_nothing(mixed, library, folder):
    """The namespace follows the models, so that a swapped model embeds everything again."""
    for seed, added in [(0, 12), (0, 0), (1, 12)]:
        embeddings = mixed(library, seed=seed)
        records = KEPT.setdefault(embeddings.cache_namespace(), InMemoryRecordManager(namespace="n"))
        records.create_schema()
        result = index(
            MediaFolderLoader(folder, library), records, InMemoryVectorStore(embeddings), key_encoder=document_key
        )
        assert result["num_added"] == added


KEPT = {}


def test_documents_of_another_process_are_known_once_their_records_are(mixed, library, folder):
    """A store's documents come back with their metadata; registering them is a decision."""
    documents = MediaFolderLoader(folder, library).load()
    fresh = mixed()
    with pytest.warns(UnregisteredReferenceWarning):
        wrong = fresh.embed_documents([documents[0].page_content])
    fresh.library.register(library)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right = fresh.embed_documents([documents[0].page_content])
    assert right != wrong
    assert right == fresh.embed_media([media_document(next(iter(library)))])
