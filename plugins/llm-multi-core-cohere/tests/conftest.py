"""A Cohere on the loopback interface, embedders that ask it, and pictures."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from llm_multi_core.embedder import create_image_embedder, create_text_embedder
from llm_multi_core.embedder.testing.hosted import Content, EmbeddingCall, HostedServer
from llm_multi_core.embedder.testing.hosted.cohere import CohereWire

KEY = "co-canary-5d0c1f7a9b3e"


@pytest.fixture
def serve():
    """A function that starts a server with another wire, or other arguments."""
    started = []

    def start(wire=None, **arguments):
        server = HostedServer(wire or CohereWire(), **arguments)
        started.append(server)
        return server.__enter__()

    yield start
    for server in started:
        server.__exit__(None, None, None)


@pytest.fixture
def server(serve):
    return serve()


@pytest.fixture
def embedder(server):
    """A function that makes an embedder which asks the server, or the one at `base_url`."""
    made = []

    def make(create, model=None, **settings):
        settings = {"api_key": KEY, "base_url": server.base_url, **settings}
        made.append(create("cohere", model, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def texts(embedder):
    return lambda model=None, **settings: embedder(create_text_embedder, model, **settings)


@pytest.fixture
def images(embedder):
    return lambda model=None, **settings: embedder(create_image_embedder, model, **settings)


@pytest.fixture
def bodies(server):
    """A function that gives the bodies of all requests so far."""
    return lambda: [json.loads(record.body) for record in server.requests]


@pytest.fixture
def expected():
    """A function that computes what the server answers for a text."""

    def compute(text, model="embed-v4.0", role="search_document", dimension=1536):
        call = EmbeddingCall((), model, dimension, role)
        return CohereWire().vector(Content(text, len(text.split()), len(text.encode())), call)

    return compute


def picture(seed, size=(48, 32)):
    """A picture of noise: files of it are as large as they get."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8))


def file_of(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def noise():
    """A function that makes the file of a picture of noise."""
    return lambda seed, size=(48, 32), kind="PNG", **options: file_of(picture(seed, size), kind, **options)
