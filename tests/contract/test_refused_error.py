"""A refusal in a provider's own words, and what to do about it."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder.hosted import RefusedError


@pytest.mark.parametrize(
    ("status", "settings", "action"),
    [
        (400, {}, "split"),
        (400, {"too_long": True}, "shorten"),
        (403, {}, "denied"),
        (403, {"fatal": True}, "fatal"),
        (404, {}, "fatal"),
        (429, {}, "retry"),
        (503, {}, "retry"),
    ],
)
def test_words_come_before_the_status(status, settings, action):
    verdict = RefusedError("no", status_code=status).verdict(**settings)
    assert (verdict.action, verdict.status, verdict.limited) == (action, status, status == 429)


@pytest.mark.parametrize(
    ("fields", "action"),
    [
        ([], "split"),
        ([["body", "dimensions"]], "fatal"),
        ([["body", "input", "3"]], "split"),
        ([["body", "input_type"]], "fatal"),
        ([["body", "task"], ["body", "input", "3"]], "split"),
    ],
)
def test_a_setting_that_is_refused_is_not_blamed_on_the_inputs(fields, action):
    assert RefusedError("no", status_code=422, fields=fields).verdict().action == action


def test_headers_say_how_long_to_wait_and_what_the_request_is_called():
    error = RefusedError("no", status_code=429, headers={"Retry-After": "2", "X-Request-Id": "of the headers"})
    assert (error.verdict().after, error.verdict().request_id) == (2.0, "of the headers")
    named = RefusedError("no", status_code=429, headers=error.headers, request_id="of the body")
    assert named.verdict().request_id == "of the body"
