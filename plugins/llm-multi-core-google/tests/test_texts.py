"""Texts on the wire: one vector a text, roles, dimensions, limits, order."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from google import genai
from google.genai import types

from llm_multi_core.embedder import (
    InvalidInputError,
    InvalidOptionError,
    TruncationError,
    UnsupportedDimensionsError,
    create_text_embedder,
)
from llm_multi_core.embedder.testing.hosted import Content, EmbeddingCall

TEXTS = [f"text {number}" for number in range(100)]
SEARCH = {"query": "task: search result | query: ", "document": "title: none | text: "}


def expected(server, call, texts):
    """What the double computes for texts, of length 1."""
    vectors = np.stack([server.wire.vector(Content(text, 1, 1), call) for text in texts])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def cosines(a, b):
    return (a * b).sum(axis=1)


@pytest.mark.parametrize("model", ["gemini-embedding-001", "gemini-embedding-2"])
def test_a_hundred_texts_are_a_hundred_vectors_of_one_request(server, make, model):
    """The list trap: as a plain list of strings this would be one content of a hundred parts, and one vector."""
    embedder = make(server, model, dimensions=128, limits={"spread": 100})  # all in one request
    vectors = embedder.embed_batch(TEXTS, role="query")
    (call,) = server.calls
    assert [len(content.key.split("\x1f")) for content in call.contents] == [1] * 100
    sent = TEXTS if model.endswith("001") else [SEARCH["query"] + text for text in TEXTS]
    assert [content.key for content in call.contents] == sent
    np.testing.assert_allclose(vectors, expected(server, call, sent), atol=1e-6)
    assert len(np.unique(vectors.round(5), axis=0)) == 100
    assert server.violations == []


@pytest.mark.parametrize(("model", "count"), [("gemini-embedding-001", 3), ("gemini-embedding-2", 1)])
def test_the_double_falls_into_the_trap_as_the_service_does(server, model, count):
    """What the SDK makes of a plain list of strings, so that the test above means something."""
    options = types.HttpOptions(base_url=server.base_url)
    with genai.Client(api_key="k", http_options=options) as client:
        reply = client.models.embed_content(model=model, contents=["a", "b", "c"])
    assert len(reply.embeddings) == count
    assert [content.key for content in server.calls[0].contents] == (["a\x1fb\x1fc"] if count == 1 else ["a", "b", "c"])


@pytest.mark.parametrize(
    ("role", "task_type", "wanted"),
    [
        ("query", None, "RETRIEVAL_QUERY"),
        ("document", None, "RETRIEVAL_DOCUMENT"),
        (None, None, "SEMANTIC_SIMILARITY"),
        ("query", "CLASSIFICATION", "CLASSIFICATION"),
        ("document", "CLUSTERING", "CLUSTERING"),
        ("query", "QUESTION_ANSWERING", "QUESTION_ANSWERING"),
        ("document", "QUESTION_ANSWERING", "RETRIEVAL_DOCUMENT"),
        ("query", "FACT_VERIFICATION", "FACT_VERIFICATION"),
        ("query", "CODE_RETRIEVAL_QUERY", "CODE_RETRIEVAL_QUERY"),
    ],
)
def test_roles_go_as_task_types_or_as_prompts(server, make, role, task_type, wanted):
    prompts = {
        "RETRIEVAL_QUERY": "task: search result | query: ",
        "RETRIEVAL_DOCUMENT": "title: none | text: ",
        "SEMANTIC_SIMILARITY": "task: sentence similarity | query: ",
        "CLASSIFICATION": "task: classification | query: ",
        "CLUSTERING": "task: clustering | query: ",
        "QUESTION_ANSWERING": "task: question answering | query: ",
        "FACT_VERIFICATION": "task: fact checking | query: ",
        "CODE_RETRIEVAL_QUERY": "task: code retrieval | query: ",
    }
    make(server, task_type=task_type).embed("tea", role=role)
    make(server, "gemini-embedding-2", task_type=task_type).embed("tea", role=role)
    by_type, by_prompt = (json.loads(record.body)["requests"][0] for record in server.requests)
    assert by_type["taskType"] == wanted
    assert by_type["content"]["parts"] == [{"text": "tea"}]
    assert "taskType" not in by_prompt
    assert by_prompt["content"]["parts"] == [{"text": prompts[wanted] + "tea"}]


def test_task_types_for_everything_make_spaces_of_their_own(server, make):
    plain, answering = make(server), make(server, task_type="QUESTION_ANSWERING")
    clustering = make(server, task_type="CLUSTERING")
    assert plain.space.fingerprint == answering.space.fingerprint != clustering.space.fingerprint
    assert plain.encoder_id != answering.encoder_id


def test_dimensions_go_along_and_vectors_have_length_one(server, make):
    for model in ("gemini-embedding-001", "gemini-embedding-2"):
        vectors = make(server, model, dimensions=256).embed_batch(["a", "b"])
        assert vectors.shape == (2, 256)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    raw = make(server, dimensions=256, normalize=False).embed("a")
    assert np.linalg.norm(raw) < 0.5  # the service brings only all 3072 components to length 1
    assert [call.dimension for call in server.calls] == [256, 256, 256]
    with pytest.raises(UnsupportedDimensionsError, match="128 to 3072 dimensions, not 3073"):
        _ = make(server, dimensions=3073).dimension
    assert make(server, dimensions=100).embed("a").shape == (100,)  # cut by the host


def test_a_model_that_is_not_listed_needs_its_dimension(start_server, make):
    server = start_server()
    with pytest.raises(InvalidOptionError, match=r"'gemini-embedding-9' is not known: pass native_dimension="):
        _ = make(server, "gemini-embedding-9").dimension
    assert make(server, "gemini-embedding-9", native_dimension=512).dimension == 512
    assert make(server, "gemini-embedding-9", dimensions=64).dimension == 64
    assert make(server, "models/gemini-embedding-001").space == make(server).space
    assert make(server, "gemini-embedding-2-preview").dimension == 3072


def test_ten_thousand_texts_come_back_in_order(server, make):
    texts = [f"sentence number {number}" for number in range(10_000)]
    embedder = make(server, dimensions=128)
    vectors = embedder.embed_batch(texts, role="document")
    want = expected(server, server.calls[0], texts)
    assert cosines(vectors, want).min() > 0.999999
    assert len(server.calls) <= 110  # windows leave some batches short
    assert server.violations == []


def test_no_request_is_larger_than_the_service_takes(server, make):
    embedder = make(server, "gemini-embedding-2", dimensions=128, truncation="truncate")
    texts = [f"{number} " + "a" * size for number, size in enumerate((24_000, 30_000, 100, 9_000, 12_000) * 30)]
    texts += [f"{number} " + "é" * 11_000 for number in range(60)]  # six bytes of JSON each
    result = embedder.run(texts)
    assert server.violations == []
    assert [cut.index for cut in result.report.truncations] == [i for i, text in enumerate(texts) if len(text) > 25_000]
    assert max(len(record.body) for record in server.requests) <= 4_194_304


def test_too_long_texts_follow_the_policy(server, make):
    text = "word " * 3000
    with pytest.raises(TruncationError, match=r"tokens.*2048"):
        make(server, truncation="error").embed(text)
    assert make(server, truncation="mean").run([text]).report.requests == 1
    assert len(server.calls[0].contents) == 3
    assert server.violations == []


def test_empty_texts_are_refused_before_they_are_sent(server, make):
    with pytest.raises(InvalidInputError, match="input 1: the text is empty"):
        make(server).embed_batch(["a", ""])
    assert server.requests == []


def test_unusual_texts_arrive_as_they_are(server, make):
    texts = [
        "\0 null",
        "line\nbreak\r\n",
        "海は青い 🌊",
        "\u200bzero width",
        '"quotes" \\ and {braces}',
        " ",
        "ﬁ ligature",
    ]
    vectors = make(server, dimensions=128).embed_batch(texts)
    assert [content.key for content in server.calls[0].contents] == texts
    np.testing.assert_allclose(vectors, expected(server, server.calls[0], texts), atol=1e-6)


def test_usage_and_cost_are_those_of_the_service(server, make):
    report = make(server).run(["one two three", "four"]).report
    assert (report.billed_units, report.requests) == (4, 1)
    assert report.cost == pytest.approx(4 * 0.15 / 1e6)
    assert make(server, "gemini-embedding-2").plan(["a" * 300]).cost == pytest.approx((101 + 12) * 0.2 / 1e6)


async def test_one_client_serves_several_loops(server):
    """The client lives on the host's loop, so callers' loops may come and go."""
    with create_text_embedder("gemini", api_key="k", base_url=server.base_url, dimensions=128) as embedder:
        here = await embedder.aembed("tea")
        there = await asyncio.to_thread(lambda: asyncio.run(embedder.aembed("tea")))
    np.testing.assert_array_equal(here, there)


def test_the_double_refuses_what_the_service_refuses(server):
    """The schema check bites: otherwise 'no violations' would mean nothing."""
    options = types.HttpOptions(base_url=server.base_url)
    with genai.Client(api_key="k", http_options=options) as client:
        for contents, config, complaint in (
            (["a"] * 101, {}, "at most 100 requests"),
            (["a"], {"output_dimensionality": 64}, "between 128 and 3072"),
            (["word " * 2049], {}, "token count exceeds"),
            ([types.Part.from_bytes(data=b"x", mime_type="image/png")], {}, "takes text only"),
            (["a"], {"task_type": "SEARCH"}, "none of"),
        ):
            with pytest.raises(genai.errors.ClientError, match=complaint):
                client.models.embed_content(model="gemini-embedding-001", contents=contents, config=config)
    assert len(server.violations) == 5
    assert isinstance(server.requests[1].call, EmbeddingCall | None)
