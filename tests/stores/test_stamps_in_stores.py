"""A stamp is kept by the store itself and is there when it is opened again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from llm_multi_core.embedder import IncompatibleSpacesError, InvalidOptionError, Modality, create_text_embedder
from llm_multi_core.embedder.stores import (
    ChromaKeeper,
    FileKeeper,
    LanceKeeper,
    QdrantKeeper,
    UnstampedIndexWarning,
    check_store,
    stamp_of,
    stamp_store,
)
from llm_multi_core.embedder.testing.joint import random_joint_embedder
from llm_multi_core.embedder.testing.media import media_plugin

DIMENSION = 8


class Chroma:
    """A collection that has metadata and entries of its own."""

    def __init__(self, folder):
        chromadb = pytest.importorskip("chromadb")
        self.settings = chromadb.Settings(anonymized_telemetry=False)
        self.client = lambda: chromadb.PersistentClient(str(folder / "chroma"), self.settings)
        metadata = {"hnsw:space": "cosine", "owner": "me"}
        self.client().create_collection("things", metadata=metadata, embedding_function=None)

    def open(self):
        self.collection = self.client().get_collection("things", embedding_function=None)
        return ChromaKeeper(self.collection)

    def others(self):
        return self.collection.metadata["owner"], self.collection.configuration["hnsw"]["space"]

    expected = ("me", "cosine")


class Qdrant:
    def __init__(self, folder):
        qdrant = pytest.importorskip("qdrant_client")
        self.connect = lambda: qdrant.QdrantClient(path=str(folder / "qdrant"))
        self.client = self.connect()
        vectors = qdrant.models.VectorParams(size=DIMENSION, distance="Cosine")
        self.client.create_collection("things", vectors_config=vectors, metadata={"owner": "me"})

    def open(self):
        self.client.close()
        self.client = self.connect()
        return QdrantKeeper(self.client, "things")

    def others(self):
        return self.client.get_collection("things").config.metadata["owner"]

    expected = "me"


class Lance:
    def __init__(self, folder):
        lancedb = pytest.importorskip("lancedb")
        self.connect = lambda: lancedb.connect(folder / "lance")
        self.connect().create_table("things", [{"id": "a", "vector": [0.5] * DIMENSION}])

    def open(self):
        self.table = self.connect().open_table("things")
        return LanceKeeper(self.table)

    def others(self):
        self.table.add([{"id": "b", "vector": [0.25] * DIMENSION}])
        self.table.optimize()
        return sorted(row["id"] for row in self.table.to_arrow().to_pylist())[:2]

    expected = ["a", "b"]


class Folder:
    def __init__(self, folder):
        self.folder = folder / "index"
        self.folder.mkdir()
        (self.folder / "index.faiss").write_bytes(b"vectors")

    def open(self):
        return FileKeeper(self.folder)

    def others(self):
        return [path.name for path in sorted(self.folder.iterdir())]

    expected = ["index.faiss", "llm_multi_core_stamp.json"]


@pytest.fixture(params=[Chroma, Qdrant, Lance, Folder])
def store(request, tmp_path):
    return request.param(tmp_path)


@pytest.fixture
def embedder(fake_framework):
    return create_text_embedder(fake_framework, dimension=DIMENSION)


@pytest.fixture
def swapped(fake_framework):
    """Another model of the same dimension."""
    return create_text_embedder(fake_framework, roles=True, dimension=DIMENSION)


def test_it_is_there_when_the_store_is_opened_again(store, embedder):
    stamp = stamp_store(store.open(), embedder)
    keeper = store.open()
    assert stamp_of(keeper).to_json() == stamp.to_json()
    assert check_store(keeper, embedder) == pytest.approx(1.0, abs=1e-6)


def test_a_swapped_model_of_the_same_dimension_is_refused(store, embedder, swapped):
    stamp_store(store.open(), embedder)
    assert swapped.dimension == embedder.dimension
    keeper = store.open()
    with pytest.raises(IncompatibleSpacesError, match="cosine") as caught:
        check_store(keeper, swapped)
    assert keeper.where in str(caught.value)


def test_without_a_stamp_it_warns_and_can_be_stamped(store, embedder):
    keeper = store.open()
    with pytest.warns(UnstampedIndexWarning, match="has no stamp"):
        assert check_store(keeper, embedder) is None
    assert check_store(keeper, embedder, missing="ignore") is None
    with pytest.raises(IncompatibleSpacesError, match="has no stamp"):
        check_store(keeper, embedder, missing="raise")
    stamp_store(keeper, embedder)
    assert check_store(store.open(), embedder) is not None


def test_the_stores_own_settings_and_entries_stay(store, embedder):
    stamp_store(store.open(), embedder)
    keeper = store.open()
    assert store.others() == store.expected
    assert check_store(store.open(), embedder) is not None
    assert keeper.where in repr(keeper)


def test_another_models_stamp_is_replaced_only_on_purpose(store, embedder, swapped):
    stamp_store(store.open(), embedder)
    stamp_store(store.open(), embedder)
    with pytest.raises(IncompatibleSpacesError):
        stamp_store(store.open(), swapped)
    assert check_store(store.open(), embedder) is not None
    stamp_store(store.open(), swapped, replace=True)
    assert check_store(store.open(), swapped) is not None


def test_a_damaged_stamp_is_refused(store, embedder):
    keeper = store.open()
    keeper.write('{"version": 1}')
    with pytest.raises(IncompatibleSpacesError, match="cannot be read"):
        check_store(keeper, embedder)


def test_the_dimension_of_what_is_in_the_store_is_known(store):
    keeper = store.open()
    if isinstance(keeper, ChromaKeeper):
        assert keeper.dimension() is None
        store.collection.add(ids=["a"], embeddings=[[0.5] * DIMENSION])
    assert keeper.dimension() == (None if isinstance(keeper, FileKeeper) else DIMENSION)


@pytest.mark.parametrize("stamped", [False, True])
def test_another_dimension_is_named(store, embedder, fake_framework, stamped):
    keeper = store.open()
    if isinstance(keeper, ChromaKeeper):
        store.collection.add(ids=["a"], embeddings=[[0.5] * DIMENSION])
    if stamped:
        stamp_store(keeper, embedder)
    elif isinstance(keeper, FileKeeper):
        return  # which knows nothing of what it lies beside
    with create_text_embedder(fake_framework, dimension=5) as narrow:
        for act in (check_store, stamp_store):
            with pytest.raises(IncompatibleSpacesError, match=r"holds vectors of 8 dimensions.* makes 5"):
                act(keeper, narrow)


def test_the_warning_points_to_who_opened_the_store(tmp_path, embedder):
    def adapter():
        return check_store(FileKeeper(tmp_path), embedder)

    with pytest.warns(UnstampedIndexWarning) as caught:
        adapter()
    assert caught[0].filename == __file__


def test_a_store_learns_of_modalities_that_are_added_later(tmp_path, embedder, install_plugin):
    install_plugin("llm-multi-core-media", entry_points={"m": "media_plugin"}, modules={"media_plugin": media_plugin()})
    keeper = FileKeeper(tmp_path)
    stamp_store(keeper, embedder)
    assert set(stamp_of(keeper).canaries) == {Modality.TEXT}
    with random_joint_embedder(text={"dimension": DIMENSION}) as mixed:
        stamp_store(keeper, mixed)
    assert set(stamp_of(keeper).canaries) == set(Modality) - {Modality.VIDEO}
    stamp_store(keeper, embedder)  # which knows less, and takes nothing away
    assert set(stamp_of(keeper).canaries) == set(Modality) - {Modality.VIDEO}
    with (
        random_joint_embedder(text={"dimension": DIMENSION}, seed=1) as mapped_anew,
        pytest.raises(IncompatibleSpacesError, match="the probes for image"),
    ):
        check_store(keeper, mapped_anew)


def test_the_stamp_of_an_index_in_a_file_lies_beside_it(tmp_path, embedder):
    (tmp_path / "one.json").write_text("{}")
    (tmp_path / "two.json").write_text("{}")
    stamp_store(FileKeeper(tmp_path / "one.json"), embedder)
    assert check_store(FileKeeper(tmp_path / "one.json"), embedder) is not None
    assert stamp_of(FileKeeper(tmp_path / "two.json")) is None


def test_a_policy_that_does_not_exist_is_refused(tmp_path, embedder):
    with pytest.raises(InvalidOptionError, match="does not exist"):
        check_store(FileKeeper(tmp_path), embedder, missing="shrug")


def test_what_is_not_there_yet_cannot_be_stamped(tmp_path, embedder):
    keeper = FileKeeper(tmp_path / "nowhere")
    assert keeper.read() is None
    with pytest.raises(InvalidOptionError, match="persist it first"):
        stamp_store(keeper, embedder)
    qdrant = pytest.importorskip("qdrant_client")
    keeper = QdrantKeeper(qdrant.QdrantClient(":memory:"), "nothing")
    assert keeper.read() is None
    with pytest.raises(InvalidOptionError, match="add documents first"):
        stamp_store(keeper, embedder)


def test_a_store_that_forgets_is_noticed(embedder):
    class Forgetful(FileKeeper):
        def write(self, text):
            pass

    with pytest.raises(InvalidOptionError, match="does not keep"):
        stamp_store(Forgetful("somewhere"), embedder)


def test_a_table_without_vectors_cannot_be_stamped(tmp_path):
    lancedb = pytest.importorskip("lancedb")
    table = lancedb.connect(tmp_path).create_table("plain", [{"id": "a"}])
    with pytest.raises(InvalidOptionError, match="of vectors"):
        LanceKeeper(table)
    with pytest.raises(InvalidOptionError, match="'nothing'"):
        LanceKeeper(table, "nothing")


def test_no_store_is_imported():
    program = (
        "import sys, llm_multi_core.embedder.stores\n"
        "print(*sorted({'chromadb', 'qdrant_client', 'lancedb', 'pyarrow', 'faiss'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
