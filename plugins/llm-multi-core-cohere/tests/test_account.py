"""Keys, what is billed, and the pace of an account."""

from __future__ import annotations

import logging
import pickle
import traceback
from itertools import count

import numpy as np
import pytest

from llm_multi_core.embedder import EmbedderError, MissingCredentialsError, Task, create_text_embedder
from llm_multi_core.embedder.encoders import Limits, Pace
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core.embedder.testing.hosted import Faults
from llm_multi_core.embedder.testing.hosted.cohere import BYTES_PER_IMAGE_TOKEN
from llm_multi_core_cohere.replies import read_limits

CANARY = "co-canary-5d0c1f7a9b3e"


def ask(embedder, text):
    """The reply to a request of the encoder itself."""
    encoder = embedder._resolve().handle.load()
    return runtime.submit_io(encoder.request([text_item(text)], Task())).result()


def keys_of(server):
    return [record.headers["authorization"] for record in server.requests]


def test_the_key_is_read_for_each_request(texts, server):
    rotating = count()
    embedder = texts(api_key=lambda: f"key-{next(rotating)}")
    embedder.embed("one")
    embedder.embed("two")
    first, second = keys_of(server)
    assert first != second


@pytest.mark.parametrize("variable", ["CO_API_KEY", "COHERE_API_KEY"])
def test_the_environment_is_read_when_a_request_is_sent(texts, server, monkeypatch, variable):
    monkeypatch.setenv(variable, "one")
    embedder = texts(api_key=None)
    embedder.embed("x")
    monkeypatch.setenv(variable, "two")
    embedder.embed("y")
    assert keys_of(server) == ["Bearer one", "Bearer two"]


def test_without_a_key_the_variables_are_named(monkeypatch, server):
    monkeypatch.delenv("CO_API_KEY", raising=False)
    monkeypatch.delenv("COHERE_API_KEY", raising=False)
    with pytest.raises(MissingCredentialsError, match="CO_API_KEY or COHERE_API_KEY"):
        create_text_embedder("cohere", base_url=server.base_url)
    assert server.requests == []


def test_the_address_in_the_environment_is_not_used(texts, monkeypatch):
    """It would change the space without a word."""
    monkeypatch.setenv("CO_API_URL", "http://127.0.0.1:9")
    assert texts().embed("x").shape == (1536,)


@pytest.mark.parametrize("fault", ["", "denied", "unknown model", "cut", "truncated", "server_error", "not a header"])
def test_the_key_shows_up_nowhere(server, texts, caplog, fault):
    caplog.set_level(logging.DEBUG)
    key = f"{CANARY}-é\n" if fault == "not a header" else CANARY
    if fault == "denied":
        server.faults = Faults(denied_keys=frozenset({CANARY}))
    elif fault in {"cut", "truncated", "server_error"}:
        server.faults = Faults(**{fault: 1.0}, retry_after=0.01)
    embedder = texts(
        "nothing" if fault == "unknown model" else None,
        api_key=key,
        native_dimension=8 if fault == "unknown model" else None,
        deadline=0.3,
    )
    shown = []
    try:
        result = embedder.run(["a text"])
        shown += [repr(result), str(result.report), repr(result.report)]
        assert not fault
    except EmbedderError as error:
        assert fault
        while error is not None:
            shown += [str(error), repr(error), repr(vars(error)), str(pickle.dumps(error))]
            shown += traceback.format_exception(error)
            error = error.__cause__ or error.__context__
    shown += [repr(embedder), str(embedder), repr(embedder.space), str(pickle.dumps(embedder)), caplog.text]
    shown += [repr(vars(record)) for record in caplog.records]
    assert not [text for text in shown if CANARY in text]
    assert fault == "not a header" or f"Bearer {CANARY}" in keys_of(server)


def test_texts_are_billed_by_their_tokens(texts):
    report = texts().run(["one two three", "four five"]).report
    assert report.billed_units == 5
    assert report.cost == pytest.approx(5 * 0.12 / 1e6)


def test_tokens_of_pictures_have_a_price_of_their_own(images, noise):
    file = noise(1, (200, 100))
    tokens = len(file) // BYTES_PER_IMAGE_TOKEN
    assert tokens > 50
    report = images().run([file]).report
    assert report.billed_units == tokens
    assert report.cost == pytest.approx(tokens * 0.47 / 1e6)
    assert images(price=3.0).run([file]).report.cost == pytest.approx(tokens * 3 / 1e6)


def test_older_models_bill_pictures_by_number(images, noise):
    report = images("embed-english-v3.0").run([noise(1), noise(2), noise(3)]).report
    assert report.billed_units == 3
    assert report.cost == pytest.approx(0.0003)


def test_prices_that_are_not_known_stay_unknown(texts):
    embedder = texts("nothing-known", native_dimension=8)
    assert embedder.plan(["a text"]).cost is None


def test_a_trial_key_is_told_of_its_limit(serve, texts):
    server = serve(limits=Limits(items_per_batch=96, requests_per_minute=100))
    reply = ask(texts(base_url=server.base_url), "x")
    assert reply.pace == Pace(requests_per_minute=100, requests_left=99)


def test_a_closed_client_can_be_opened_again(texts, server):
    embedder = texts()
    encoder = embedder._resolve().handle.load()
    before = ask(embedder, "x").rows
    runtime.submit_io(encoder.aclose()).result()
    runtime.submit_io(encoder.aclose()).result()
    assert np.array_equal(ask(embedder, "x").rows, before)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("headers", "pace"),
    [
        (
            {"X-Trial-Endpoint-Call-Limit": "100", "X-Trial-Endpoint-Call-Remaining": "98"},
            Pace(requests_per_minute=100, requests_left=98),
        ),
        ({"x-trial-endpoint-call-limit": "100"}, Pace(requests_per_minute=100)),
        ({"x-trial-endpoint-call-limit": "many"}, None),
        ({"x-endpoint-monthly-call-limit": "1000"}, None),
        ({"x-ratelimit-limit-requests": "50"}, Pace(requests_per_minute=50)),
        ({}, None),
    ],
)
def test_what_replies_say_of_limits(headers, pace):
    assert read_limits(headers) == pace
