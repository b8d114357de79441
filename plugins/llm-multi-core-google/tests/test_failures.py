"""What goes wrong: refused keys, spent quotas, faults, poisonous inputs; and that no key shows."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from importlib.util import find_spec

import numpy as np
import pytest

from llm_multi_core.embedder import EmbedderError, MissingCredentialsError, create_text_embedder
from llm_multi_core.embedder.testing.hosted import FAILURES, Content, Faults
from llm_multi_core.embedder.testing.hosted.google import GeminiWire, daily_quota
from llm_multi_core_google.failures import classify

KEY = "canary-key-4b1d9e77"


def everything_about(error):
    """All that an exception and its causes say, with their traceback and pickles."""
    texts = ["".join(traceback.format_exception(error))]
    while error is not None:
        texts += [repr(error), str(error), repr(vars(error)), repr(pickle.dumps(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def test_a_missing_key_names_the_variables_before_any_work():
    with pytest.raises(MissingCredentialsError, match="GEMINI_API_KEY or GOOGLE_API_KEY"):
        create_text_embedder("gemini")


def test_the_key_is_read_when_a_request_is_made(server, make, monkeypatch):
    monkeypatch.setenv("GOOGLE_API_KEY", "first")
    embedder = make(server, api_key=None)
    embedder.embed("a")
    monkeypatch.setenv("GEMINI_API_KEY", "second")
    embedder.embed("b")
    keys = iter(["third", "fourth"])
    rotating = make(server, api_key=lambda: "third" if len(server.requests) == 2 else next(keys, "fifth"))
    rotating.embed("c")
    assert [record.headers["x-goog-api-key"] for record in server.requests[:3]] == ["first", "second", "third"]


def test_a_refused_key_is_told_once_and_never_shown(start_server, make, caplog, capsys):
    server = start_server(faults=Faults(denied_keys=frozenset({KEY})))
    embedder = make(server)
    with caplog.at_level(logging.DEBUG), pytest.raises(PermissionError, match="API key not valid") as caught:
        embedder.embed_batch(["a", "b"])
    with pytest.raises(PermissionError):
        embedder.embed("c")
    assert len(server.requests) == 1  # the second call was not sent
    shown = everything_about(caught.value) + caplog.text + repr(embedder) + repr(capsys.readouterr())
    assert KEY not in shown
    assert KEY.encode() not in pickle.dumps(embedder)


@pytest.mark.parametrize("fault", FAILURES)
def test_keys_show_in_no_error_of_the_connection(start_server, make, fault, caplog):
    server = start_server(faults=Faults(**{fault: 1.0}, retry_after=0.01))
    embedder = make(server, deadline=0.2)
    with caplog.at_level(logging.DEBUG), pytest.raises(EmbedderError) as caught:
        embedder.embed("a")
    assert KEY not in everything_about(caught.value) + caplog.text
    assert "input 0" in str(caught.value)


def test_an_unknown_model_is_told_by_name(server, make):
    with pytest.raises(EmbedderError, match=r"models/gemini-embedding-9 is not found"):
        make(server, "gemini-embedding-9", native_dimension=8).embed_batch(["a", "b"])
    assert len(server.requests) == 1


def test_poisonous_texts_fail_alone(start_server, make):
    poison = frozenset({"bad 1", "bad 2"})
    server = start_server(faults=Faults(poison=poison))
    texts = [f"good {number}" for number in range(60)]
    texts[7], texts[41] = sorted(poison)
    result = make(server, dimensions=128).run(texts, on_error="collect")
    assert [failure.index for failure in result.failures] == [7, 41]
    good = [number for number in range(60) if number not in (7, 41)]
    want = np.stack([server.wire.vector(Content(texts[number], 1, 1), server.calls[0]) for number in good])
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    np.testing.assert_allclose(result.vectors[good], want, atol=1e-6)


def test_a_run_among_faults_is_complete_and_right(start_server, make):
    faults = Faults(
        rate_limited=0.05,
        server_error=0.02,
        unavailable=0.02,
        cut=0.02,
        cut_within=0.02,
        truncated=0.02,
        retry_after=0.01,
        script=("short", "nan", "wrong_dimension"),
    )
    server = start_server(faults=faults)
    texts = [f"sentence {number}" for number in range(3000)]
    vectors = make(server, dimensions=128, batch_size=20).embed_batch(texts)
    want = np.stack([server.wire.vector(Content(text, 1, 1), server.calls[0]) for text in texts])
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, want, atol=1e-6)
    assert server.violations == []
    assert sum(server.outcomes.values()) - server.outcomes["ok"] > 15


class SpentWire(GeminiWire):
    """Its requests of the day are used up."""

    def refuse(self, error, headers=None):
        reply = super().refuse(error, headers)
        body = json.loads(reply.body)
        body["error"]["details"].insert(0, daily_quota())
        return type(reply).of_json(body, reply.status, reply.headers)


def test_a_quota_of_the_day_is_not_waited_for(start_server, make):
    server = start_server(SpentWire(), faults=Faults(rate_limited=1.0, retry_after=3600))
    with pytest.raises(EmbedderError, match="PerDay"):
        make(server).embed("a")
    assert len(server.requests) == 1


class RefusedError(Exception):
    """An error of the SDK, as far as `classify` reads it."""

    def __init__(self, code, message="", status="INVALID_ARGUMENT", details=()):
        super().__init__(message)
        self.code = code
        self.details = {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


@pytest.mark.parametrize(
    ("error", "action", "after"),
    [
        (RefusedError(429, details=[{"retryDelay": "37s"}]), "retry", 37.0),
        (RefusedError(503, details=[{"retryDelay": "0.5s"}]), "retry", 0.5),
        (RefusedError(429, details=[daily_quota(), {"retryDelay": "37s"}]), "fatal", None),
        (RefusedError(400, "API key expired. Please renew the API key."), "denied", None),
        (RefusedError(400, "no", details=[{"reason": "API_KEY_INVALID"}]), "denied", None),
        (RefusedError(400, "User location is not supported", "FAILED_PRECONDITION"), "fatal", None),
        (RefusedError(400, "input token count is 2567 but the model supports up to 2048"), "shorten", None),
    ],
)
def test_refusals_are_understood(error, action, after):
    verdict = classify(error)
    assert (verdict.action, verdict.after) == (action, after)
    assert verdict.limited == (error.code == 429 and action == "retry")


@pytest.mark.parametrize("error", [RefusedError(400, "an input cannot be processed"), RefusedError(404), ValueError()])
def test_other_errors_are_left_to_the_host(error):
    assert classify(error) is None


def test_a_wait_that_google_asks_for_is_kept(start_server, make):
    server = start_server(faults=Faults(script=("rate_limited",), retry_after=0.01))
    report = make(server).run(["a"]).report
    assert (report.retries, len(server.requests)) == (1, 2)


@pytest.mark.skipif(find_spec("google.generativeai") is not None, reason="google-generativeai is installed")
def test_a_missing_sdk_is_told_with_what_installs_it(server, make):
    with pytest.raises(ImportError, match=r'pip install "llm-multi-core-google\[legacy\]"'):
        make(server, transport="google-generativeai").embed("a")
    assert server.requests == []
