"""Chunks of one document as items of one group: the group, the spans, what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_multi_core.embedder import InvalidInputError, Span, TextEmbedder, document_chunks
from llm_multi_core.embedder.inputs.text import split_text, text_item
from llm_multi_core.embedder.settings import EmbedderSettings
from llm_multi_core.embedder.testing.fakes import fake_offer

LETTER = "Dear Ann,\n\nthe roof leaks.  The roof leaks again. Yours, Bo"


def test_the_chunks_are_the_texts_in_order():
    items = document_chunks(["one", "two", "one"])
    assert [item.text for item in items] == ["one", "two", "one"]
    assert [item.digest for item in items] == [text_item(text).digest for text in ("one", "two", "one")]
    assert document_chunks([]) == []
    assert [item.text for item in document_chunks(text for text in ("a", "b"))] == ["a", "b"]


def test_a_document_has_one_group_and_no_two_have_the_same():
    groups = [{item.group for item in document_chunks(["one", "two"])} for _ in range(50)]
    assert all(len(group) == 1 for group in groups)
    assert len(set.union(*groups)) == 50
    assert None not in set.union(*groups)


def test_items_can_be_pickled():
    items = document_chunks(["one", "two"], "a.txt", document="one two")
    assert pickle.loads(pickle.dumps(items)) == items


def test_without_the_document_there_are_no_spans():
    assert [item.span for item in document_chunks(["Dear Ann,", "the roof leaks."], "letter.txt")] == [None, None]


def test_spans_skip_what_was_left_out():
    items = document_chunks(["Dear Ann,", "the roof leaks.", "Yours, Bo"], "letter.txt", document=LETTER)
    assert [item.span for item in items] == [
        Span("characters", 0, 9, "letter.txt"),
        Span("characters", 11, 26, "letter.txt"),
        Span("characters", 50, 59, "letter.txt"),
    ]


def test_spans_of_chunks_that_overlap():
    items = document_chunks(["the roof leaks.  The roof", "The roof leaks again."], document=LETTER)
    assert [(item.span.start, item.span.end, item.span.source) for item in items] == [(11, 36, None), (28, 49, None)]


def test_spans_of_text_that_repeats_itself():
    chorus = "la la la la la la"
    spans = [item.span for item in document_chunks(["la la", "la la", "la la"], document=chorus)]
    assert [(span.start, span.end) for span in spans] == [(0, 5), (6, 11), (12, 17)]


def test_chunks_that_are_not_in_the_document_have_no_span():
    items = document_chunks(["Dear Ann,", "the ROOF", "", "Yours, Bo", "Dear Ann,"], document=LETTER)
    assert [item.span is not None for item in items] == [True, False, False, True, False]


@given(st.text("ab ", min_size=1, max_size=60), st.integers(4, 12))
def test_spans_of_consecutive_pieces_give_the_document(document, size):
    pieces = split_text(document, size)
    spans = [item.span for item in document_chunks(pieces, document=document)]
    assert "".join(document[span.start : span.end] for span in spans) == document
    assert [span.start for span in spans] == sorted({span.start for span in spans})


def test_what_is_no_text_is_refused_with_its_place():
    with pytest.raises(InvalidInputError, match="input 1: a text must be str, not NoneType") as caught:
        document_chunks(["one", None])
    assert caught.value.index == 1
    with pytest.raises(InvalidInputError, match="one text was given"):
        document_chunks("a whole document")


def test_a_model_without_context_takes_each_chunk_for_itself():
    settings = EmbedderSettings.check(
        fake_offer(),
        TextEmbedder.modality,
        model=None,
        device=None,
        precision="auto",
        dimensions=None,
        force_dimensions=False,
        normalize=True,
        truncation="warn",
        batch_size=None,
        cache=None,
        api_key=None,
        options={},
    )
    texts = ["one", "two", "one", "three"]
    with TextEmbedder(settings) as embedder:
        assert np.array_equal(embedder.embed_batch(document_chunks(texts)), embedder.embed_batch(texts))
