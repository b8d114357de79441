"""A NIM on the loopback interface, and embedders that ask it."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from llm_multi_core.embedder import create_image_embedder, create_text_embedder
from llm_multi_core.embedder.testing.hosted import HostedServer
from llm_multi_core.embedder.testing.hosted.nvidia import NvidiaWire

KEY = "nvapi-0123456789abcdef"
"""No key of anybody's."""
_FACTORIES = {"text": create_text_embedder, "image": create_image_embedder}


@pytest.fixture
def server():
    with HostedServer(NvidiaWire()) as running:
        yield running


@pytest.fixture
def make(server):
    """Makes embedders of the server; they are closed after the test."""
    with ExitStack() as stack:

        def maker(model=None, modality="text", **settings):
            settings = {"base_url": server.base_url, "api_key": KEY, **settings}
            return stack.enter_context(_FACTORIES[modality]("nemo", model, **settings))

        yield maker


@pytest.fixture(autouse=True)
def no_key_in_the_environment(monkeypatch):
    monkeypatch.delenv("NVIDIA_API_KEY", raising=False)
