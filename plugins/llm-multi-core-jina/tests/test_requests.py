"""What reaches Jina: tasks for roles, dimensions, limits; and what comes back, in order."""

from __future__ import annotations

import json

import numpy as np
import pytest

from llm_multi_core.embedder import InvalidOptionError, UnsupportedDimensionsError, create_text_embedder
from llm_multi_core.embedder.testing.hosted import Content, EmbeddingCall, Faults, HostedServer
from llm_multi_core.embedder.testing.hosted.jina import SCHEMAS, JinaWire

KEY = "jina_0123456789abcdef"
V3 = "jina-embeddings-v3"


def bodies(server):
    return [json.loads(record.body) for record in server.requests]


def expected(server, texts, model=V3, task="text-matching", dimension=1024):
    call = EmbeddingCall([Content(text, 1, 1) for text in texts], model, dimension, task)
    return np.stack([server.wire.vector(content, call) for content in call.contents])


def test_ten_thousand_texts_come_back_in_order(server, make):
    texts = [f"text {number} of {number % 97} words" for number in range(10_000)]
    server.faults = Faults(shuffled=0.5)
    vectors = make().embed_batch(texts, role="document")
    assert np.allclose(vectors, expected(server, texts, task="retrieval.passage"), atol=1e-6)
    assert server.violations == []
    assert server.outcomes["shuffled"] > 0


def test_the_body_says_everything_and_no_more(server, make):
    make().embed("Jina", role="query")
    assert bodies(server) == [
        {
            "model": V3,
            "input": [{"text": "Jina"}],
            "truncate": False,
            "embedding_type": "base64",
            "task": "retrieval.query",
            "normalized": True,
        }
    ]


@pytest.mark.parametrize(
    ("model", "option", "query", "document", "symmetric"),
    [
        (V3, None, "retrieval.query", "retrieval.passage", "text-matching"),
        (V3, "retrieval", "retrieval.query", "retrieval.passage", "text-matching"),
        (V3, "classification", "classification", "classification", "classification"),
        (V3, "separation", "separation", "separation", "separation"),
        (V3, "clustering", "separation", "separation", "separation"),
        (V3, "retrieval.passage", "retrieval.passage", "retrieval.passage", "retrieval.passage"),
        ("jina-embeddings-v4", None, "retrieval.query", "retrieval.passage", "text-matching"),
        ("jina-embeddings-v4", "code", "code.query", "code.passage", "text-matching"),
        ("jina-embeddings-v5-text-small", None, "retrieval.query", "retrieval.passage", "text-matching"),
        ("jina-embeddings-v5-omni-nano", "separation", "clustering", "clustering", "clustering"),
        ("jina-clip-v2", None, "retrieval.query", None, None),
        ("jina-clip-v1", None, None, None, None),
        ("jina-embeddings-v2-base-en", None, None, None, None),
        ("jina-code-embeddings-1.5b", None, "nl2code.query", "nl2code.passage", "nl2code.passage"),
        ("jina-code-embeddings-1.5b", "qa", "qa.query", "qa.passage", "qa.passage"),
    ],
)
def test_roles_become_the_models_own_tasks(server, make, model, option, query, document, symmetric):
    embedder = make(model, task=option)
    for role in ("query", "document", None):
        embedder.embed("text", role=role)
    assert [body.get("task") for body in bodies(server)] == [query, document, symmetric]
    assert server.violations == []


def test_every_known_model_is_asked_in_its_own_form(server, make):
    for model in SCHEMAS:
        vectors = make(model).embed_batch(["one", "two"], role="query")
        assert vectors.shape == (2, SCHEMAS[model].dimension)
    assert server.violations == []


@pytest.mark.parametrize(("model", "task"), [(V3, "code"), ("jina-clip-v2", "classification"), (V3, "retreival")])
def test_a_task_that_the_model_lacks_names_those_it_has(make, model, task):
    with pytest.raises(InvalidOptionError, match=r"takes .*retrieval"):
        _ = make(model, task=task).space


def test_a_task_has_a_space_of_its_own_unless_it_is_the_default(make):
    plain = make().space
    assert make(task="retrieval").space.fingerprint == plain.fingerprint
    assert make(task="classification").space.fingerprint != plain.fingerprint
    assert make(task="clustering").space.fingerprint == make(task="separation").space.fingerprint


def test_dimensions_are_asked_for_and_are_the_first_of_all(server, make):
    few = make(dimensions=100).embed_batch(["one", "two"])
    assert bodies(server)[0]["dimensions"] == 100
    first = make().embed_batch(["one", "two"])[:, :100]
    assert np.allclose(few, first / np.linalg.norm(first, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize(
    ("model", "wanted", "gives"),
    [(V3, 1025, "1 to 1024"), ("jina-embeddings-v2-base-en", 256, "768"), ("jina-clip-v1", 512, "768")],
)
def test_dimensions_that_the_model_cannot_give(make, model, wanted, gives):
    with pytest.raises(UnsupportedDimensionsError, match=f"gives {gives} dimensions and not {wanted}"):
        _ = make(model, dimensions=wanted).dimension


@pytest.fixture
def newer():
    with HostedServer(JinaWire(schemas={"jina-embeddings-v9": SCHEMAS["jina-embeddings-v5-text-nano"]})) as running:
        yield running


def test_a_model_that_the_catalogue_lacks_needs_its_dimension(newer):
    settings = {"base_url": newer.base_url, "api_key": KEY}
    with (
        create_text_embedder("jina", "jina-embeddings-v9", **settings) as embedder,
        pytest.raises(InvalidOptionError, match="pass dimensions="),
    ):
        embedder.embed("x")
    with create_text_embedder("jina", "jina-embeddings-v9", dimensions=768, **settings) as embedder:
        assert embedder.embed_batch(["x", "y"], role="query").shape == (2, 768)
        assert embedder.space.name == "jina-compatible/jina-embeddings-v9"
    assert newer.violations == []


def test_an_organisation_before_the_name_makes_no_difference(make):
    assert make("jinaai/jina-embeddings-v3").space == make("jina-embeddings-v3").space


def test_text_and_omni_models_of_one_size_share_a_space(make):
    small = make("jina-embeddings-v5-text-small").space
    small.require_same(make("jina-embeddings-v5-omni-small", "audio").space)
    assert small.fingerprint != make("jina-embeddings-v5-text-nano").space.fingerprint


def test_requests_keep_within_a_minutes_tokens(server, make):
    texts = [f"{number} " + "word " * 200 for number in range(600)]
    make().embed_batch(texts)
    assert max(sum(content.units for content in call.contents) for call in server.calls) <= 65_536
    assert server.violations == []


@pytest.mark.parametrize(
    ("settings", "requests", "tokens"),
    [
        ({}, 100, 100_000),
        ({"tier": "paid"}, 500, 2_000_000),
        ({"base_url": "https://eu.api.jina.ai/v1", "tier": "paid"}, 500, 2_000_000),
        ({"base_url": "https://jina.ai.example.com/v1", "tier": "paid"}, None, None),
    ],
)
def test_the_tier_fixes_the_limits_of_the_cloud(settings, requests, tokens):
    with create_text_embedder("jina", api_key="k", **settings) as embedder:
        limits = embedder._resolve().description.limits
    assert (limits.requests_per_minute, limits.units_per_minute) == (requests, tokens)


def test_a_container_of_ones_own_needs_no_key_and_has_no_limits_a_minute():
    with HostedServer(JinaWire(needs_key=False)) as server:
        with create_text_embedder("jina", base_url=server.base_url + "/") as embedder:
            assert embedder.embed("text").shape == (1024,)
            assert embedder._resolve().description.limits.requests_per_minute is None
        assert "authorization" not in server.requests[0].headers


def test_numbers_instead_of_base64_are_read_as_well(server, make, monkeypatch):
    write = JinaWire.write
    monkeypatch.setattr(
        JinaWire,
        "write",
        lambda self, call, vectors, order: write(
            self, EmbeddingCall(call.contents, call.model, call.dimension, call.role, {"base64": False}), vectors, order
        ),
    )
    assert np.allclose(make().embed_batch(["a", "b"]), expected(server, ["a", "b"]), atol=1e-6)


def test_usage_is_reported(make):
    report = make().run(["one two three", "four"]).report
    assert report.billed_units == 4
