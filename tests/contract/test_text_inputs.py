"""Text is text: what is taken, what is refused, how it is split and counted."""

from __future__ import annotations

import enum
from pathlib import PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_multi_core.embedder import InvalidInputError, Modality
from llm_multi_core.embedder.inputs.text import estimate_tokens, split_text, text_item

unicode = st.text(st.characters(exclude_categories=["Cs"]))
spaced = st.lists(st.sampled_from(["a", "word", "é", "海", "🌱", " ", "\n", "\t", "  "]), max_size=60).map("".join)


@given(unicode)
def test_a_text_is_taken_as_it_is(text):
    item = text_item(text)
    assert item.text == text
    assert type(item.text) is str
    assert item.signature == (Modality.TEXT,)


@given(unicode, unicode)
def test_digests_agree_only_for_equal_texts(a, b):
    assert (text_item(a).digest == text_item(b).digest) == (a == b)
    assert text_item(a) == text_item(a)


def test_normal_forms_are_two_texts():
    assert text_item("\u00e9").digest != text_item("e\u0301").digest


def test_the_empty_text_is_a_text():
    assert text_item("").text == ""


class Tag(str):
    __slots__ = ()

    def __str__(self):
        return "something else"


class Colour(str, enum.Enum):  # noqa: UP042 - what users of older Pythons have
    RED = "red"


@pytest.mark.parametrize("value", [np.str_("red"), Tag("red"), Colour.RED, enum.StrEnum("C", {"RED": "red"}).RED])
def test_subclasses_of_str_become_their_plain_content(value):
    item = text_item(value)
    assert type(item.text) is str
    assert item.text == "red"
    assert item.digest == text_item("red").digest


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (None, "NoneType; drop missing values"),
        (float("nan"), "float; drop missing values"),
        (np.float64("nan"), "float64; drop missing values"),
        (b"caf\xc3\xa9", "bytes; decode it first"),
        (bytearray(b"x"), "bytearray; decode it first"),
        (7, "int"),
        (True, "bool"),
        (["a"], "list"),
        ({"text": "a"}, "dict"),
        (PurePosixPath("notes.txt"), "PurePosixPath"),
        (np.array(["a"]), "ndarray"),
    ],
)
def test_what_is_not_a_text_is_refused_with_a_way_out(value, hint):
    with pytest.raises(InvalidInputError) as caught:
        text_item(value)
    assert str(caught.value).startswith(f"a text must be str, not {hint}")
    assert caught.value.index is None


@given(unicode, st.characters(categories=["Cs"]), unicode)
def test_a_lone_surrogate_is_refused_with_its_place(before, surrogate, after):
    with pytest.raises(InvalidInputError) as caught:
        text_item(before + surrogate + after)
    assert f"(U+{ord(surrogate):04X}) at character {len(before)};" in str(caught.value)


def test_the_repair_that_the_error_names_works():
    broken = "a \ud800 b \U0001f331 \ud83c\udf31"
    repaired = broken.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert text_item(repaired).text == "a \ufffd b \U0001f331 \U0001f331"


@given(unicode | spaced, st.integers(4, 40))
def test_pieces_joined_give_the_text_back(text, max_bytes):
    pieces = split_text(text, max_bytes)
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= max_bytes for piece in pieces)
    assert all(pieces) or text == ""


def test_text_is_split_at_white_space_where_there_is_some():
    assert split_text("one two three four", 9) == ["one two ", "three ", "four"]
    assert split_text("line one\nline two", 10) == ["line one\n", "line two"]


def test_text_without_white_space_is_split_between_characters():
    assert split_text("abcdef", 4) == ["abcd", "ef"]
    assert split_text("海海海", 4) == ["海", "海", "海"]


def test_text_within_the_bound_is_one_piece():
    assert split_text("", 5) == [""]
    assert split_text("seven b", 7) == ["seven b"]


@pytest.mark.parametrize("max_bytes", [0, 1, 2])
def test_a_bound_below_one_character_is_an_error(max_bytes):
    with pytest.raises(ValueError, match="smaller than one character"):
        split_text("海", max_bytes)


@given(unicode, unicode)
def test_the_estimate_grows_with_the_text(a, b):
    assert 1 <= estimate_tokens(a) <= estimate_tokens(a + b) <= len((a + b).encode()) + 1


def test_the_estimate_is_cautious_for_prose():
    prose = "The lighthouse keeper wrote the weather into his log every evening."
    assert len(prose.split()) < estimate_tokens(prose) < len(prose)
