"""Late chunking: a request for each document, whose vectors depend on all its chunks."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from llm_multi_core.embedder import (
    InvalidInputError,
    InvalidOptionError,
    MemoryCache,
    TruncationError,
    document_chunks,
)
from llm_multi_core.embedder.inputs.image import image_item
from llm_multi_core.embedder.testing.hosted import Content, EmbeddingCall, Faults
from llm_multi_core.embedder.testing.media import draw_picture

DOCUMENTS = [[f"chunk {place} of document {number}" for place in range(2 + number % 5)] for number in range(30)]


@pytest.fixture
def embedder(make):
    return make(late_chunking=True, truncation="truncate")


def in_context(server, texts, task="retrieval.passage"):
    """What the server computes for the chunks of one document."""
    contents = [Content(text, 1, 1) for text in texts]
    call = EmbeddingCall(contents, "jina-embeddings-v3", 1024, task, {"late": True})
    return np.stack([server.wire.vector(content, call) for content in contents])


def alone(server, texts, task="retrieval.passage"):
    call = EmbeddingCall([], "jina-embeddings-v3", 1024, task, {"late": False})
    return np.stack([server.wire.vector(Content(text, 1, 1), call) for text in texts])


def late(server):
    return [record.call for record in server.requests if json.loads(record.body).get("late_chunking")]


def test_each_document_is_embedded_by_itself(server, embedder):
    items = [item for texts in DOCUMENTS for item in document_chunks(texts)]
    vectors = embedder.embed_batch(items, role="document")
    assert np.allclose(vectors, np.vstack([in_context(server, texts) for texts in DOCUMENTS]), atol=1e-6)
    assert sorted([content.key for content in call.contents] for call in late(server)) == sorted(DOCUMENTS)
    assert server.violations == []


def test_context_changes_vectors(server, embedder):
    first, second = (embedder.embed_batch(document_chunks(["shared", other])) for other in ("one", "two"))
    assert not np.allclose(first[0], second[0])
    again = embedder.embed_batch(document_chunks(["shared", "one"]))
    assert np.allclose(again, first)


def test_equal_documents_and_equal_chunks_are_not_merged(server, embedder):
    texts = ["same", "same"]
    vectors = embedder.embed_batch([*document_chunks(texts), *document_chunks(texts)], role="document")
    assert np.allclose(vectors, np.vstack([in_context(server, texts)] * 2), atol=1e-6)


def test_texts_without_a_group_go_together_without_late_chunking(server, embedder):
    questions = [f"question {number}" for number in range(40)]
    chunks = document_chunks(DOCUMENTS[3])
    vectors = embedder.embed_batch([*questions[:20], *chunks, *questions[20:]], role="document")
    assert np.allclose(vectors[:20], alone(server, questions[:20]), atol=1e-6)
    assert np.allclose(vectors[20:-20], in_context(server, DOCUMENTS[3]), atol=1e-6)
    assert np.allclose(vectors[-20:], alone(server, questions[20:]), atol=1e-6)
    assert len(server.requests) == 2


def test_groups_are_nothing_special_without_late_chunking(server, make):
    vectors = make().embed_batch(document_chunks(DOCUMENTS[4]), role="document")
    assert np.allclose(vectors, alone(server, DOCUMENTS[4]), atol=1e-6)
    assert late(server) == []


def test_chunks_never_come_from_a_cache(server, make):
    cache = MemoryCache()
    embedder = make(late_chunking=True, cache=cache)
    texts = ["shared", "other"]
    plain = embedder.embed_batch(texts, role="document")
    chunks = embedder.embed_batch(document_chunks(texts), role="document")
    assert not np.allclose(plain, chunks)
    assert np.allclose(embedder.embed_batch(texts, role="document"), plain)
    assert np.allclose(chunks, in_context(server, texts), atol=1e-6)


def test_queries_lie_in_the_same_space(make):
    make(late_chunking=True).space.require_same(make().space)
    assert make(late_chunking=True).encoder_id != make().encoder_id


def test_faults_leave_no_document_half_done(server, embedder):
    server.faults = Faults(seed=3, rate_limited=0.1, nan=0.1, short=0.1, truncated=0.1, retry_after=0.01)
    items = [item for texts in DOCUMENTS for item in document_chunks(texts)]
    result = embedder.run(items, role="document", on_error="collect")
    wanted = np.vstack([in_context(server, texts) for texts in DOCUMENTS])
    assert np.allclose(result.vectors[result.ok], wanted[result.ok], atol=1e-6)
    assert result.ok.mean() > 0.8
    edges = np.cumsum([len(texts) for texts in DOCUMENTS])[:-1]
    assert {len(set(part.tolist())) for part in np.split(result.ok, edges)} == {1}


def test_a_poisonous_chunk_fails_its_document_only(server, embedder):
    server.faults = Faults(poison=frozenset({DOCUMENTS[2][1]}))
    items = [item for texts in DOCUMENTS[:4] for item in document_chunks(texts)]
    result = embedder.run(items, role="document", on_error="collect")
    first = sum(map(len, DOCUMENTS[:2]))
    assert [failure.index for failure in result.failures] == list(range(first, first + len(DOCUMENTS[2])))


@pytest.mark.parametrize(
    ("text", "sent"),
    [("word " * 1000, False), ("a " * 850, True)],
    ids=["by the estimate", "by Jina's own count of short words"],
)
def test_a_document_longer_than_the_context_is_an_error_that_says_so(server, embedder, text, sent):
    items = [*document_chunks(["fine", "also fine"]), *document_chunks([f"{text}{number}" for number in range(10)])]
    result = embedder.run(items, role="document", on_error="collect")
    assert result.ok.tolist() == [True] * 2 + [False] * 10
    for place, failure in enumerate(result.failures, 2):
        assert failure.index == place
        assert isinstance(failure.error, InvalidInputError)
        assert not isinstance(failure.error, TruncationError)
        assert "the 10 chunks of its document have about" in str(failure.error)
        assert "takes 8192 tokens" in str(failure.error)
        assert "late_chunking=False" in str(failure.error)
    assert len(late(server)) == (2 if sent else 1)
    assert result.report.truncations == []


def test_groups_of_other_things_than_texts_are_refused(server, make):
    """Jina joins texts, and nothing else."""
    chunks = document_chunks(["a caption", "a page"])
    picture = replace(image_item(draw_picture()), group=chunks[0].group)
    embedder = make("jina-embeddings-v4", late_chunking=True)
    for items in ([*chunks, picture], [picture, *chunks]):
        result = embedder.run([*items, image_item(draw_picture(seed=1))], on_error="collect")
        assert result.ok.tolist() == [False] * 3 + [True]
        assert all("its group holds other items" in str(failure.error) for failure in result.failures)
    assert late(server) == []


@pytest.mark.parametrize("policy", ["warn", "error", "truncate", "mean"])
def test_a_chunk_is_never_cut(make, policy):
    with pytest.raises(InvalidInputError, match="the 1 chunks of its document"):
        make(late_chunking=True, truncation=policy).embed(document_chunks(["word " * 20_000])[0])


@pytest.mark.parametrize(
    "model",
    ["jina-embeddings-v5-text-small", "jina-embeddings-v5-omni-nano", "jina-clip-v2", "jina-code-embeddings-0.5b"],
)
def test_models_without_late_chunking_say_which_have_it(make, model):
    with pytest.raises(
        InvalidOptionError, match="has no late chunking; jina-embeddings-v3 and jina-embeddings-v4 have"
    ):
        _ = make(model, late_chunking=True).space


async def test_late_chunking_asynchronously(server, embedder):
    vectors = await embedder.aembed_batch(document_chunks(DOCUMENTS[0]), role="document")
    assert np.allclose(vectors, in_context(server, DOCUMENTS[0]), atol=1e-6)
