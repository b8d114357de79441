"""An OpenAI and an Azure on the loopback interface, and embedders that ask them."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest

from llm_multi_core.embedder import create_audio_embedder, create_image_embedder, create_text_embedder
from llm_multi_core.embedder.testing.hosted import Content, EmbeddingCall, HostedServer
from llm_multi_core.embedder.testing.hosted.openai import AzureWire, OpenAIWire

KEY = "sk-0123456789abcdef"
"""No key of anybody's."""
DEPLOYMENTS = dict.fromkeys(("mine", "text-embedding-3-small"), "text-embedding-3-small")
_FACTORIES = {"text": create_text_embedder, "image": create_image_embedder, "audio": create_audio_embedder}


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_API_VERSION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_AD_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def wire():
    """The wire of `server`; a test module may have its own."""
    return OpenAIWire()


@pytest.fixture
def server(wire):
    with HostedServer(wire) as running:
        yield running


@pytest.fixture
def azure():
    wire = AzureWire(DEPLOYMENTS | {"gpt-6-luna": "gpt-6-luna", "gpt-transcribe": "gpt-transcribe"})
    with HostedServer(wire) as running:
        yield running


@pytest.fixture
def open_embedder():
    """Makes embedders; they are closed after the test."""
    with ExitStack() as stack:

        def opener(framework, modality="text", **settings):
            return stack.enter_context(_FACTORIES[modality](framework, **settings))

        yield opener


@pytest.fixture
def make(server, open_embedder):
    """Makes embedders of the server."""

    def maker(model=None, modality="text", **settings):
        settings = {"base_url": server.base_url, "api_key": KEY, **settings}
        return open_embedder("openai", modality, model=model, **settings)

    return maker


@pytest.fixture
def expected():
    """What a server computes for texts, `(n, dimension)`."""

    def expect(texts, model="text-embedding-3-small", dimension=1536):
        call = EmbeddingCall((), model, dimension)
        return np.stack([OpenAIWire().vector(Content(text, 0, 0), call) for text in texts])

    return expect
