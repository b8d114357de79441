"""Exact counts of tokens, with a tokenizer of tiktoken's that needs no download."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import tiktoken

from llm_multi_core.embedder import (
    FrameworkUnavailableError,
    InvalidInputError,
    InvalidOptionError,
    ModelLoadError,
    TruncationError,
)
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core_openai.tokens import ExactTokens

WORDS = ("the", " the", " cat", " sat", "é", " 🦜"[:2], "海", " on")
TEXT = "the cat sat on the é 海は青い 🦜 mat\n" * 5


@pytest.fixture
def encoding():
    """A tokenizer with the single bytes and a few words."""
    ranks = {bytes([value]): value for value in range(256)}
    for word in WORDS:
        data = word.encode()
        for end in range(2, len(data) + 1):
            ranks.setdefault(data[:end], len(ranks))
    return tiktoken.Encoding("tiny", pat_str=r" ?\S+|\s", mergeable_ranks=ranks, special_tokens={"<|end|>": 9999})


@pytest.fixture
def local(monkeypatch, encoding):
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: encoding)


def test_counts_are_those_of_the_tokenizer(encoding):
    exact = ExactTokens(encoding)
    texts = ["the cat", TEXT, "<|end|>", "\0"]
    measure = exact.measure([text_item(text) for text in texts])
    assert measure.exact
    assert list(measure.units) == [len(encoding.encode_ordinary(text)) for text in texts]
    with_prompt = exact.measure([text_item("the cat")], "the the ")
    assert list(with_prompt.units) == [len(encoding.encode_ordinary("the the the cat"))]


@pytest.mark.parametrize("limit", [4, 5, 7, 50])
@pytest.mark.parametrize("prompt", ["", "the"])
def test_pieces_are_within_the_limit_and_lose_nothing(encoding, limit, prompt):
    pieces = ExactTokens(encoding).split(text_item(TEXT), limit + len(prompt) // 3, prompt)
    assert "".join(piece.text for piece in pieces) == TEXT
    sizes = [len(encoding.encode_ordinary(prompt + piece.text)) for piece in pieces]
    assert max(sizes) <= limit + len(prompt) // 3
    assert len(pieces) <= 3 * len(encoding.encode_ordinary(TEXT)) // limit


def test_a_limit_without_room(encoding):
    with pytest.raises(InvalidInputError, match="no room"):
        ExactTokens(encoding).split(text_item("🦜🦜"), 2)


def test_what_is_cut_is_cut_at_the_models_own_tokens(make, server, local, encoding, expected):
    embedder = make(tokenizer="tiktoken", limits={"units_per_item": 20}, truncation="truncate")
    result = embedder.run([TEXT, "the cat"])
    (cut,) = result.report.truncations
    assert (cut.units, cut.kept) == (len(encoding.encode_ordinary(TEXT)), 20)
    (sent,) = [content.key for call in server.calls for content in call.contents if content.key != "the cat"]
    assert TEXT.startswith(sent)
    assert len(encoding.encode_ordinary(sent)) <= 20
    np.testing.assert_allclose(result.vectors, expected([sent, "the cat"]), atol=1e-6)
    assert result.report.exact


def test_over_long_texts_are_known_before_anything_is_sent(make, server, local):
    embedder = make(tokenizer="tiktoken", limits={"units_per_item": 20}, truncation="error")
    with pytest.raises(TruncationError):
        embedder.embed(TEXT)
    assert server.requests == []


def test_an_exact_and_an_estimated_cut_are_cached_apart(make, local):
    exact, estimated = make(tokenizer="tiktoken"), make()
    assert exact.space == estimated.space
    assert exact.encoder_id != estimated.encoder_id


def test_a_vocabulary_that_cannot_be_had(make, monkeypatch):
    def fail(name):
        raise OSError("no network")

    monkeypatch.setattr(tiktoken, "get_encoding", fail)
    with pytest.raises(ModelLoadError, match=r'cl100k_base.*no network.*tokenizer="estimate"'):
        make(tokenizer="tiktoken").embed("a")


def test_a_model_whose_tokenizer_is_not_known(make):
    with pytest.raises(InvalidOptionError, match='use tokenizer="estimate"'):
        make("bge-small", dimensions=8, tokenizer="tiktoken").embed("a")


def test_without_tiktoken(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    with pytest.raises(FrameworkUnavailableError, match=r"llm-multi-core-openai\[tiktoken\]"):
        make(tokenizer="tiktoken").embed("a")
