"""Real stores: an index of 300 texts, pictures and recordings, persisted, opened again, asked in each modality."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest
from llama_index.core import StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.schema import ImageNode, QueryBundle, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore

from llama_index.embeddings.llm_multi_core import (
    MediaBlocks,
    MultiCoreEmbedding,
    MultiCoreMultiModalEmbedding,
    MultiCoreReader,
    MultiCoreRetriever,
    check_index,
    nodes_of_file,
    query_by_image,
    stamp_index,
    with_media_metadata,
)
from llm_multi_core.embedder import (
    IncompatibleSpacesError,
    InvalidOptionError,
    create_audio_embedder,
    create_image_embedder,
    create_text_embedder,
)
from llm_multi_core.embedder.analysis import Alignment
from llm_multi_core.embedder.media import MediaRecord
from llm_multi_core.embedder.stores import UnstampedIndexWarning
from llm_multi_core.embedder.testing.media import (
    draw_picture,
    encode_picture,
    encode_sound,
    synthesise,
)

for needed in ("llm_multi_core_sentence_transformers", "llm_multi_core_classic", "sklearn"):
    pytest.importorskip(needed)

pytestmark = [
    # Qdrant's local mode says so of what LlamaIndex's store always does.
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
    # LlamaIndex's store still asks LanceDB in the old way.
    pytest.mark.filterwarnings(r"ignore:table_names\(\) is deprecated:DeprecationWarning"),
]

EACH = 100
"""Items of a modality."""
DIMENSION = 384


# The stores.


class InAFolder:
    """LlamaIndex's own store, persisted with the index."""

    keeps_text = True
    keeps_stamps = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fresh(self):
        return StorageContext.from_defaults()

    def close(self, index):
        index.storage_context.persist(str(self.folder))

    def reopened(self, embedding):
        return load_index_from_storage(self.context(), embed_model=embedding)

    def context(self):
        return StorageContext.from_defaults(persist_dir=str(self.folder))

    @property
    def stamping(self):
        return {} if self.keeps_stamps else {"persist_dir": self.folder}


class Faiss(InAFolder):
    def fresh(self):
        import faiss
        from llama_index.vector_stores.faiss import FaissVectorStore

        return StorageContext.from_defaults(vector_store=FaissVectorStore(faiss.IndexFlatIP(DIMENSION)))

    def context(self):
        from llama_index.vector_stores.faiss import FaissVectorStore

        store = FaissVectorStore.from_persist_dir(str(self.folder))
        return StorageContext.from_defaults(vector_store=store, persist_dir=str(self.folder))


class ByItself:
    """A store that persists itself, and keeps texts and stamps."""

    keeps_stamps = True
    stamping: dict = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fresh(self):
        return StorageContext.from_defaults(vector_store=self.store())

    def close(self, index):
        pass

    def reopened(self, embedding):
        return VectorStoreIndex.from_vector_store(self.store(), embed_model=embedding)


class Chroma(ByItself):
    def store(self):
        import chromadb
        from llama_index.vector_stores.chroma import ChromaVectorStore

        settings = chromadb.Settings(anonymized_telemetry=False)
        client = chromadb.PersistentClient(str(self.folder), settings)
        collection = client.get_or_create_collection(
            "things", metadata={"hnsw:space": "cosine"}, embedding_function=None
        )
        return ChromaVectorStore(collection)


class Qdrant(ByItself):
    client = None

    def store(self):
        import qdrant_client
        from llama_index.vector_stores.qdrant import QdrantVectorStore

        if self.client is None:
            self.client = qdrant_client.QdrantClient(path=str(self.folder))
        return QdrantVectorStore("things", client=self.client)

    def close(self, index):
        self.client.close()
        self.client = None


class Lance(ByItself):
    def store(self):
        from llama_index.vector_stores.lancedb import LanceDBVectorStore

        return LanceDBVectorStore(uri=str(self.folder), table_name="things")


@pytest.fixture(scope="module", params=[InAFolder, Faiss, Chroma, Qdrant, Lance])
def kind(request):
    return request.param


# The items.


@pytest.fixture(scope="module")
def embedding(tmp_path_factory):
    """MiniLM for texts; descriptors of images and sound, carried into its space by maps fitted from pairs."""
    with (
        create_text_embedder("sentence-transformers") as texts,
        create_image_embedder("classic") as images,
        create_audio_embedder("classic") as sounds,
    ):
        numbers = range(1000, 1060)
        pictures = [(draw_picture(seed=number), f"drawing {number} of the catalogue") for number in numbers]
        tones = [((synthesise(0.2, pitch=200.0 + number % 60 * 15), 16_000), f"tone {number}") for number in numbers]
        maps = [
            Alignment.fit(images, texts, pictures, held_out=0.0, alphas=[0.1]),
            Alignment.fit(sounds, texts, tones, held_out=0.0, alphas=[0.1]),
        ]
    return MultiCoreMultiModalEmbedding("sentence-transformers", "classic", "classic", alignment=maps)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("things")
    for number in range(EACH):
        (folder / f"{number}.png").write_bytes(encode_picture(draw_picture(48, 32, seed=number)))
        (folder / f"{number}.wav").write_bytes(encode_sound(synthesise(0.2, pitch=200.0 + 11 * number, seed=number)))
        (folder / f"{number}.txt").write_text(f"Entry {number} of the log, written in year {1900 + number}.")
    return folder


@pytest.fixture(scope="module")
def embedded_nodes(embedding, folder):
    return embedding(MultiCoreReader(folder).load_nodes())


@pytest.fixture(scope="module")
def queries(embedding, embedded_nodes):
    """Of each node its own query, and the node's id."""
    own = []
    for node in embedded_nodes:
        record = MediaRecord.from_metadata(node.metadata)
        if record is None:
            vector = embedding.get_query_embedding(node.text)
        elif record.modality == "image":
            vector = embedding.get_image_query_embedding(record.source)
        else:
            vector = embedding.get_audio_query_embedding(record.source)
        own.append((QueryBundle("", embedding=vector), node.node_id))
    return own


@pytest.fixture(scope="module")
def filled(kind, embedding, embedded_nodes, tmp_path_factory):
    """The folder of a store that was filled in this process, and closed."""
    made = kind(tmp_path_factory.mktemp("store") / "store")
    nodes = copy.deepcopy(embedded_nodes)
    made.close(VectorStoreIndex(nodes, storage_context=made.fresh(), embed_model=embedding))
    return made.folder


@pytest.fixture
def made(kind, filled, tmp_path):
    """The store, as another process finds it."""
    return kind(Path(shutil.copytree(filled, tmp_path / "store")))


def test_each_items_own_query_finds_it_first(made, embedding, queries):
    assert len(queries) == 3 * EACH
    retriever = made.reopened(embedding).as_retriever(similarity_top_k=1)
    found = [(retriever.retrieve(query)[0].node.node_id, expected) for query, expected in queries]
    assert [pair for pair in found if pair[0] != pair[1]] == []


def test_what_is_found_leads_back_to_its_media(made, embedding, folder):
    retriever = MultiCoreRetriever(made.reopened(embedding), similarity_top_k=6, quotas={"image": 2, "audio": 2})
    found = retriever.retrieve("Entry 42 of the log, written in year 1942.")
    kinds = [result.metadata["modality"] for result in found]
    assert sorted(kinds) == ["audio"] * 2 + ["image"] * 2 + ["text"] * 2
    assert found[0].metadata["source"] == str(folder / "42.txt")
    blocks = MediaBlocks().blocks(found)
    assert [block.block_type for block in blocks].count("image") == 2
    assert [block.block_type for block in blocks].count("audio") == 2
    by_picture = retriever.retrieve(query_by_image(embedding, folder / "7.png"))
    assert by_picture[0].metadata["source"] == str(folder / "7.png")
    assert len({result.node.node_id for result in by_picture}) == 6


def test_a_swapped_model_of_the_same_dimension_is_refused(made, embedding, joint):
    index = made.reopened(embedding)
    with pytest.warns(UnstampedIndexWarning, match="has no stamp"):
        assert check_index(index, **made.stamping) is None
    stamp_index(index, **made.stamping)
    made.close(index)
    swapped = joint(text={"dimension": DIMENSION})
    assert swapped.embedder.dimension == embedding.embedder.dimension
    assert check_index(made.reopened(embedding), **made.stamping) == pytest.approx(1.0, abs=1e-3)
    index = made.reopened(swapped)
    with pytest.raises(IncompatibleSpacesError, match="cosine"):
        check_index(index, **made.stamping)
    with pytest.raises(IncompatibleSpacesError):
        stamp_index(index, **made.stamping)
    assert check_index(index, embedding, **made.stamping) is not None, "the index is still that of its model"


def test_an_alignment_that_was_fitted_anew_is_refused(made, embedding):
    index = made.reopened(embedding)
    stamp_index(index, **made.stamping)
    one, other = embedding.embedder._routes.alignments
    with create_text_embedder("sentence-transformers") as texts, create_image_embedder("classic") as images:
        pairs = [(draw_picture(seed=number), f"thing {number}") for number in range(10)]
        again = Alignment.fit(images, texts, pairs, held_out=0.0, alphas=[0.1])
    assert again.target == one.target
    changed = MultiCoreMultiModalEmbedding("sentence-transformers", "classic", "classic", alignment=[again, other])
    with pytest.raises(IncompatibleSpacesError, match="image"):
        check_index(index, changed, **made.stamping)


# LlamaIndex's LanceDB store quotes a source as a name, and so deletes nothing by it; FAISS cannot delete.
@pytest.mark.parametrize("kind", [Chroma, Qdrant], indirect=True)
def test_a_changed_picture_is_embedded_again_in_the_store(kind, embedding, media, tmp_path):
    made = kind(tmp_path / "store")
    store, docstore = made.store(), SimpleDocumentStore()
    media.picture("a.png", 1)
    media.picture("b.png", 2)
    media.sound()

    def ingest():
        pipeline = IngestionPipeline(transformations=[embedding], docstore=docstore, vector_store=store)
        return pipeline.run(documents=MultiCoreReader(media.folder).load_data())

    assert len(ingest()) == 3
    assert ingest() == []
    changed = media.picture("a.png", 3)
    assert [Path(node.metadata["source"]).name for node in ingest()] == ["a.png"]
    index = VectorStoreIndex.from_vector_store(store, embed_model=embedding)
    found = index.as_retriever(similarity_top_k=5).retrieve(query_by_image(embedding, changed))
    assert len(found) == 3, "the old vector is gone"
    assert found[0].metadata["source"] == str(changed)
    assert MediaRecord.from_metadata(found[0].metadata).sha256 == nodes_of_file(changed)[0].metadata["sha256"]


# What is said of stores that cannot keep a stamp, or not yet.


def test_a_folder_has_to_be_named_where_the_store_keeps_none(embedding, embedded_nodes, tmp_path):
    index = VectorStoreIndex(copy.deepcopy(embedded_nodes[:3]), embed_model=embedding)
    with pytest.raises(InvalidOptionError, match="persist_dir="):
        stamp_index(index)
    with pytest.raises(InvalidOptionError, match="persist it first"):
        stamp_index(index, persist_dir=tmp_path / "not yet")


@pytest.mark.parametrize("kind", [Chroma, Qdrant, Lance], indirect=True)
def test_an_empty_store(kind, embedding, tmp_path):
    index = VectorStoreIndex.from_vector_store(kind(tmp_path / "store").store(), embed_model=embedding)
    if kind is Chroma:  # a collection is there before anything is in it
        stamp_index(index)
        assert check_index(index) is not None
        return
    with pytest.raises(InvalidOptionError, match="add documents first"):
        stamp_index(index)


def test_only_embeddings_of_this_package_are_stamped(tmp_path):
    from llama_index.core import MockEmbedding

    index = VectorStoreIndex([], embed_model=MockEmbedding(embed_dim=3))
    with pytest.raises(InvalidOptionError, match="not of a MockEmbedding"):
        stamp_index(index, persist_dir=tmp_path)


def test_an_index_of_texts_alone_is_guarded_as_well(fake_framework, framework_by_model, tmp_path):
    one, other = MultiCoreEmbedding(framework_by_model), MultiCoreEmbedding(framework_by_model, "other")
    index = VectorStoreIndex([TextNode(text="words")], embed_model=one)
    index.storage_context.persist(str(tmp_path))
    stamp_index(index, persist_dir=tmp_path)
    assert check_index(index, persist_dir=tmp_path) == pytest.approx(1.0)
    assert check_index(index.vector_store, one, persist_dir=tmp_path) == pytest.approx(1.0)
    with pytest.raises(IncompatibleSpacesError, match="fake other"):
        check_index(index, other, persist_dir=tmp_path)
    stamp_index(index, other, persist_dir=tmp_path, replace=True)
    assert check_index(index, other, persist_dir=tmp_path) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", [Qdrant], indirect=True)
def test_the_trap_image_nodes_hide_everything_else(kind, embedding, folder, tmp_path):
    """On a store that keeps texts an index remembers the ids of image nodes alone; its retrievers find no others."""
    made = kind(tmp_path / "store")
    pictures = with_media_metadata([ImageNode(image_path=str(folder / "0.png"))])
    nodes = embedding([*pictures, *nodes_of_file(folder / "0.txt"), *nodes_of_file(folder / "0.wav")])
    nodes[0].id_ = nodes_of_file(folder / "0.png")[0].node_id
    index = VectorStoreIndex(nodes, storage_context=made.fresh(), embed_model=embedding)
    hidden = index.as_retriever(similarity_top_k=5).retrieve("Entry 0 of the log")
    assert [result.metadata["modality"] for result in hidden] == ["image"]
    assert len(MultiCoreRetriever(index, similarity_top_k=5).retrieve("Entry 0 of the log")) == 3
    other = kind(tmp_path / "other")
    nodes = embedding([node for name in ("0.png", "0.txt", "0.wav") for node in nodes_of_file(folder / name)])
    index = VectorStoreIndex(nodes, storage_context=other.fresh(), embed_model=embedding)
    assert len(index.as_retriever(similarity_top_k=5).retrieve("Entry 0 of the log")) == 3
