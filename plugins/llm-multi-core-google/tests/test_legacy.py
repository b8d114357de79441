"""The older SDK, google-generativeai, over REST. `make test-legacy` runs this in an environment that has it."""

from __future__ import annotations

import json
import traceback
from importlib.util import find_spec

import numpy as np
import pytest

from llm_multi_core.embedder import EmbedderError, InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.items import Item
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance
from llm_multi_core.embedder.testing.hosted import Content, Faults

KEY = "canary-key-4b1d9e77"
SDK = "google-generativeai"

if find_spec("google.generativeai") is None:
    pytest.skip("google-generativeai is not installed; make test-legacy installs it", allow_module_level=True)


class TestConformance(EncoderConformance):
    @pytest.fixture
    def case(self, start_server):
        options = {"base_url": start_server().base_url, "transport": SDK}
        return EncoderCase("gemini", options=options, dimensions=256)


@pytest.mark.parametrize(
    ("model", "task_type", "task", "text"),
    [
        ("gemini-embedding-001", None, "RETRIEVAL_QUERY", "tea 7"),
        ("gemini-embedding-001", "FACT_VERIFICATION", "FACT_VERIFICATION", "tea 7"),
        ("gemini-embedding-2", None, "", "task: search result | query: tea 7"),
    ],
)
def test_texts_go_one_content_each_with_their_role(server, make, model, task_type, task, text):
    texts = [f"tea {number}" for number in range(100)]
    embedder = make(server, model, transport=SDK, task_type=task_type, dimensions=128, limits={"spread": 100})
    vectors = embedder.embed_batch(texts, role="query")
    (call,) = server.calls
    assert call.role == f"{task}|"
    assert call.contents[7].key == text
    want = np.stack([server.wire.vector(content, call) for content in call.contents])
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, want, atol=1e-6)
    (record,) = server.requests
    assert record.path == f"/v1beta/models/{model}:batchEmbedContents"
    assert len(json.loads(record.body)["requests"]) == 100
    assert server.violations == []


def test_vectors_are_those_of_the_other_sdk(server, make):
    older, newer = make(server, transport=SDK), make(server)
    assert older.space == newer.space
    assert older.encoder_id == newer.encoder_id
    np.testing.assert_allclose(older.embed("tea"), newer.embed("tea"), atol=1e-6)


def test_the_key_goes_with_each_request(server, make):
    keys = iter("abcdefgh")
    embedder = make(server, transport=SDK, api_key=lambda: next(keys))
    embedder.embed("x")
    embedder.embed("y")
    first, second = (record.headers["x-goog-api-key"] for record in server.requests)
    assert first < second


def test_faults_are_survived_and_poison_stands_alone(start_server, make):
    faults = Faults(
        rate_limited=0.05,
        server_error=0.03,
        cut=0.03,
        truncated=0.03,
        retry_after=0.01,
        poison=frozenset({"text 70"}),
        script=("rate_limited", "truncated", "cut_within"),
    )
    server = start_server(faults=faults)
    texts = [f"text {number}" for number in range(600)]
    result = make(server, transport=SDK, dimensions=128, batch_size=20).run(texts, on_error="collect")
    assert [failure.index for failure in result.failures] == [70]
    good = [number for number in range(600) if number != 70]
    want = np.stack([server.wire.vector(Content(texts[number], 1, 1), server.calls[0]) for number in good])
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    np.testing.assert_allclose(result.vectors[good], want, atol=1e-6)


def test_a_refused_key_is_told_and_not_shown(start_server, make):
    server = start_server(faults=Faults(denied_keys=frozenset({KEY})))
    with pytest.raises(PermissionError, match="API key not valid") as caught:
        make(server, transport=SDK).embed_batch(["a", "b"])
    assert len(server.requests) == 1
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_an_unknown_model_is_told_by_name(server, make):
    with pytest.raises(EmbedderError, match="gemini-embedding-9 is not found"):
        make(server, "gemini-embedding-9", native_dimension=8, transport=SDK).embed("a")


def test_it_takes_texts_only(server, make):
    item = Item(text_item("a dog").parts + text_item("a cat").parts)
    with pytest.raises(InvalidInputError, match="takes one part an item, not 2"):
        make(server, "gemini-embedding-2", transport=SDK).embed_batch([item])
    with pytest.raises(InvalidOptionError, match="lacks CODE_RETRIEVAL_QUERY"):
        _ = make(server, transport=SDK, task_type="CODE_RETRIEVAL_QUERY").dimension
