"""The double of Google's service, and embedders that talk to it."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder import create_audio_embedder, create_image_embedder, create_text_embedder
from llm_multi_core.embedder.testing.hosted import HostedServer
from llm_multi_core.embedder.testing.hosted.google import GeminiWire

KEY = "canary-key-4b1d9e77"
MAKERS = {"text": create_text_embedder, "image": create_image_embedder, "audio": create_audio_embedder}


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    for name in (
        "GEMINI_API_KEY",
        "GOOGLE_API_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_CLOUD_PROJECT",
        "GOOGLE_CLOUD_LOCATION",
        "GOOGLE_GENAI_USE_VERTEXAI",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def start_server():
    """Starts doubles, which run until the end."""
    running = []

    def start(wire=None, **settings):
        server = HostedServer(wire or GeminiWire(), **settings).__enter__()
        running.append(server)
        return server

    yield start
    for server in running:
        server.__exit__(None, None, None)


@pytest.fixture
def server(start_server):
    """A double of the test's own."""
    return start_server()


@pytest.fixture
def make():
    """Makes embedders for a double, and closes them."""
    made = []

    def maker(server, model=None, *, modality="text", api_key=KEY, **options):
        embedder = MAKERS[modality]("gemini", model, api_key=api_key, base_url=server.base_url, **options)
        made.append(embedder)
        return embedder

    yield maker
    for embedder in made:
        embedder.close()
