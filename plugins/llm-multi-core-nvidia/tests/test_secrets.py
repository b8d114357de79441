"""The key is in the requests and nowhere else."""

from __future__ import annotations

import logging
import pickle
import traceback

import pytest

from llm_multi_core.embedder import EmbedderError, create_text_embedder
from llm_multi_core.embedder.testing.hosted import Faults

CANARY = "nvapi-canary_f3b1c2d4e5a6"


def chain(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "faults",
    [
        Faults(denied_keys=frozenset({CANARY})),
        Faults(poison=frozenset({"poison"})),
        Faults(short=1.0),
    ],
    ids=["denied", "poison", "short"],
)
def test_no_error_shows_the_key(server, make, faults, caplog):
    caplog.set_level(logging.DEBUG)
    server.faults = faults
    embedder = make(api_key=CANARY)
    with pytest.raises(EmbedderError) as caught:
        embedder.embed_batch(["text", "poison"])
    shown = ["".join(traceback.format_exception(caught.value)), caplog.text, repr(embedder), repr(embedder._settings)]
    shown += [f"{error!r} {error} {vars(error)}" for error in chain(caught.value)]
    shown += [pickle.dumps(error).decode("latin-1") for error in chain(caught.value)]
    assert not [text for text in shown if CANARY in text]
    assert server.requests[0].headers["authorization"] == f"Bearer {CANARY}"


def test_a_failed_connection_does_not_show_the_key(server, make, caplog):
    caplog.set_level(logging.DEBUG)
    closed = server.base_url.rsplit(":", 1)[0] + ":9/v1"
    with (
        create_text_embedder("nemo", base_url=closed, api_key=CANARY, deadline=0.2) as embedder,
        pytest.raises(EmbedderError) as caught,
    ):
        embedder.embed("text")
    shown = ["".join(traceback.format_exception(caught.value)), caplog.text]
    shown += [f"{error!r} {vars(error)}" + pickle.dumps(error).decode("latin-1") for error in chain(caught.value)]
    assert not [text for text in shown if CANARY in text]


def test_keys_may_rotate(server, make):
    keys = iter([f"{CANARY}{number}" for number in range(20)])
    embedder = make(api_key=lambda: next(keys))
    for _ in range(3):
        embedder.embed("text")
    used = [record.headers["authorization"] for record in server.requests]
    assert len(set(used)) == 3
    assert all(value.startswith(f"Bearer {CANARY}") for value in used)


def test_the_environments_key_is_read_at_the_time_of_a_call(server, make, monkeypatch):
    monkeypatch.setenv("NVIDIA_API_KEY", "first")
    embedder = make(api_key=None)
    embedder.embed("text")
    monkeypatch.setenv("NVIDIA_API_KEY", "second")
    embedder.embed("text")
    assert [record.headers["authorization"] for record in server.requests] == ["Bearer first", "Bearer second"]


def test_texts_are_not_logged(make, caplog):
    caplog.set_level(logging.DEBUG)
    make(api_key=CANARY).embed("a confidential text")
    assert "confidential" not in caplog.text
    assert CANARY not in caplog.text
