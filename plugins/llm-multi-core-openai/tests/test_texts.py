"""Texts through the real SDK: what reaches the wire, and what comes back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from llm_multi_core.embedder import (
    InvalidInputError,
    InvalidOptionError,
    UnsupportedDimensionsError,
    create_text_embedder,
)
from llm_multi_core.embedder.testing.hosted import Faults, HostedServer
from llm_multi_core.embedder.testing.hosted.openai import OpenAIWire, ServedModel


def test_ten_thousand_texts_come_back_in_order(make, server, expected):
    server.faults = Faults(shuffled=0.5)
    draw = np.random.default_rng(5)
    texts = [f"text {number} " + "word " * int(draw.integers(0, 300)) for number in range(10_000)]
    vectors = make(dimensions=64).embed_batch(texts)
    np.testing.assert_allclose(vectors, expected(texts, dimension=64), atol=1e-6)
    assert server.violations == []
    assert {record.outcome for record in server.requests} == {"ok", "shuffled"}


@pytest.mark.parametrize("encoding", ["base64", "float"])
@pytest.mark.parametrize("model", ["text-embedding-3-large", "text-embedding-ada-002"])
def test_models_and_encodings(make, server, expected, model, encoding):
    embedder = make(model, encoding_format=encoding)
    dimension = {"text-embedding-3-large": 3072}.get(model, 1536)
    np.testing.assert_allclose(embedder.embed_batch(["a", "b"]), expected(["a", "b"], model, dimension), atol=1e-6)
    sent = json.loads(server.requests[0].body)
    assert sent == {"input": ["a", "b"], "model": model, "encoding_format": encoding}
    assert embedder.dimension == dimension


def test_the_server_is_asked_for_fewer_dimensions(make, server, expected):
    embedder = make(dimensions=256)
    np.testing.assert_allclose(embedder.embed("a"), expected(["a"], dimension=256)[0], atol=1e-6)
    assert json.loads(server.requests[0].body)["dimensions"] == 256
    assert embedder.space.dimension == 256


def test_the_native_dimension_is_not_asked_for(make, server):
    make(dimensions=1536).embed("a")
    assert "dimensions" not in json.loads(server.requests[0].body)


@pytest.mark.parametrize("settings", [{"model": "text-embedding-ada-002", "dimensions": 256}, {"dimensions": 2000}])
def test_dimensions_that_a_model_does_not_give(make, server, settings):
    with pytest.raises(UnsupportedDimensionsError, match="1536 dimensions and cannot give"):
        make(**settings).embed("a")
    assert server.requests == []


def test_prompts_by_role_reach_the_wire_and_nothing_else_does(make, server, expected):
    embedder = make(prompts={"query": "search: ", "document": "passage: "})
    for role, prompt in (("query", "search: "), ("document", "passage: "), (None, "")):
        vector = embedder.embed("rain", role=role)
        assert json.loads(server.requests[-1].body)["input"] == [f"{prompt}rain"]
        np.testing.assert_allclose(vector, expected([f"{prompt}rain"])[0], atol=1e-6)


def test_without_prompts_roles_make_no_difference(make, server):
    embedder = make()
    np.testing.assert_array_equal(embedder.embed("a", role="query"), embedder.embed("a", role="document"))
    assert server.requests[0].body == server.requests[1].body


@pytest.mark.parametrize("prompts", [{"question": "q: "}, {"query": 1}])
def test_prompts_that_are_none(make, prompts):
    with pytest.raises(InvalidOptionError, match="texts by role"):
        make(prompts=prompts).embed("a")


def test_further_fields_are_sent(make, server):
    make(extra_body={"user": "somebody"}).embed("a")
    assert json.loads(server.requests[0].body)["user"] == "somebody"


def test_usage_and_cost(make):
    report = make().run(["one two three", "four"]).report
    assert report.billed_units == 4
    assert report.cost == pytest.approx(4 * 0.02 / 1e6)
    assert make(price=5.0).run(["one two"]).report.cost == pytest.approx(2 * 5 / 1e6)


def test_what_is_too_long_by_the_servers_count_is_cut_all_the_same(make, server, expected):
    text = "a " * 10_000  # about 6,700 tokens by the estimate, 10,000 by the double's count
    with pytest.warns(UserWarning, match="cut"):
        result = make().run(["short", text, "other"])
    assert len(result.report.truncations) == 1
    assert result.report.truncations[0].index == 1
    np.testing.assert_allclose(result.vectors[[0, 2]], expected(["short", "other"]), atol=1e-6)
    sent = [content.key for call in server.calls for content in call.contents if content.units > 1]
    assert sent
    assert all(text.startswith(part) and len(part.split()) <= 8192 for part in sent)


def test_an_empty_text_is_refused_before_it_is_sent(make, server):
    with pytest.raises(InvalidInputError, match="input 1"):
        make().embed_batch(["a", ""])
    assert server.requests == []


@pytest.mark.parametrize("text", [" ", "\n\t", "\0", "e\u0301", "🦜" * 300, "\u202egnirts", "<|endoftext|>", "'; --"])
def test_unusual_texts_arrive_as_they_are(make, server, expected, text):
    np.testing.assert_allclose(make().embed(text), expected([text])[0], atol=1e-6)
    assert json.loads(server.requests[0].body)["input"] == [text]


class TestOtherServers:
    @pytest.fixture
    def wire(self):
        return OpenAIWire({"bge-small": ServedModel(384), "qwen": ServedModel(1024, shortens=True)}, base64=False)

    def test_a_model_that_the_catalogue_lacks_needs_its_dimension(self, make, server):
        with pytest.raises(InvalidOptionError, match=r"'bge-small' is none of .* dimensions=.* native_dimension="):
            make("bge-small").embed("a")
        assert server.requests == []

    @pytest.mark.parametrize("told", [{"native_dimension": 384}, {"dimensions": 384}])
    def test_its_dimension_is_what_the_user_says(self, make, server, expected, told):
        vector = make("bge-small", encoding_format="float", **told).embed("a")
        np.testing.assert_allclose(vector, expected(["a"], "bge-small", 384)[0], atol=1e-6)
        assert "dimensions" not in json.loads(server.requests[0].body)

    def test_servers_that_ignore_the_encoding_are_understood(self, open_embedder, expected):
        class Plain(OpenAIWire):
            def write(self, call, vectors, order):
                return super().write(replace(call, extra={"encoding": "float"}), vectors, order)

        with HostedServer(Plain()) as server:
            vectors = open_embedder("openai", base_url=server.base_url, api_key="k").embed_batch(["a", "b"])
        np.testing.assert_allclose(vectors, expected(["a", "b"]), atol=1e-6)

    def test_fewer_than_native_are_asked_for(self, make, server, expected):
        vector = make("qwen", encoding_format="float", native_dimension=1024, dimensions=128).embed("a")
        np.testing.assert_allclose(vector, expected(["a"], "qwen", 128)[0], atol=1e-6)

    def test_requests_are_small(self, make, server):
        make("bge-small", encoding_format="float", dimensions=384).embed_batch([f"text {n}" for n in range(100)])
        assert max(len(call.contents) for call in server.calls) <= 32

    def test_cost_is_not_known(self, make):
        assert make("bge-small", encoding_format="float", dimensions=384).run(["a"]).report.cost is None


def test_spaces_agree_where_the_model_is_the_same(monkeypatch):
    def space(framework="openai", **settings):
        with create_text_embedder(framework, api_key="k", **settings) as embedder:
            return embedder.space.name

    azure = {"framework": "azure-openai", "azure_endpoint": "https://acme.openai.azure.com", "api_version": "1"}
    assert space() == "openai/text-embedding-3-small"
    assert space(base_url="https://eu.api.openai.com/v1") == "openai/text-embedding-3-small"
    assert space(**azure) == "openai/text-embedding-3-small"
    assert space(**azure, model="mine", dimensions=8) == "azure-openai/mine"
    assert space(base_url="http://localhost:1/v1") == "openai-compatible/text-embedding-3-small"
    assert space(base_url="http://api.openai.com.example/v1") == "openai-compatible/text-embedding-3-small"
    assert space(base_url="http://localhost:1/v1", space_name="bge") == "bge"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1")
    assert space() == "openai-compatible/text-embedding-3-small"


def test_limits_are_kept_with_texts_of_all_sizes(expected, open_embedder):
    draw = np.random.default_rng(6)
    texts = [f"{number} " + "several letters each " * int(draw.integers(0, 1000)) for number in range(600)]
    with HostedServer(OpenAIWire()) as server:
        embedder = open_embedder("openai", base_url=server.base_url, api_key="k", dimensions=8)
        np.testing.assert_allclose(embedder.embed_batch(texts), expected(texts, dimension=8), atol=1e-6)
    assert server.violations == []
    assert max(len(call.contents) for call in server.calls) > 20
