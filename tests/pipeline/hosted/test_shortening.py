"""Texts that prove longer than their estimate said, under every truncation policy."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from llm_multi_core.embedder import (
    Limits,
    Measure,
    MemoryCache,
    ProviderError,
    TruncationError,
    TruncationWarning,
    Verdict,
)
from llm_multi_core.embedder.testing.hosted import HostedServer

LIMIT = 16
WORDS = [f"w{number}" for number in range(40)]
SHORT, LONG = "a short text", " ".join(WORDS[:20])


def first(count):
    return " ".join(WORDS[:count])


@pytest.fixture
def strict(scripted, told, monkeypatch):
    """Takes 16 tokens, counts 1.5 a word, and is measured by an estimate of 1 a word with a slack of 1.5."""

    def answer(texts):
        if any(len(text.split()) * 1.5 > LIMIT for text in texts):
            raise told(Verdict("shorten", status=400), "maximum context length is 16 tokens")

    count = scripted.measure
    monkeypatch.setattr(
        scripted, "measure", lambda encoder, items, task: Measure(count(encoder, items, task).units, exact=False)
    )
    scripted.answer = answer
    scripted.limits = Limits(
        unit="word", units_per_item=LIMIT, items_per_batch=10, padded=False, concurrency=1, slack=1.5
    )
    return scripted


def test_an_item_is_shortened_until_it_fits(make_embedder, strict):
    result = make_embedder(strict, truncation="truncate").run([SHORT, LONG, "another"])
    alone = [texts for texts in strict.log if texts[0].startswith("w0 ") and len(texts) == 1]
    assert alone == [[LONG], [first(15)], [first(11)], [first(8)]]
    assert [(cut.index, cut.units, cut.kept) for cut in result.report.truncations] == [(1, 20, 8)]
    assert result.report.units == 3 + 8 + 1
    want = make_embedder().embed_batch([SHORT, first(8), "another"])
    np.testing.assert_allclose(result.vectors, want, atol=1e-6)


def test_a_warning_tells_of_it(make_embedder, strict):
    with pytest.warns(TruncationWarning, match=r"1 of 2 inputs were cut to the 16 words .*longest has 20"):
        make_embedder(strict).embed_batch([SHORT, LONG])


def test_what_is_beyond_the_slack_is_cut_unseen(make_embedder, strict):
    result = make_embedder(strict, truncation="truncate").run([first(30)])
    assert strict.log[0] == [first(16)]
    assert [(cut.units, cut.kept) for cut in result.report.truncations] == [(30, 9)]
    np.testing.assert_allclose(result.vectors, make_embedder().embed_batch([first(9)]), atol=1e-6)


def test_what_fits_in_spite_of_its_estimate_is_not_cut(make_embedder, strict):
    strict.answer = None
    result = make_embedder(strict).run([first(24)])
    assert strict.log == [[first(24)]]
    assert result.report.truncations == []


def test_as_an_error(make_embedder, strict):
    result = make_embedder(strict, truncation="error").run([SHORT, LONG, "another"], on_error="collect")
    assert [failure.index for failure in result.failures] == [1]
    error = result.failures[0].error
    assert isinstance(error, TruncationError)
    assert "input 1: fake model 'fake-small' finds it longer than the 16 words that it takes; shorten it" in str(error)
    assert result.ok.tolist() == [True, False, True]


def test_as_a_mean_of_pieces(make_embedder, strict):
    result = make_embedder(strict, truncation="mean").run([SHORT, LONG])
    assert result.report.truncations == []
    assert result.report.units == 3 + 20
    pieces = [" ".join(WORDS[:8]), " ".join(WORDS[8:11]), " ".join(WORDS[11:15]), " ".join(WORDS[15:20])]
    assert sorted(text for log in strict.log for text in log if text in pieces) == sorted(pieces)
    vectors = make_embedder().embed_batch(pieces)
    mean = np.average(vectors, axis=0, weights=[8, 3, 4, 5])
    np.testing.assert_allclose(result.vectors[1], mean / np.linalg.norm(mean), atol=1e-6)


def test_an_item_of_a_few_units_is_not_shortened_for_ever(make_embedder, strict, told):
    def answer(texts):
        raise told(Verdict("shorten", status=400), "too long, it says")

    strict.answer = answer
    with pytest.raises(ProviderError, match="too long, it says"):
        make_embedder(strict, truncation="truncate").embed(LONG)
    assert [len(texts[0].split()) for texts in strict.log] == [20, 15, 11, 8]


def test_what_was_cut_is_known_as_such_to_a_cache(make_embedder, strict):
    embedder = make_embedder(strict, truncation="truncate", cache=MemoryCache())
    vector = embedder.embed(LONG)
    strict.log.clear()
    again = embedder.run([LONG])
    assert strict.log == []
    np.testing.assert_array_equal(again.vectors[0], vector)
    assert [(cut.index, cut.units) for cut in again.report.truncations] == [(0, None)]


def test_an_encoder_that_cuts_by_itself_and_refuses_all_the_same(make_embedder, strict):
    strict.limits = replace(strict.limits, truncates=True)
    result = make_embedder(strict, truncation="truncate").run([LONG])
    assert result.ok.all()
    np.testing.assert_allclose(result.vectors, make_embedder().embed_batch([first(8)]), atol=1e-6)


@pytest.mark.parametrize("policy", ["warn", "truncate", "error", "mean"])
def test_a_real_refusal(make_wire, wire_client, policy):
    """The double counts words and so does the client, which believes in a limit three times as high."""
    strict_wire = wire_client.wire()
    strict_wire.limits = replace(strict_wire.limits, units_per_item=10)
    with HostedServer(strict_wire) as server:
        embedder = make_wire(server.base_url, truncation=policy, limits={"units_per_item": 30})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TruncationWarning)
            result = embedder.run([SHORT, first(25), first(10)], on_error="collect")
    assert result.ok.tolist() == [True, policy != "error", True]
    assert len(result.report.truncations) == (policy in ("warn", "truncate"))
