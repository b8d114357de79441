"""What the text descriptor says is alike."""

from __future__ import annotations

import numpy as np
import pytest

from llm_multi_core.embedder import (
    InvalidInputError,
    TruncationWarning,
    UnsupportedDimensionsError,
    create_text_embedder,
)


@pytest.fixture
def embedder():
    with create_text_embedder("classic") as made:
        yield made


def test_typos_are_near(embedder):
    right, typo, other = embedder.embed_batch(
        ["the invoice was paid in may", "teh invoice was payed in may", "a violin concerto by a lake"]
    )
    assert right @ typo > 0.5
    assert right @ other < 0.25


def test_meaning_is_not_seen(embedder):
    """It is spelling that counts: synonyms are strangers."""
    assert embedder.similarity("car", "automobile") < 0.2
    assert embedder.similarity("car", "care") > embedder.similarity("car", "automobile") + 0.1


def test_case_and_unicode_forms_do_not_count(embedder):
    same = ["Straße, café", "STRASSE, CAFE\u0301", "strasse, \uff43\uff41\uff46é"]
    vectors = embedder.embed_batch(same)
    assert np.allclose(vectors, vectors[0])


@pytest.mark.parametrize("text", ["!", "?!", "猫", "a", "🌱", "7", "\u200b", "海は青い。"])
def test_any_character_counts(embedder, text):
    assert np.linalg.norm(embedder.embed(text)) == pytest.approx(1)


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\u2003"])
def test_texts_without_spelling_are_refused(embedder, text):
    with pytest.raises(InvalidInputError, match=r"empty|white space") as caught:
        embedder.embed_batch(["a text", text, "another one"])
    assert caught.value.index == 1
    result = embedder.run(["a text", text, "another one"], on_error="collect")
    assert result.ok.tolist() == [True, False, True]


@pytest.mark.parametrize("dimensions", [64, 100, 4096])
def test_any_number_of_dimensions(dimensions):
    with create_text_embedder("classic", dimensions=dimensions) as embedder:
        one, same, other = embedder.embed_batch(["green apples", "green apples!", "submarine"])
        assert one.shape == (dimensions,)
        assert one @ same > one @ other + 0.3


def test_too_few_dimensions():
    with pytest.raises(UnsupportedDimensionsError, match="64"):
        create_text_embedder("classic", dimensions=8).dimension  # noqa: B018


def test_vectors_are_fixed(embedder):
    """The same on every machine and in every process: nine n-grams of characters, and one word."""
    vector = embedder.embed("rain")
    places = np.flatnonzero(vector)
    assert places.tolist() == [27, 78, 143, 301, 318, 334, 349, 510, 587, 859]
    signs = np.array([1, -1, 1, 1, 1, 1, 1, 1, -1])
    assert vector[places[:-1]] == pytest.approx(signs * (2 / 3 / 9) ** 0.5, abs=1e-6)
    assert vector[859] == pytest.approx((1 / 3) ** 0.5, abs=1e-6)


def test_longer_than_the_limit(embedder):
    with pytest.warns(TruncationWarning):
        long = embedder.embed("rain " * 45_000)
    assert long @ embedder.embed("rain") > 0.7
