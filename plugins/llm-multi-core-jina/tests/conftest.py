"""A Jina on the loopback interface, and embedders that ask it."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from llm_multi_core.embedder import create_audio_embedder, create_image_embedder, create_text_embedder
from llm_multi_core.embedder.testing.hosted import HostedServer
from llm_multi_core.embedder.testing.hosted.jina import JinaWire

KEY = "jina_0123456789abcdef"
"""No key of anybody's."""
_FACTORIES = {"text": create_text_embedder, "image": create_image_embedder, "audio": create_audio_embedder}


@pytest.fixture
def server():
    with HostedServer(JinaWire()) as running:
        yield running


@pytest.fixture
def make(server):
    """Makes embedders of the server; they are closed after the test."""
    with ExitStack() as stack:

        def maker(model=None, modality="text", **settings):
            settings = {"base_url": server.base_url, "api_key": KEY, **settings}
            return stack.enter_context(_FACTORIES[modality]("jina", model, **settings))

        yield maker


@pytest.fixture(autouse=True)
def no_key_in_the_environment(monkeypatch):
    monkeypatch.delenv("JINA_API_KEY", raising=False)
