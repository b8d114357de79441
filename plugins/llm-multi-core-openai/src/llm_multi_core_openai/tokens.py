"""Counting a text's tokens and cutting it by them: by a rule of thumb, or with tiktoken as OpenAI counts them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from llm_multi_core.embedder import (
    FrameworkUnavailableError,
    InvalidInputError,
    InvalidOptionError,
    Item,
    Measure,
    ModelLoadError,
)
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core_openai.catalogue import EMBEDDING_MODELS

if TYPE_CHECKING:
    from tiktoken import Encoding


def tiktoken_encoding(model: str) -> Encoding:
    """The tokenizer of a model. tiktoken fetches its vocabulary when it is first used, and keeps it.

    Raises:
        FrameworkUnavailableError: if tiktoken is not installed.
        InvalidOptionError: if the model's tokenizer is not known.
        ModelLoadError: if the vocabulary cannot be had.
    """
    try:
        import tiktoken
    except ImportError:
        raise FrameworkUnavailableError(
            'tokenizer="tiktoken" needs tiktoken: pip install "llm-multi-core-openai[tiktoken]"'
        ) from None
    known = EMBEDDING_MODELS.get(model)
    if known is None:
        raise InvalidOptionError(
            f'tokenizer="tiktoken" is for {", ".join(EMBEDDING_MODELS)}; for {model!r} use tokenizer="estimate"'
        )
    try:
        return tiktoken.get_encoding(known.encoding)
    except Exception as error:
        raise ModelLoadError(
            f"tiktoken cannot get its vocabulary {known.encoding} ({type(error).__name__}: {error}); keep it in the "
            'folder TIKTOKEN_CACHE_DIR, or use tokenizer="estimate"'
        ) from error


class ExactTokens:
    """Sizes and pieces by the model's own tokens."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding

    def measure(self, items: Sequence[Item], overhead: str = "") -> Measure:
        """The tokens of each text, with `overhead` before it."""
        tokens = self._encoding.encode_ordinary_batch([overhead + item.text for item in items])
        return Measure([max(1, len(row)) for row in tokens])

    def split(self, item: Item, max_units: int, overhead: str = "") -> list[Item]:
        """The text in pieces of at most `max_units` tokens each, with `overhead` before it; no character is cut.

        Raises:
            InvalidInputError: if not even a character fits.
        """
        text = item.text
        data, start = text.encode(), 0
        tokens = self._encoding.encode_ordinary(text)
        ends = list(accumulate(len(token) for token in self._encoding.decode_tokens_bytes(tokens)))
        pieces: list[Item] = []
        while start < len(data):
            last = min(bisect_right(ends, start) + max_units, len(ends)) - 1
            candidates = (ends[place] for place in range(last, -1, -1))
            end = self._fitting(data, start, candidates, max_units, overhead)
            pieces.append(text_item(data[start:end].decode()))
            start = end
        return pieces

    def _fitting(self, data: bytes, start: int, ends: Iterable[int], max_units: int, overhead: str) -> int:
        """The first of `ends`, moved back to the border of a character, up to where not too many tokens are."""
        for candidate in ends:
            end = candidate
            while end < len(data) and data[end] & 0xC0 == 0x80:
                end -= 1
            if end <= start:
                break
            if len(self._encoding.encode_ordinary(overhead + data[start:end].decode())) <= max_units:
                return end
        raise InvalidInputError(f"a limit of {max_units} tokens leaves no room for text")
