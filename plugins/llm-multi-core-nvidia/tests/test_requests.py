"""What reaches NIM: the two sides, the fields, the model's name; and what comes back, in order."""

from __future__ import annotations

import json

import numpy as np
import pytest

from llm_multi_core.embedder import (
    InvalidInputError,
    InvalidOptionError,
    Limits,
    UnsupportedDimensionsError,
    create_text_embedder,
)
from llm_multi_core.embedder.testing.hosted import Content, EmbeddingCall, Faults, HostedServer
from llm_multi_core.embedder.testing.hosted.nvidia import MICROSERVICES, NvidiaWire

KEY = "nvapi-0123456789abcdef"
E5, LLAMA, CLIP = "nvidia/nv-embedqa-e5-v5", "nvidia/llama-3.2-nv-embedqa-1b-v2", "nvidia/nvclip"


def bodies(server):
    return [json.loads(record.body) for record in server.requests]


def expected(server, texts, model=E5, role="passage", dimension=1024):
    call = EmbeddingCall([], model, dimension, role)
    return np.stack([server.wire.vector(Content(text, 1, 1), call) for text in texts])


def test_ten_thousand_texts_come_back_in_order(server, make):
    texts = [f"text {number} of {number % 97} words" for number in range(10_000)]
    server.faults = Faults(shuffled=0.5)
    vectors = make().embed_batch(texts, role="query")
    assert np.allclose(vectors, expected(server, texts, role="query"), atol=1e-6)
    assert server.violations == []
    assert server.outcomes["shuffled"] > 0
    assert max(len(call.contents) for call in server.calls) == 64


def test_the_body_says_everything_and_no_more(server, make):
    make().embed("NIM", role="query")
    assert bodies(server) == [
        {
            "model": E5,
            "input": ["NIM"],
            "encoding_format": "base64",
            "input_type": "query",
            "truncate": "NONE",
        }
    ]


def test_texts_to_be_compared_are_passages(server, make):
    embedder = make()
    for role in ("query", "document", "symmetric", None):
        embedder.embed("text", role=role)
    assert [body["input_type"] for body in bodies(server)] == ["query", "passage", "passage", "passage"]


def test_the_role_may_stand_at_the_end_of_the_models_name(server, make):
    embedder = make(role_in_model=True)
    plain = make()
    for role in ("query", "document", None):
        assert np.allclose(embedder.embed("text", role=role), plain.embed("text", role=role))
    sent = [body for body in bodies(server) if body["model"] != E5]
    assert [body["model"] for body in sent] == [f"{E5}-query", f"{E5}-passage", f"{E5}-passage"]
    assert all(set(body) == {"model", "input", "encoding_format"} for body in sent)
    assert server.violations == []
    embedder.space.require_same(plain.space)


@pytest.mark.parametrize(("end", "role"), [("-query", "query"), ("-passage", "passage")])
def test_a_name_with_a_side_fixes_it(server, make, end, role):
    embedder = make(E5 + end)
    vectors = [embedder.embed("text", role=each) for each in ("query", "document", None)]
    assert all(np.allclose(vector, expected(server, ["text"], role=role)[0], atol=1e-6) for vector in vectors)
    assert {body["model"] for body in bodies(server)} == {E5 + end}
    assert all("input_type" not in body for body in bodies(server))
    embedder.space.require_same(make().space)
    assert embedder.encoder_id != make().encoder_id


def test_every_known_model_is_asked_in_its_own_form(server, make):
    for model, known in MICROSERVICES.items():
        assert make(model).embed_batch(["one", "two"]).shape == (2, known.dimension)
    assert server.violations == []


def test_dimensions_are_asked_for_and_are_the_first_of_all(server, make):
    few = make(LLAMA, dimensions=384).embed_batch(["one", "two"])
    assert bodies(server)[0]["dimensions"] == 384
    first = make(LLAMA).embed_batch(["one", "two"])[:, :384]
    assert np.allclose(few, first / np.linalg.norm(first, axis=1, keepdims=True), atol=1e-6)
    assert "dimensions" not in bodies(server)[1]


@pytest.mark.parametrize(("model", "gives"), [(E5, "1024"), (CLIP, "1024"), ("nvidia/nv-embed-v1", "4096")])
def test_dimensions_that_the_model_does_not_offer(make, model, gives):
    with pytest.raises(UnsupportedDimensionsError, match=f"gives {gives} dimensions and not 300"):
        _ = make(model, dimensions=300).dimension


def test_sizes_between_those_on_offer_are_cut_here(server, make):
    """Matryoshka: the first components of a vector are a vector."""
    few = make(LLAMA, dimensions=400).embed("one")
    assert few.shape == (400,)
    assert "dimensions" not in bodies(server)[0]


def test_the_publisher_may_be_left_out(make):
    assert make("nv-embedqa-e5-v5").space == make(E5).space
    assert make("bge-m3").space.name == "nvidia/baai/bge-m3"


@pytest.fixture
def newer():
    with HostedServer(NvidiaWire(microservices={"acme/embed": MICROSERVICES[E5]})) as running:
        yield running


def test_a_model_that_the_catalogue_lacks_needs_its_dimension(newer):
    settings = {"base_url": newer.base_url, "api_key": KEY}
    with (
        create_text_embedder("nemo", "acme/embed", **settings) as embedder,
        pytest.raises(InvalidOptionError, match="pass dimensions="),
    ):
        _ = embedder.dimension
    with create_text_embedder("nemo", "acme/embed", dimensions=1024, **settings) as embedder:
        assert embedder.embed_batch(["x", "y"], role="query").shape == (2, 1024)
        assert embedder.space.name == "nvidia-compatible/acme/embed"
    assert newer.violations == []


def test_a_server_of_ones_own_needs_no_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    with HostedServer(NvidiaWire(needs_key=False)) as server:
        with create_text_embedder("nemo", base_url=server.base_url) as embedder:
            assert embedder.embed("text").shape == (1024,)
        assert "authorization" not in server.requests[0].headers


def test_nothing_of_openais_environment_is_sent(server, make, monkeypatch):
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID"):
        monkeypatch.setenv(f"OPENAI_{name}", f"openais-{name.lower()}")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    make().embed("text")
    assert not [value for value in server.requests[0].headers.values() if "openais-" in value]
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_smaller_limit_than_expected_is_found_by_halving(make):
    """No limit of inputs is documented."""
    with HostedServer(NvidiaWire(), limits=Limits(items_per_batch=10, accepts_empty=False)) as server:
        texts = [f"text {number}" for number in range(100)]
        vectors = make(base_url=server.base_url).embed_batch(texts)
        assert np.allclose(vectors, expected(server, texts), atol=1e-6)
        assert max(len(call.contents) for call in server.calls) <= 10


@pytest.mark.parametrize("settings", [{"role_in_model": True}, {"model": f"{CLIP}-query"}])
def test_nvclip_has_no_roles(make, settings):
    with pytest.raises(InvalidOptionError, match="'nvidia/nvclip' has no roles"):
        _ = make(**{"model": CLIP, **settings}).space


def test_a_text_that_looks_like_a_picture_is_a_text(server, make):
    url = "data:image/png;base64,aGVsbG8="
    with pytest.raises(InvalidInputError, match="would take the text for a picture"):
        make(CLIP).embed(url)
    assert server.requests == []
    make("nvidia/llama-nemotron-embed-vl-1b-v2").embed("plain text")
    assert bodies(server)[0]["modality"] == "text"
