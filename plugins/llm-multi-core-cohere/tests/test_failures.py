"""Refusals and faults: what is tried again, what is found and named, what ends a call."""

from __future__ import annotations

import numpy as np
import pytest

from llm_multi_core.embedder import TruncationError
from llm_multi_core.embedder.errors import AccessDeniedError, ProviderError
from llm_multi_core.embedder.testing.hosted import Faults, WireError
from llm_multi_core.embedder.testing.hosted.cohere import CohereWire
from llm_multi_core_cohere.errors import CohereError

TEXTS = [f"entry {number} of the log" for number in range(960)]
TRIAL = "You are using a Trial key, which is limited to {}. You can continue to use the Trial key for free or upgrade"
SHORT_WORDS = "a " * 600
"""More tokens than are estimated: 401 by its bytes, and 600 by the double's count."""


class RefusingWire(CohereWire):
    """Refuses what holds a word, or everything."""

    def __init__(self, status, message, word=""):
        super().__init__()
        self.refusal, self.word = (status, message), word

    def read(self, request):
        call = super().read(request)
        if any(self.word in content.key for content in call.contents):
            raise WireError(*self.refusal)
        return call


def test_faults_leave_no_gap(server, texts, expected):
    server.faults = Faults(
        seed=3,
        rate_limited=0.1,
        server_error=0.1,
        retry_after=0.01,
        poison=frozenset({TEXTS[17], TEXTS[500], TEXTS[959]}),
    )
    result = texts(dimensions=256).run(TEXTS, on_error="collect")
    assert [failure.index for failure in result.failures] == [17, 500, 959]
    due = np.stack([expected(text, dimension=256) for text in TEXTS])
    assert np.abs(result.vectors - due)[result.ok].max() < 1e-6
    assert set(server.outcomes) >= {"rate_limited", "server_error", "refused"}
    assert server.violations == []


@pytest.mark.parametrize("fault", ["cut", "cut_within", "truncated", "short", "nan", "wrong_dimension", "unavailable"])
def test_a_spoilt_reply_is_asked_for_again(server, texts, expected, fault):
    server.faults = Faults(script=(fault,), retry_after=0.01)
    vectors = texts().embed_batch(TEXTS[:3])
    assert np.allclose(vectors, np.stack([expected(text) for text in TEXTS[:3]]), atol=1e-6)
    assert server.outcomes[fault] == 1
    assert len(server.requests) == 2


def test_what_proves_too_long_is_shortened(server, texts):
    embedder = texts("embed-english-v3.0", truncation="truncate")
    result = embedder.run(["before", SHORT_WORDS, "after"])
    assert result.ok.all()
    assert [cut.index for cut in result.report.truncations] == [1]
    assert server.violations
    assert all("too many tokens" in violation for violation in server.violations)
    assert all(content.units <= 512 for call in server.calls for content in call.contents)
    assert np.array_equal(result.vectors[[0, 2]], embedder.embed_batch(["before", "after"]))


def test_what_proves_too_long_is_refused_where_that_is_asked_for(texts):
    with pytest.raises(TruncationError) as caught:
        texts("embed-english-v3.0", truncation="error").embed_batch(["before", SHORT_WORDS, "after"])
    assert caught.value.index == 1


def test_a_deny_listed_text_is_found_and_named(serve, texts):
    server = serve(RefusingWire(498, "the request contains a deny-listed token", "forbidden"))
    result = texts(base_url=server.base_url).run([*TEXTS[:20], "a forbidden word", *TEXTS[20:40]], on_error="collect")
    (failure,) = result.failures
    assert failure.index == 20
    assert isinstance(failure.error, ProviderError)
    assert not isinstance(failure.error, AccessDeniedError)
    assert failure.error.status == 498
    assert "refuses what a text holds" in str(failure.error)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (
            402,
            "Please add or update your payment method at https://dashboard.cohere.com/billing?tab=payment to continue",
        ),
        (404, "model 'embed-v4.0' not found, make sure the correct model ID was used"),
        (429, TRIAL.format("1000 API calls / month")),
        (400, "invalid request: output_dimension 256 is not supported by the provided model"),
        (400, "invalid request: valid input_type must be provided with the provided model"),
        (501, "embedding_types is not implemented"),
    ],
)
def test_what_nothing_can_help_ends_the_call_at_once(serve, texts, status, message):
    server = serve(RefusingWire(status, message))
    with pytest.raises(ProviderError) as caught:
        texts(base_url=server.base_url).embed_batch(TEXTS[:50])
    assert len(server.requests) == 1
    assert message in str(caught.value)
    assert caught.value.status == status
    assert caught.value.request_id == "refused"


def test_a_refused_key_is_named_with_its_variable(server, texts):
    server.faults = Faults(denied_keys=frozenset({"wrong"}))
    with pytest.raises(AccessDeniedError, match="CO_API_KEY") as caught:
        texts(api_key="wrong").embed_batch(TEXTS)
    assert caught.value.status == 401
    assert texts().embed("x").shape == (1536,)


@pytest.mark.parametrize(
    ("status", "message", "action"),
    [
        (0, "", "retry"),
        (200, "", "retry"),
        (400, "too many tokens: total number of tokens in the prompt cannot exceed 512 - received 600.", "shorten"),
        (400, "This model's maximum context length is 512 tokens, however 600 were requested", "shorten"),
        (400, "input 3 is longer than the maximum number of tokens", "shorten"),
        (400, "invalid request: total number of texts must be at most 96 - received 104", "split"),
        (400, "invalid request: inputs contains an element that is the empty string at index 0", "split"),
        (400, "invalid request: images must be used with input_type=image", "fatal"),
        (400, "Model 'x' does not support matryoshka representation", "fatal"),
        (401, "invalid api token", "denied"),
        (402, "Maximum billing reached for this API key", "fatal"),
        (403, "forbidden", "denied"),
        (404, "model 'xyz' not found", "fatal"),
        (413, "", "split"),
        (422, "the data URI of the image cannot be read", "split"),
        (429, TRIAL.format("40 API calls / minute"), "retry"),
        (429, TRIAL.format("1000 API calls / month"), "fatal"),
        (429, "trial token rate limit exceeded, limit is 100000 tokens per minute", "retry"),
        (498, "", "split"),
        (499, "request cancelled", "retry"),
        (500, "", "retry"),
        (501, "", "fatal"),
        (503, "", "retry"),
        (504, "", "retry"),
    ],
)
def test_verdicts(status, message, action):
    verdict = CohereError.of(status, {"message": message}, {"X-Debug-Trace-ID": "t1"}).verdict()
    assert verdict.action == action
    assert verdict.request_id == "t1"
    assert verdict.limited == (status == 429)
    assert verdict.status == (status if status >= 400 else None)


def test_a_rate_limit_says_when_to_go_on():
    assert CohereError.of(429, {"message": "wait"}, {"Retry-After": "7"}).verdict().after == 7


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"id": "1", "message": "invalid\n request"}, "invalid request (HTTP 400)"),
        ({"error": {"message": "of a gateway", "type": "x"}}, "of a gateway (HTTP 400)"),
        ({"detail": "of another"}, "of another (HTTP 400)"),
        ("<html>bad</html>", "<html>bad</html> (HTTP 400)"),
        ({}, "refused without a message (HTTP 400)"),
        (None, "refused without a message (HTTP 400)"),
    ],
)
def test_messages_of_refusals(body, message):
    assert str(CohereError.of(400, body, None)) == message
