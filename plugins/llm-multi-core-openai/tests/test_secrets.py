"""The key is in the requests and nowhere else."""

from __future__ import annotations

import json
import logging
import pickle
import traceback

import pytest

from llm_multi_core.embedder import EmbedderError
from llm_multi_core.embedder.testing.hosted import Faults
from llm_multi_core.embedder.testing.media import draw_picture

CANARY = "sk-proj-canary_f3b1c2d4e5a6b7c8"


def chain(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def shown_by(error):
    yield "".join(traceback.format_exception(error))
    for link in chain(error):
        yield f"{link!r} {link} {vars(link)}"
        yield pickle.dumps(link).decode("latin-1")


@pytest.mark.parametrize(
    "faults",
    [
        Faults(denied_keys=frozenset({CANARY})),
        Faults(poison=frozenset({"poison"})),
        Faults(short=1.0),
        Faults(truncated=1.0),
        Faults(cut=1.0),
    ],
    ids=["denied", "poison", "short", "truncated", "cut"],
)
def test_no_error_shows_the_key(server, make, faults, caplog):
    caplog.set_level(logging.DEBUG)
    server.faults = faults
    embedder = make(api_key=CANARY, deadline=0.3)
    with pytest.raises(EmbedderError) as caught:
        embedder.embed_batch(["text", "poison"])
    shown = [*shown_by(caught.value), caplog.text, repr(embedder), repr(embedder._settings)]
    assert not [text for text in shown if CANARY in text]
    assert server.requests[0].headers["authorization"] == f"Bearer {CANARY}"


def test_a_failed_connection_does_not_show_the_key(open_embedder, caplog):
    caplog.set_level(logging.DEBUG)
    embedder = open_embedder("openai", base_url="http://127.0.0.1:9/v1", api_key=CANARY, deadline=0.2)
    with pytest.raises(EmbedderError) as caught:
        embedder.embed("text")
    assert not [text for text in (*shown_by(caught.value), caplog.text) if CANARY in text]


def test_no_report_log_or_pickle_shows_the_key(make, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    for modality, value in (("text", "text"), ("image", draw_picture(40, 30, 1))):
        embedder = make(modality=modality, api_key=None)
        result = embedder.run([value])
        encoder = embedder._resolved.handle.encoder() if hasattr(embedder, "_resolved") else None
        shown = [
            repr(result),
            str(result.report),
            repr(embedder),
            repr(encoder),
            repr(vars(encoder) if encoder else ""),
        ]
        shown += [pickle.dumps(embedder).decode("latin-1"), json.dumps(str(embedder.space)), caplog.text]
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
    monkeypatch.setenv("OPENAI_API_KEY", "first")
    embedder = make(api_key=None)
    embedder.embed("text")
    monkeypatch.setenv("OPENAI_API_KEY", "second")
    embedder.embed("text")
    assert [record.headers["authorization"] for record in server.requests] == ["Bearer first", "Bearer second"]
