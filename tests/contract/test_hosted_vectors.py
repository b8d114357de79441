"""Reading the vectors of replies in the form that OpenAI introduced."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from llm_multi_core.embedder import InvalidOutputError
from llm_multi_core.embedder.hosted import read_vectors

ROWS = np.arange(6, dtype=np.float32).reshape(3, 2)


def reply(values, indices=(0, 1, 2), **more):
    data = [{"index": index, "embedding": value} for index, value in zip(indices, values, strict=True)]
    return json.dumps({"data": data, **more}).encode()


@pytest.mark.parametrize("encode", [list, lambda row: base64.b64encode(row.astype("<f4").tobytes()).decode()])
def test_rows_come_in_the_order_of_their_indices(encode):
    values = [encode(row) if encode is not list else row.tolist() for row in ROWS[::-1]]
    vectors = read_vectors(reply(values, (2, 1, 0)), 3)
    assert np.array_equal(vectors.rows, ROWS)
    assert vectors.rows.dtype == np.float32


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 7, "total_tokens": 9}, 7),
        ({"total_tokens": 9}, 9),
        ({}, 0),
        (None, 0),
    ],
)
def test_tokens_are_what_the_reply_says(usage, tokens):
    assert read_vectors(reply(ROWS.tolist(), usage=usage), 3).tokens == tokens
    assert read_vectors(reply(ROWS.tolist()), 3).tokens == 0


@pytest.mark.parametrize(
    "body",
    [b"[]", b"null", b"{}", b'{"data": null}', b'{"data": [1]}', b'{"data": [{"index": 0}]}', b'{"error": "no"}'],
)
def test_what_holds_no_embeddings_is_not_taken(body):
    with pytest.raises(InvalidOutputError, match="holds no embeddings"):
        read_vectors(body, 1)


@pytest.mark.parametrize("indices", [(0, 1, 1), (0, 1, 3), (1, 2, 3)])
def test_each_input_has_one_vector(indices):
    with pytest.raises(InvalidOutputError, match="for 3 inputs"):
        read_vectors(reply(ROWS.tolist(), indices), 3)
    with pytest.raises(InvalidOutputError, match="for 4 inputs"):
        read_vectors(reply(ROWS.tolist()), 4)


@pytest.mark.parametrize("value", ["no base64!", "AAA=", [[1.0]], ["a"], {"a": 1}, None])
def test_vectors_that_cannot_be_read_are_not_taken(value):
    with pytest.raises(InvalidOutputError):
        read_vectors(reply([value], (0,)), 1)


def test_a_reply_that_was_cut_is_told_apart():
    with pytest.raises(json.JSONDecodeError):
        read_vectors(reply(ROWS.tolist())[:-20], 3)
