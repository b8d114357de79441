"""Embedders of several modalities over the fakes, and the databases that stamps are kept in."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder import create_text_embedder
from llm_multi_core.embedder.stamping import ChromaPlace, FilePlace, LancePlace, QdrantPlace
from llm_multi_core.embedder.testing.joint import random_joint_embedder
from llm_multi_core.embedder.testing.media import media_plugin

DIMENSION = 8

NAMED_PLUGIN = """
from dataclasses import replace

from llm_multi_core.embedder import Space, hookimpl
from llm_multi_core.embedder.testing import fakes


class NamedEncoder(fakes.FakeTextEncoder):
    def describe(self):
        made = super().describe()
        return replace(made, space=Space(f"named/{self.config.model}", made.space.dimension))

    def vectors(self, items, task):
        size = self.describe().space.dimension
        role = task.role if self.config.options["roles"] else ""
        return [fakes.fake_vector(f"{self.config.model}|{role}|{item.text}", size) for item in items]


@hookimpl
def llm_multi_core_frameworks():
    return [fakes.fake_offer(NamedEncoder, "named").spec]
"""
"""Unlike those of the fakes, its vectors depend on the model."""


@pytest.fixture
def frameworks(fake_framework, install_plugin):
    """Installs the fakes of all modalities."""
    install_plugin(
        "llm-multi-core-fake-media",
        entry_points={"fake-media": "fake_media_plugin"},
        modules={"fake_media_plugin": media_plugin()},
    )
    install_plugin(
        "llm-multi-core-named", entry_points={"named": "named_plugin"}, modules={"named_plugin": NAMED_PLUGIN}
    )


@pytest.fixture
def texts(frameworks):
    """Makes embedders of texts."""
    made = []

    def make(model="fake-small", **options):
        made.append(create_text_embedder("named", model, **options))
        return made[-1]

    yield make
    for embedder in made:
        embedder.close()


@pytest.fixture
def mixed(frameworks):
    """Makes embedders of three modalities in one space."""
    made = []

    def make(**settings):
        made.append(random_joint_embedder("named", **settings))
        return made[-1]

    yield make
    for embedder in made:
        embedder.close()


class File:
    def __init__(self, folder):
        self.index = folder / "saved.index"
        self.index.write_bytes(b"vectors")

    def open(self):
        return FilePlace(self.index)


class Folder(File):
    def __init__(self, folder):
        self.index = folder / "saved"
        self.index.mkdir()


class Chroma:
    """A collection in a folder, with metadata of its own, opened anew each time."""

    def __init__(self, folder):
        self.chromadb = pytest.importorskip("chromadb")
        self.path = str(folder / "chroma")
        settings = self.chromadb.Settings(anonymized_telemetry=False)
        self.client = self.chromadb.PersistentClient(self.path, settings=settings)
        self.client.create_collection(
            "pages", metadata={"hnsw:space": "cosine", "owner": "tests"}, embedding_function=None
        )

    def open(self):
        return ChromaPlace(self.client.get_collection("pages", embedding_function=None))

    def fill(self, vectors):
        collection = self.client.get_collection("pages", embedding_function=None)
        collection.upsert(ids=[str(number) for number in range(len(vectors))], embeddings=vectors)

    def found(self):
        collection = self.client.get_collection("pages", embedding_function=None)
        assert collection.metadata["owner"] == "tests"
        assert collection.configuration["hnsw"]["space"] == "cosine"
        return collection.query(query_embeddings=[[1.0] * DIMENSION], n_results=50)["ids"][0]


class Qdrant:
    """A collection in a folder, with metadata of its own, opened anew each time."""

    def __init__(self, folder):
        self.qdrant = pytest.importorskip("qdrant_client")
        self.path = str(folder / "qdrant")
        self.client = None
        models = self.qdrant.models
        self._reopened().create_collection(
            "pages",
            vectors_config=models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE),
            metadata={"owner": "tests"},
        )

    def _reopened(self):
        if self.client is not None:
            self.client.close()
        self.client = self.qdrant.QdrantClient(path=self.path)
        return self.client

    def open(self):
        return QdrantPlace(self._reopened(), "pages")

    def fill(self, vectors):
        points = [self.qdrant.models.PointStruct(id=place, vector=row) for place, row in enumerate(vectors)]
        self.client.upsert("pages", points)

    def found(self):
        assert self.client.get_collection("pages").config.metadata["owner"] == "tests"
        return [point.id for point in self.client.query_points("pages", query=[1.0] * DIMENSION, limit=50).points]


class Lance:
    """A table in a folder, opened anew each time."""

    def __init__(self, folder):
        self.lancedb = pytest.importorskip("lancedb")
        self.path = str(folder / "lance")
        self.made = self.lancedb.connect(self.path).create_table("pages", [{"id": "0", "vector": [1.0] * DIMENSION}])

    def open(self):
        return LancePlace(self.lancedb.connect(self.path).open_table("pages"))

    def fill(self, vectors):
        rows = [{"id": str(place), "vector": row} for place, row in enumerate(vectors)]
        self.lancedb.connect(self.path).open_table("pages").add(rows)

    def found(self):
        table = self.lancedb.connect(self.path).open_table("pages")
        return [row["id"] for row in table.search([1.0] * DIMENSION).limit(50).to_list()]


def opened(kind, folder):
    made = kind(folder)
    yield made
    if isinstance(made, Qdrant):
        made.client.close()


@pytest.fixture(params=[File, Folder, Chroma, Qdrant, Lance])
def index(request, tmp_path):
    """An index of one kind, which `open()` opens anew."""
    yield from opened(request.param, tmp_path)


@pytest.fixture(params=[Chroma, Qdrant, Lance])
def database(request, tmp_path):
    """An index that says more of itself; `fill(vectors)` adds to it, `found()` gives all ids in it."""
    yield from opened(request.param, tmp_path)
