"""What plugins share in reading replies and failures: statuses, headers, vectors."""

import base64
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import httpx
import numpy as np
import pytest

from llm_multi_core.embedder import InvalidInputError, InvalidOutputError, hosted
from llm_multi_core.embedder.encoders import Pace, Verdict
from llm_multi_core.embedder.hosted import (
    classify_failure,
    classify_status,
    estimate_texts,
    headers_of,
    in_order,
    read_pace,
    read_vectors,
    retry_after,
    rows_of,
    seconds_of,
    split_by_estimate,
    status_of,
    vector_of,
)
from llm_multi_core.embedder.inputs.text import text_item

REQUEST = httpx.Request("POST", "https://x.invalid")


@pytest.mark.parametrize(
    ("status", "action", "limited"),
    [
        (400, "split", False), (401, "denied", False), (402, "fatal", False), (403, "denied", False),
        (404, "fatal", False), (405, "fatal", False), (408, "retry", False), (409, "retry", False),
        (413, "split", False), (422, "split", False), (425, "retry", False), (429, "retry", True),
        (500, "retry", False), (502, "retry", False), (503, "retry", False), (504, "retry", False),
        (520, "retry", False), (529, "retry", False), (599, "retry", False),
    ],
)  # fmt: skip
def test_statuses(status, action, limited):
    verdict = classify_status(status, {"x-request-id": "req_7"})
    assert (verdict.action, verdict.limited, verdict.status, verdict.request_id) == (action, limited, status, "req_7")


def test_a_refusal_tells_when_to_come_back_and_what_the_limits_are():
    headers = {"retry-after": "7", "x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "0"}
    verdict = classify_status(429, headers)
    assert verdict.after == 7
    assert verdict.pace == Pace(units_per_minute=1000, units_left=0)
    assert classify_status(503, {"retry-after": "7"}).after == 7
    assert classify_status(429).after is None


def test_without_a_time_it_is_that_of_the_limits_that_are_used_up():
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "12ms",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert classify_status(429, headers).after == 360
    assert classify_status(429, {**headers, "x-ratelimit-remaining-tokens": "50"}).after == 0.012
    assert classify_status(429, {**headers, "retry-after": "3"}).after == 3
    assert classify_status(429, {"x-ratelimit-limit-requests": "60"}).after is None


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (httpx.ConnectError("refused"), "retry"),
        (httpx.ReadTimeout("slow"), "retry"),
        (httpx.RemoteProtocolError("cut"), "retry"),
        (httpx.LocalProtocolError("Illegal header value"), "fatal"),
        (httpx.UnsupportedProtocol("no http://"), "fatal"),
        (httpx.InvalidURL("no port"), "fatal"),
        (TimeoutError(), "retry"),
        (ConnectionResetError(), "retry"),
        (json.JSONDecodeError("cut", "{", 1), "retry"),
        (ValueError("an input"), "split"),
        (httpx.HTTPStatusError("no", request=REQUEST, response=httpx.Response(404)), "fatal"),
    ],
)
def test_failures(error, action):
    assert classify_failure(error).action == action


def test_a_failure_that_an_sdk_wrapped():
    class APIConnectionError(Exception):
        pass

    wrapped = APIConnectionError("Connection error.")
    assert classify_failure(wrapped).action == "retry"
    wrapped.__cause__ = httpx.LocalProtocolError("Illegal header value")
    assert classify_failure(wrapped).action == "fatal"


def test_status_and_headers_wherever_an_sdk_keeps_them():
    response = httpx.Response(429, headers={"Retry-After": "3"})
    for error in (
        httpx.HTTPStatusError("no", request=REQUEST, response=response),
        SimpleNamespace(status_code=429, headers={"retry-after": "3"}),
        SimpleNamespace(code=429, response=response),
        SimpleNamespace(status=429, response=response),
    ):
        assert status_of(error) == 429
        assert headers_of(error)["retry-after"] == "3"
    for error in (ValueError(), SimpleNamespace(code=7), SimpleNamespace(status=True), SimpleNamespace(code="429")):
        assert status_of(error) is None
        assert headers_of(error) == {}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "today"}, 0.0),
        ({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT"}, None),
    ],
)
def test_when_to_come_back(headers, seconds):
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0), ("1h2m3.5s", 3723.5), ("20ms", 0.02), ("1d", 86400.0), ("1.5", 1.5), ("0s", 0.0),
        ("", None), (None, None), ("soon", None), ("5 minutes", None), ("-3", 0.0),
    ],
)  # fmt: skip
def test_durations(text, seconds):
    assert seconds_of(text) == (None if seconds is None else pytest.approx(seconds))


def test_headers_of_limits():
    headers = {
        "X-RateLimit-Limit-Requests": "60", "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-requests": "59", "x-ratelimit-remaining-tokens": "149984.0",
        "x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s",
    }  # fmt: skip
    assert read_pace(headers) == Pace(60, 150_000, 59, 149_984, 1.0, 360.0)
    assert read_pace({"x-ratelimit-limit-tokens": "many"}) == Pace()
    assert read_pace({"content-type": "application/json"}) is None


def test_entries_come_in_the_order_of_their_indices():
    assert in_order([(2, "c"), (0, "a"), (1, "b")], 3) == ["a", "b", "c"]
    for entries, count in (([(0, "a")], 2), ([(0, "a"), (0, "b")], 2), ([(1, "a"), (2, "b")], 2), ([(0, "a")] * 3, 2)):
        with pytest.raises(InvalidOutputError, match=f"for {count} inputs"):
            in_order(entries, count)


@pytest.fixture(params=["pybase64", "without it"])
def decoder(request, monkeypatch):
    """The fast decoder of base64, or the standard library's."""
    hosted._base64_decoder.cache_clear()
    if request.param == "pybase64":
        pytest.importorskip("pybase64")
    else:
        monkeypatch.setitem(sys.modules, "pybase64", None)
    yield hosted._base64_decoder()
    hosted._base64_decoder.cache_clear()


def test_vectors_as_replies_write_them(decoder):
    vector = np.asarray([0.5, -1.25, 3e-5], np.float32)
    encoded = base64.b64encode(vector.tobytes())
    for value in (encoded, encoded.decode(), vector.tolist(), vector):
        np.testing.assert_array_equal(vector_of(value), vector)
    assert rows_of([encoded.decode(), vector.tolist()]).tolist() == [vector.tolist()] * 2
    for value in ("no base64!", "AAA=", "AAAA\nAAAA", "AAAAAA==x", "ü" * 8, [[1.0]], ["x"], {"a": 1}, 5):
        with pytest.raises(InvalidOutputError):
            vector_of(value)
    assert rows_of([]).shape == (0, 0)
    with pytest.raises(InvalidOutputError, match="several dimensions"):
        rows_of([[1.0], [1.0, 2.0]])


def test_whole_replies():
    reply = {
        "data": [{"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": [1, 2]}],
        "usage": {"total_tokens": 9},
    }
    vectors = read_vectors(json.dumps(reply).encode(), 2)
    assert vectors.rows.tolist() == [[1, 2], [3, 4]]
    assert vectors.tokens == 9
    with pytest.raises(json.JSONDecodeError):
        read_vectors(json.dumps(reply).encode()[:-5], 2)
    for broken in (
        {},
        [],
        {"data": None},
        {"data": [{"index": 0}]},
        {"data": [1]},
        {**reply, "usage": {"total_tokens": "x"}},
    ):
        with pytest.raises(InvalidOutputError):
            read_vectors(json.dumps(broken).encode(), 2)


def test_estimates_and_pieces_of_text():
    text = "Ein Text mit Umlauten, üöä, und noch mehr Wörtern. " * 40
    measure = estimate_texts([text_item(text), text_item("")], overhead=5)
    assert measure.exact is False
    assert measure.units[1] == 6
    pieces = split_by_estimate(text_item(text), 100, overhead=5)
    assert "".join(piece.text for piece in pieces) == text
    assert max(estimate_texts(pieces, overhead=5).units) <= 100
    with pytest.raises(InvalidInputError, match="leaves no room"):
        split_by_estimate(text_item(text), 7, overhead=5)


def test_a_verdict_may_be_built_upon():
    assert replace(classify_status(429), after=1.0) == Verdict("retry", 1.0, limited=True, status=429)
