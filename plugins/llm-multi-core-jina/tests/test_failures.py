"""What Jina refuses and how it fails: what is tried again, what is not, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest

from llm_multi_core.embedder import (
    AccessDeniedError,
    InvalidOutputError,
    MissingCredentialsError,
    ProviderError,
    TruncationWarning,
    create_text_embedder,
)
from llm_multi_core.embedder.testing.hosted import Content, EmbeddingCall, Faults, HostedServer, WireError
from llm_multi_core.embedder.testing.hosted.jina import SCHEMAS, JinaWire
from llm_multi_core_jina.replies import JinaAPIError, read_refusal, verdict_of

KEY = "jina_0123456789abcdef"


class RefusingWire(JinaWire):
    """Refuses everything, in one way."""

    def __init__(self, status, code):
        super().__init__()
        self.error = WireError(status, f"refused for the reason {code}", code)

    def read(self, request):
        raise self.error


def test_five_percent_faults_and_three_poisonous_texts(server, make):
    texts = [f"text number {number}" for number in range(5000)]
    poison = {texts[17], texts[2500], texts[4999]}
    usual = make()
    usual.embed_batch(texts)
    without_faults = len(server.requests)
    server.requests.clear()
    server.faults = Faults(
        seed=2, rate_limited=0.05, server_error=0.02, cut=0.01, retry_after=0.01, poison=frozenset(poison)
    )
    result = usual.run(texts, on_error="collect")
    call = EmbeddingCall([], "jina-embeddings-v3", 1024, "text-matching")
    wanted = np.stack([server.wire.vector(Content(text, 1, 1), call) for text in texts])
    assert [failure.index for failure in result.failures] == [17, 2500, 4999]
    assert all("400 poison: an input cannot be processed" in str(failure.error) for failure in result.failures)
    assert np.allclose(result.vectors[result.ok], wanted[result.ok], atol=1e-6)
    largest = max(len(record.call.contents) for record in server.requests)
    bisections = 3 * 2 * largest.bit_length()
    assert len(server.requests) <= 1.3 * (without_faults + bisections)


def test_a_refused_key_ends_the_call_and_says_where_a_key_comes_from(server, make):
    server.faults = Faults(denied_keys=frozenset({KEY}))
    embedder = make()
    with pytest.raises(AccessDeniedError, match="401 AUTH_INVALID_API_KEY") as caught:
        embedder.embed_batch(["a", "b"])
    assert caught.value.status == 401
    assert caught.value.request_id == "r401"
    assert len(server.requests) == 1
    with pytest.raises(AccessDeniedError, match="not tried"):
        embedder.embed("a")
    assert len(server.requests) == 1


def test_without_a_key_nothing_is_made():
    with pytest.raises(MissingCredentialsError, match=r"JINA_API_KEY, or base_url= of a server that needs none"):
        create_text_embedder("jina")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "AUTHZ_INSUFFICIENT_BALANCE"),
        (403, "AUTHZ_RESOURCE_LIMIT_EXCEEDED"),
        (400, "INPUT_MODEL_NOT_FOUND"),
        (402, "PAYMENT_REQUIRED"),
        (404, "RESOURCE_NOT_FOUND"),
        (422, "body -> jina-embeddings-v3 -> dimensions"),
    ],
)
def test_what_no_other_request_would_cure_ends_the_call(status, code):
    with HostedServer(RefusingWire(status, code)) as server:
        with (
            create_text_embedder("jina", base_url=server.base_url, api_key=KEY) as embedder,
            pytest.raises(ProviderError, match="refused for the reason") as caught,
        ):
            embedder.embed_batch([f"text {number}" for number in range(100)])
        assert caught.value.status == status
        assert not isinstance(caught.value, AccessDeniedError)
        assert {record.call for record in server.requests} == {None}
        assert len(server.requests) <= 2


def test_an_unknown_model_is_named(make):
    with pytest.raises(ProviderError, match="Model 'jina-embeddings-v0' not found"):
        make("jina-embeddings-v0", dimensions=8).embed("a")


def test_what_is_longer_than_estimated_is_shortened(server, make):
    """Short words have more tokens than their bytes let expect; Jina says so, and the text is cut."""
    texts = ["a " * 9000, "fine", "b " * 100]
    with pytest.warns(TruncationWarning, match="1 of 3 inputs were cut"):
        vectors = make().embed_batch(texts)
    assert np.isfinite(vectors).all()
    cut = [content.key for call in server.calls for content in call.contents if content.key.startswith("a ")]
    assert len(cut) == 1
    assert 2000 < len(cut[0].split()) <= SCHEMAS["jina-embeddings-v3"].context


@pytest.mark.parametrize("fault", ["short", "wrong_dimension", "nan"])
def test_replies_that_do_not_fit_are_never_taken(server, make, fault):
    server.faults = Faults(**{fault: 1.0})
    result = make().run(["a", "b"], on_error="collect")
    assert {type(failure.error) for failure in result.failures} == {InvalidOutputError}
    assert result.ok.tolist() == [False, fault == "nan"]  # of the reply with a NaN the second vector is sound


@pytest.mark.parametrize(
    ("content", "said", "reason", "request_id"),
    [
        (b'{"detail": "no", "code": "X", "request_id": "1"}', "400 X: no", "X", "1"),
        (b'{"detail": {"message": "no", "code": "X", "request_id": "1"}}', "400 X: no", "X", "1"),
        (b'{"detail": "no", "request_id": "1", "errors": [{"field": "body -> input -> 3"}]}', "400: no", "", "1"),
        (b'{"detail": [{"loc": ["body"], "msg": "no"}]}', '400: [{"loc": ["body"], "msg": "no"}]', "", None),
        (b"<html>no</html>", "400: <html>no</html>", "", None),
        (b"[1]", "400: [1]", "", None),
        (b"", "400: ", "", None),
        (b'{"message": "no"}', "400: no", "", None),
    ],
)
def test_refusals_are_read_in_every_form(content, said, reason, request_id):
    error = read_refusal(400, {"X-Thing": "1"}, content)
    assert str(error) == f"Jina answered {said}"
    assert (error.reason, error.request_id, error.headers) == (reason, request_id, {"x-thing": "1"})
    assert verdict_of(error).action == "split"


def test_a_broken_setting_is_not_blamed_on_the_inputs():
    fields = [("body", "dimensions")], [("body", "input", "3", "text")], [("body", "dimensions"), ("body", "input")]
    verdicts = [verdict_of(JinaAPIError("", status_code=422, fields=paths)).action for paths in fields]
    assert verdicts == ["fatal", "split", "split"]


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_what_passes_by_itself_is_tried_again(server, make, status):
    names = {429: "rate_limited", 500: "server_error", 503: "unavailable", 504: "truncated"}
    server.faults = Faults(script=(names[status],), retry_after=0.01)
    assert make().embed("text").shape == (1024,)
    assert len(server.requests) == 2
