"""Texts by their spelling and words.

After NFKC and case folding, n-grams of 3 to 5 characters within words and n-grams of 1 to 2 words are
counted, hashed (MurmurHash3, with a second bit for the sign) into two thirds and one third of the
dimensions, and damped to the square roots of their counts. Each part has length 1; the cosine of two
texts is two thirds the characters' and one third the words'.

K. Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from llm_multi_core.embedder import (
    Description,
    InvalidInputError,
    Item,
    Limits,
    Measure,
    Modality,
    Task,
    UnsupportedDimensionsError,
)
from llm_multi_core.embedder.inputs.text import split_text, text_item
from llm_multi_core_classic.encoder import ClassicEncoder, Vector
from llm_multi_core_classic.plugin import TEXT_MODEL

DIMENSION, SMALLEST = 1024, 64
LONGEST = 200_000
"""Bytes of UTF-8 that are described at once; a longer text falls under the truncation policy."""
WORDS_WEIGHT = 1 / 3


class ClassicTextEncoder(ClassicEncoder):
    """Hashed n-grams of characters and words."""

    model = TEXT_MODEL
    modality = Modality.TEXT
    libraries = ("scikit-learn",)

    @property
    def _dimension(self) -> int:
        dimension = DIMENSION if self.config.dimensions is None else self.config.dimensions
        if dimension < SMALLEST:
            raise UnsupportedDimensionsError(
                f"classic {self.model} gives {SMALLEST} dimensions or more, not {dimension}: too much would collide"
            )
        return dimension

    def describe(self) -> Description:
        """The default dimension, or the one asked for."""
        self.check()
        limits = Limits(
            unit="byte",
            units_per_item=LONGEST,
            items_per_batch=256,
            units_per_batch=LONGEST,
            padded=False,
            accepts_empty=False,
        )
        return Description(self.space(self._dimension), limits, DIMENSION)

    @cached_property
    def _vectorizers(self) -> tuple[Any, Any]:
        from sklearn.feature_extraction.text import HashingVectorizer

        words = self._dimension // 3
        common = {"norm": None, "lowercase": False, "preprocessor": fold, "dtype": np.float64}
        whole_words = {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"\w+"}
        return (
            HashingVectorizer(analyzer="char_wb", ngram_range=(3, 5), n_features=self._dimension - words, **common),
            HashingVectorizer(n_features=words, **whole_words, **common),
        )

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """Bytes of UTF-8."""
        return Measure([max(1, len(item.text.encode())) for item in items])

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """Pieces that end at white space where possible."""
        return [text_item(piece) for piece in split_text(item.text, max_units)]

    def prepare(self, items: Sequence[Item], task: Task, state: Sequence[Any] | None = None) -> list[str]:
        """The texts.

        Raises:
            InvalidInputError: for one that has nothing to be described by.
        """
        texts = [item.text for item in items]
        if not all(fold(text).strip() for text in texts):
            raise InvalidInputError("the text is nothing but white space, which has no spelling")
        return texts

    def forward(self, batch: list[str]) -> Vector:
        """Rows `(n, d)`."""
        characters, words = (_damped(vectorizer.transform(batch)) for vectorizer in self._vectorizers)
        rows = np.hstack([characters * (1 - WORDS_WEIGHT) ** 0.5, words * WORDS_WEIGHT**0.5])
        return rows.astype(np.float32)


def fold(text: str) -> str:
    """The text without differences of case and of Unicode's equivalent forms."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _damped(counts: Any) -> Any:
    """Signed square roots of sparse counts, dense, each row of length 1 or zero."""
    rows = counts.toarray()
    rows = np.sign(rows) * np.sqrt(np.abs(rows))
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=rows, where=lengths > 0)
