"""Counting, truncating, padding and splitting equal what the tokenizer itself does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from llm_multi_core.embedder import InvalidInputError
from llm_multi_core_torch import FastTokenizer, split_by_tokens, split_in_halves

LETTERS = "abcdefghij"


class Wrapped:
    """What `take_over` needs of a tokenizer of transformers."""

    pad_token_id = 0
    split_special_tokens = False
    model_input_names = ("input_ids", "token_type_ids", "attention_mask")

    def __init__(self, post_processor=None, padding_side="right", truncation_side="right"):
        pieces = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *LETTERS, *(f"##{letter}" for letter in LETTERS), "abc", "##de"]
        vocabulary = {piece: place for place, piece in enumerate(pieces)}
        self.backend_tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        self.backend_tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        if post_processor is not None:
            self.backend_tokenizer.post_processor = post_processor
        self.padding_side, self.truncation_side = padding_side, truncation_side

    def own(self, texts, max_length):
        """The same by the tokenizer's own truncation and padding."""
        backend = Tokenizer.from_str(self.backend_tokenizer.to_str())
        backend.enable_truncation(max_length, direction=self.truncation_side)
        backend.enable_padding(direction=self.padding_side, pad_id=0, pad_token="[PAD]")
        encodings = backend.encode_batch(texts)
        return np.array([each.ids for each in encodings]), np.array([each.attention_mask for each in encodings])


BERT = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
END = processors.TemplateProcessing("$A [SEP]", special_tokens=[("[SEP]", 2)])
SEGMENTS = processors.TemplateProcessing("[CLS]:0 $A:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
TEXTS = ["", "a", "abc def ghij", "abcdefghij " * 7, "z é 量", "a b c d e f g h"]


@pytest.mark.parametrize("padding_side", ["left", "right"])
@pytest.mark.parametrize("truncation_side", ["left", "right"])
@pytest.mark.parametrize("post_processor", [BERT, END, None])
def test_inputs_equal_the_tokenizers_own(post_processor, truncation_side, padding_side):
    tokenizer = Wrapped(post_processor, padding_side, truncation_side)
    ids, mask = tokenizer.own(TEXTS, 9)
    untruncated = tokenizer.own(TEXTS, 10_000)[1].sum(axis=1)
    tokens = FastTokenizer.take_over(tokenizer, 9)
    tokenized = tokens.tokenize(TEXTS)
    assert tokenized.counts == untruncated.tolist()
    inputs = tokens.pad(tokenized.ids)
    np.testing.assert_array_equal(inputs["input_ids"], ids)
    np.testing.assert_array_equal(inputs["attention_mask"], mask)
    assert not inputs["token_type_ids"].any()
    assert tokens.adds_tokens == (post_processor is not None)


def test_tokenizers_that_do_more_are_not_taken_over():
    assert FastTokenizer.take_over(Wrapped(SEGMENTS), 9) is None
    assert FastTokenizer.take_over(object(), 9) is None
    without_padding = Wrapped(BERT)
    without_padding.pad_token_id = None
    assert FastTokenizer.take_over(without_padding, 9) is None


def test_a_tokenizer_without_a_limit_truncates_nothing():
    tokens = FastTokenizer.take_over(Wrapped(BERT), 10**30)
    assert tokens.max_length is None
    assert len(tokens.tokenize(["a " * 5000]).ids[0]) == 5000


@settings(max_examples=200, deadline=None, derandomize=True)
@example(text="ade", limit=5)
@given(text=st.text(alphabet=[*LETTERS, " ", "\n", "é", "量"], max_size=120), limit=st.integers(5, 20))
def test_pieces_fit_and_give_the_text_again(text, limit):
    tokens = FastTokenizer.take_over(Wrapped(BERT), limit)
    for prompt in ("", "a b "):
        pieces = tokens.split(text, limit, prompt)
        assert "".join(pieces) == text
        assert all(tokens.count(prompt + piece) <= limit for piece in pieces)


@settings(deadline=None, derandomize=True)
@given(text=st.text(max_size=200), limit=st.integers(4, 30))
def test_halves_fit_and_give_the_text_again(text, limit):
    pieces = split_in_halves(text, limit, lambda piece: len(piece.encode()))
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= limit for piece in pieces)


def test_pieces_end_at_white_space():
    tokens = FastTokenizer.take_over(Wrapped(BERT), 8)
    pieces = tokens.split("abc abc abc abc abc abc abcdefghijabcdefghij abc", 8)
    assert pieces[0] == "abc abc abc abc abc abc "


def test_pieces_are_nearly_as_long_as_they_may_be():
    tokens = FastTokenizer.take_over(Wrapped(BERT), 34)
    pieces = tokens.split("a " * 320, 34)
    assert [tokens.count(piece) for piece in pieces] == [34] * 10


def test_a_prompt_that_leaves_no_room_is_an_error():
    tokens = FastTokenizer.take_over(Wrapped(BERT), 8)
    with pytest.raises(InvalidInputError, match="fits into 8 tokens"):
        tokens.split("abc abc abc", 8, prompt="a b c d e f ")
    with pytest.raises(InvalidInputError, match="fits into 0 tokens"):
        split_in_halves("abc", 0, len)
    with pytest.raises(InvalidInputError):
        split_by_tokens("abc", [0], 1, lambda piece: 2)
