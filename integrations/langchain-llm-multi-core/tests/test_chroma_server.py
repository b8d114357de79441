"""A Chroma server on this machine: the same search and stamps as with the embedded one."""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from langchain_llm_multi_core import MediaFolderLoader, check, media_search, stamp
from llm_multi_core.embedder import IncompatibleSpacesError

chroma = pytest.importorskip("langchain_chroma")
chromadb = pytest.importorskip("chromadb")


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    command = shutil.which("chroma", path=str(Path(sys.executable).parent)) or shutil.which("chroma")
    if command is None:
        pytest.skip("the command chroma is not installed")
    number, folder = free_port(), tmp_path_factory.mktemp("server")
    log = (folder / "log.txt").open("w")
    server = subprocess.Popen(
        [command, "run", "--host", "127.0.0.1", "--port", str(number), "--path", str(folder / "data")],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        for _ in range(600):
            if server.poll() is not None:
                pytest.skip(f"chroma run ended at once: {(folder / 'log.txt').read_text()[-300:]}")
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", number)) == 0:
                    break
            time.sleep(0.1)
        else:
            pytest.fail("chroma run did not listen within a minute")
        yield number
    finally:
        server.terminate()
        server.wait(30)
        log.close()


@pytest.fixture
def opened(port):
    """Opens the collection with embeddings, as another process would."""

    def open_with(embeddings):
        settings = chromadb.Settings(anonymized_telemetry=False)
        return chroma.Chroma("things", embeddings, host="127.0.0.1", port=port, client_settings=settings)

    return open_with


def test_a_server_keeps_documents_and_stamp(opened, mixed, library, folder):
    store = opened(mixed(library))
    store.add_documents(MediaFolderLoader(folder, library).load())
    stamp(store)
    again = opened(mixed())
    assert check(again) == pytest.approx(1.0, abs=1e-6)
    for path in (folder / "red.png", folder / "tone.wav"):
        ((found, score),) = media_search(again, path, k=1)
        assert found.metadata["source"] == str(path)
        assert score == pytest.approx(1.0, abs=1e-4)
    assert len(media_search(again, "a question", k=50, modality="audio")) == 5
    with pytest.raises(IncompatibleSpacesError):
        check(opened(mixed(seed=1)))
    again.delete_collection()
