"""Plugins with what the fakes lack (a key, a gate that a test opens), media, and vector stores in folders."""

import importlib
import socket
import warnings

import pytest

from langchain_llm_multi_core import MediaLibrary, MultiCoreMultiModalEmbeddings
from llm_multi_core.embedder.testing.joint import random_joint_embedder
from llm_multi_core.embedder.testing.media import (
    draw_picture,
    encode_picture,
    encode_sound,
    media_plugin,
    synthesise,
)

LOOPBACK = {"127.0.0.1", "::1", "localhost"}

KEYED_PLUGIN = """
from dataclasses import replace

from llm_multi_core.embedder import Credentials, hookimpl
from llm_multi_core.embedder.testing import fakes

CREDENTIALS = Credentials(("KEYED_API_KEY",))
seen = []


class KeyedEncoder(fakes.FakeHostedEncoder):
    async def request(self, items, task):
        seen.append(CREDENTIALS.require(self.config.secret, "keyed"))
        return await super().request(items, task)


@hookimpl
def llm_multi_core_frameworks():
    spec = fakes.fake_offer(KeyedEncoder, "keyed").spec
    return [replace(spec, hosted=True, credentials=CREDENTIALS)]
"""

GATED_PLUGIN = """
import threading
from dataclasses import replace

from llm_multi_core.embedder import OptionSpec, hookimpl
from llm_multi_core.embedder.testing import fakes

made = []
reached = threading.Event()
opened = threading.Event()


class GatedEncoder(fakes.FakeTextEncoder):
    def __init__(self, config):
        made.append(config.model)
        super().__init__(config)

    def _pass(self, stage):
        if self.config.options["stage"] == stage:
            reached.set()
            assert opened.wait(60)

    def describe(self):
        self._pass("describe")
        return super().describe()

    def load(self):
        self._pass("load")

    def measure(self, items, task):
        self._pass("measure")
        return super().measure(items, task)

    def prepare(self, items, task, state=None):
        self._pass("prepare")
        return super().prepare(items, task, state)

    def forward(self, batch):
        self._pass("forward")
        return super().forward(batch)


@hookimpl
def llm_multi_core_frameworks():
    spec = fakes.fake_offer(GatedEncoder, "gated").spec
    return [replace(spec, options=(*spec.options, OptionSpec("stage", str)))]
"""


@pytest.fixture
def keyed(install_plugin, monkeypatch):
    """The module of framework `"keyed"`, which is hosted; `seen` lists the keys that it used."""
    monkeypatch.delenv("KEYED_API_KEY", raising=False)
    install_plugin(
        "llm-multi-core-keyed", entry_points={"keyed": "keyed_plugin"}, modules={"keyed_plugin": KEYED_PLUGIN}
    )
    return importlib.import_module("keyed_plugin")


@pytest.fixture
def gated(install_plugin):
    """The module of framework `"gated"`, which waits at the stage that its option names."""
    install_plugin(
        "llm-multi-core-gated", entry_points={"gated": "gated_plugin"}, modules={"gated_plugin": GATED_PLUGIN}
    )
    module = importlib.import_module("gated_plugin")
    yield module
    module.opened.set()


# Media: fakes of three modalities in one space, files, and vector stores in a folder.


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """Only this machine can be reached; stores send telemetry, and loaders and models could fetch."""
    connect, find = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self, address):
        host = address[0] if isinstance(address, tuple) else "localhost"  # or the path of a local socket
        assert host in LOOPBACK, f"connected to {address}"
        return connect(self, address)

    def guarded_find(host, *args, **kwargs):
        assert host in LOOPBACK or host is None, f"looked up {host}"
        return find(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_find)


@pytest.fixture
def media_frameworks(fake_framework, install_plugin):
    """Installs the frameworks `fake`, `fake-image` and `fake-audio`."""
    install_plugin(
        "llm-multi-core-fake-media",
        entry_points={"fake-media": "fake_media_plugin"},
        modules={"fake_media_plugin": media_plugin()},
    )


@pytest.fixture
def mixed(media_frameworks):
    """Makes embeddings of three modalities in one space of 32 dimensions; `seed` changes the maps into it."""

    def make(library=None, *, seed=0, roles=True, dimension=32, show_progress=False, **settings):
        embedder = random_joint_embedder(
            seed=seed, text={"roles": roles, "dimension": dimension, "max_words": 64}, **settings
        )
        return MultiCoreMultiModalEmbeddings(embedder=embedder, library=library, show_progress=show_progress)

    return make


@pytest.fixture
def library(tmp_path):
    """A media library with windows of two seconds."""
    return MediaLibrary(blobs=tmp_path / "blobs", window_seconds=2.0, overlap_seconds=0.5)


@pytest.fixture
def folder(tmp_path):
    """Two texts, two pictures, a short and a long recording, and a PDF of three pages."""
    root = tmp_path / "things"
    (root / "deeper").mkdir(parents=True)
    (root / "notes.txt").write_text("The Moon pulls on the sea.", encoding="utf-8")
    (root / "deeper" / "recipe.md").write_text("# Bread\n\nFlour, water, salt.", encoding="utf-8")
    (root / "red.png").write_bytes(encode_picture(draw_picture(seed=1)))
    (root / "deeper" / "blue.jpg").write_bytes(encode_picture(draw_picture(seed=2), "JPEG"))
    (root / "tone.wav").write_bytes(encode_sound(synthesise(0.5, seed=1)))
    (root / "talk.wav").write_bytes(encode_sound(synthesise(6.0, seed=2)))
    pages = [draw_picture(200, 260, seed=seed) for seed in range(3)]
    pages[0].save(root / "report.pdf", "PDF", save_all=True, append_images=pages[1:])
    return root


class ChromaFolder:
    """A Chroma collection in a folder."""

    uniform = False

    def __init__(self, path):
        self.chroma = pytest.importorskip("langchain_chroma").Chroma
        self.settings = pytest.importorskip("chromadb").Settings(anonymized_telemetry=False)
        self.path = str(path / "chroma")

    def open(self, embeddings, dimension=32, **settings):
        return self.chroma("things", embeddings, persist_directory=self.path, client_settings=self.settings, **settings)

    def save(self, store):
        """Chroma keeps everything as it comes."""


class QdrantFolder:
    """A Qdrant collection in local mode."""

    uniform = False

    def __init__(self, path):
        self.qdrant = pytest.importorskip("langchain_qdrant")
        self.client_library = pytest.importorskip("qdrant_client")
        self.path = str(path / "qdrant")
        self.client = None

    def open(self, embeddings, dimension=32, metric="Cosine"):
        self.close()
        self.client = self.client_library.QdrantClient(path=self.path)
        if not self.client.collection_exists("things"):
            vectors = self.client_library.models.VectorParams(size=dimension, distance=metric)
            self.client.create_collection("things", vectors_config=vectors)
        distance = self.client_library.models.Distance(metric)
        return self.qdrant.QdrantVectorStore(
            self.client, "things", embeddings, distance=distance, validate_collection_config=False
        )

    def save(self, store):
        """Qdrant keeps everything as it comes."""

    def close(self):
        if self.client is not None:
            self.client.close()


class FaissFolder:
    """A FAISS index, in memory until it is saved."""

    uniform = False

    def __init__(self, path):
        self.vectorstores = community()
        self.path = path / "faiss"

    def open(self, embeddings, dimension=32, metric="l2"):
        if self.path.exists():
            return self.vectorstores.FAISS.load_local(str(self.path), embeddings, allow_dangerous_deserialization=True)
        import faiss
        from langchain_community.docstore.in_memory import InMemoryDocstore

        index = faiss.IndexFlatL2(dimension) if metric == "l2" else faiss.IndexFlatIP(dimension)
        return self.vectorstores.FAISS(embeddings, index, InMemoryDocstore(), {})

    def save(self, store):
        store.save_local(str(self.path))


class LanceFolder:
    """A LanceDB table."""

    uniform = True  # the first documents decide about the fields that metadata can have

    def __init__(self, path):
        self.vectorstores = community()
        self.lancedb = pytest.importorskip("lancedb")
        self.path = str(path / "lance")

    def open(self, embeddings, dimension=32):
        connection = self.lancedb.connect(self.path)
        return self.vectorstores.LanceDB(connection, embeddings, table_name="things", mode="append")

    def save(self, store):
        """LanceDB keeps everything as it comes."""


def community():
    """The stores that have no package of their own."""
    pytest.importorskip("faiss")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*langchain-community.*", DeprecationWarning)  # which is being sunset
        return pytest.importorskip("langchain_community.vectorstores")


STORES = [ChromaFolder, QdrantFolder, FaissFolder, LanceFolder]


@pytest.fixture
def store_kinds():
    """All kinds of stores in folders, to be made one by one."""
    return STORES


@pytest.fixture(params=STORES, ids=lambda kind: kind.__name__.removesuffix("Folder"))
def place(request, tmp_path):
    """A vector store in a folder, which `open(embeddings)` opens anew."""
    made = request.param(tmp_path)
    yield made
    if isinstance(made, QdrantFolder):
        made.close()
