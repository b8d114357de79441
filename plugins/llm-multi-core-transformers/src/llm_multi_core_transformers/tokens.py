"""How texts become a model's token ids: once per text, whatever the batch.

With a fast tokenizer the tokens that were found while measuring are used again; the fast way is taken
only if it gives, for probe texts, what the tokenizer itself gives. Other tokenizers are called as they
are, by one thread at a time.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder import InvalidInputError, Measure, ModelLoadError
from llm_multi_core_torch import FastTokenizer, TokenIds, split_in_halves

Inputs = dict[str, npt.NDArray[np.int64]]

_PROBES = ("", "Probe", "A Probe, of: several  words?", "a b c d e f g h " * 8)


class TextTokens(ABC):
    """One way from texts to token ids."""

    @property
    @abstractmethod
    def adds_tokens(self) -> bool:
        """Whether even an empty text has tokens."""

    @abstractmethod
    def measure(self, texts: Sequence[str]) -> Measure:
        """The tokens of each text, special ones included. Safe in several threads."""

    @abstractmethod
    def inputs(self, texts: Sequence[str], state: Sequence[Any] | None = None) -> Inputs:
        """Ids and mask, truncated and padded, each `(n, longest)`. Safe in several threads.

        Raises:
            InvalidInputError: if a text has no tokens.
        """

    @abstractmethod
    def split(self, text: str, max_tokens: int, prompt: str = "") -> list[str]:
        """`text` in consecutive pieces of at most `max_tokens` tokens.

        Raises:
            InvalidInputError: if nothing fits beside the prompt.
        """

    def prompt_length(self, prompt: str, special_ids: frozenset[int]) -> int:
        """Tokens at the start of a text that belong to its prompt, as sentence-transformers counts them."""
        if not prompt:
            return 0
        inputs = self.inputs([prompt])
        ids = inputs["input_ids"][0][inputs["attention_mask"][0] > 0]
        return len(ids) - int(int(ids[-1]) in special_ids)


class FastTokens(TextTokens):
    """Through `FastTokenizer`."""

    def __init__(self, tokens: FastTokenizer) -> None:
        self._tokens = tokens

    @property
    def adds_tokens(self) -> bool:
        """Whether even an empty text has tokens."""
        return self._tokens.adds_tokens

    def measure(self, texts: Sequence[str]) -> Measure:
        """The tokens of each text; they are kept for `inputs`."""
        tokenized = self._tokens.tokenize(texts)
        return Measure([max(1, count) for count in tokenized.counts], exact=True, state=tokenized.ids)

    def inputs(self, texts: Sequence[str], state: Sequence[Any] | None = None) -> Inputs:
        """Ids and mask, from the tokens that `measure` found if they are given."""
        rows: Sequence[TokenIds] = self._tokens.tokenize(texts).ids if state is None else state
        if not self.adds_tokens and not all(len(row) for row in rows):
            raise _no_tokens()
        return self._tokens.pad(rows)

    def split(self, text: str, max_tokens: int, prompt: str = "") -> list[str]:
        """Pieces that end between two tokens."""
        return self._tokens.split(text, max_tokens, prompt)


class SlowTokens(TextTokens):
    """Through the tokenizer's own `__call__`, which keeps state and so is for one thread at a time."""

    def __init__(self, tokenizer: Any, max_tokens: int | None) -> None:
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self._lock = threading.Lock()
        self._adds_tokens = len(tokenizer("", verbose=False)["input_ids"]) > 0

    @property
    def adds_tokens(self) -> bool:
        """Whether even an empty text has tokens."""
        return self._adds_tokens

    def measure(self, texts: Sequence[str]) -> Measure:
        """The tokens of each text."""
        with self._lock:
            found = self._tokenizer(list(texts), verbose=False)["input_ids"]
        return Measure([max(1, len(ids)) for ids in found], exact=True)

    def inputs(self, texts: Sequence[str], state: Sequence[Any] | None = None) -> Inputs:
        """Whatever the tokenizer gives, with a mask."""
        with self._lock:
            limits = {"truncation": self._max_tokens is not None, "max_length": self._max_tokens}
            found = self._tokenizer(
                list(texts), padding=True, return_attention_mask=True, return_tensors="np", verbose=False, **limits
            )
        inputs = {name: np.asarray(value, np.int64) for name, value in found.items()}
        if not self._adds_tokens and not inputs["attention_mask"].any(axis=1).all():
            raise _no_tokens()
        return inputs

    def split(self, text: str, max_tokens: int, prompt: str = "") -> list[str]:
        """Halves, halved again until they fit."""
        return split_in_halves(text, max_tokens, lambda piece: int(self.measure([prompt + piece]).units[0]))


def text_tokens(tokenizer: Any, max_tokens: int | None) -> TextTokens:
    """The fastest way that gives what the tokenizer itself gives.

    Args:
        tokenizer: a tokenizer of transformers with its padding side set. It is taken over.
        max_tokens: the longest text, special tokens included; `None` for no limit.

    Raises:
        ModelLoadError: if it has no token at all to pad with.
    """
    _give_padding(tokenizer)
    slow = SlowTokens(tokenizer, max_tokens)
    probes = [text for text in _PROBES if text or slow.adds_tokens]
    expected = slow.inputs(probes)
    counts = slow.measure(probes).units
    fast = FastTokenizer.take_over(tokenizer, max_tokens)
    if fast is not None:
        tokens = FastTokens(fast)
        found, measured = tokens.inputs(probes), tokens.measure(probes)
        same = all(name in found and np.array_equal(found[name], value) for name, value in expected.items())
        if same and list(measured.units) == list(counts):
            return tokens
    return slow


def _give_padding(tokenizer: Any) -> None:
    """Padding is masked, so any token will do where a decoder's tokenizer has none of its own."""
    if tokenizer.pad_token_id is not None:
        return
    stand_in = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
    if stand_in is None:
        raise ModelLoadError("the tokenizer has no token that texts of a batch could be padded with")
    tokenizer.pad_token = stand_in


def _no_tokens() -> InvalidInputError:
    return InvalidInputError("the text has no tokens for this model, which adds none of its own")
