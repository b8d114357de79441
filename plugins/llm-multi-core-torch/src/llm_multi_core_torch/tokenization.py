"""Counting, truncating and padding text with a fast tokenizer, once per text.

A tokenizer of transformers keeps its truncation and padding as state, which two threads would
change under each other, and it truncates and pads before anyone learns how long a text was. Here the
tokens of a whole window are found in one parallel call without either; batches are cut and padded
from them. The result equals the tokenizer's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from llm_multi_core_torch.splitting import split_by_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TokenIds: TypeAlias = npt.NDArray[np.int32]

_UNBOUNDED = 10**9
"""Tokenizers without a limit of their own carry a number beyond this."""


@dataclass(frozen=True, slots=True)
class Tokenized:
    """The tokens of some texts.

    Attributes:
        counts: how many each text has, special tokens included and nothing truncated.
        ids: its tokens without the special ones, truncated to the limit, as int32 arrays.
    """

    counts: list[int]
    ids: list[TokenIds]


class FastTokenizer:
    """A tokenizer with nothing that a call changes; safe in several threads at once.

    It takes the Rust tokenizer over: whoever else holds the same one must not use it any more.
    """

    def __init__(
        self,
        backend: Tokenizer,
        *,
        max_length: int | None,
        padding_side: str,
        truncation_side: str,
        pad_id: int,
        with_type_ids: bool,
    ) -> None:
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend
        before, after = _special_tokens(backend)
        self._before, self._after = np.array(before, np.int32), np.array(after, np.int32)
        specials = len(self._before) + len(self._after)
        self.max_length = max_length
        self._room = None if max_length is None else max(0, max_length - specials)
        self._pads_left = padding_side == "left"
        self._cuts_left = truncation_side == "left"
        self._pad_id = pad_id
        self._with_type_ids = with_type_ids

    @classmethod
    def take_over(cls, tokenizer: Any, max_length: int | None) -> Self | None:
        """Work with the Rust part of a transformers tokenizer.

        Args:
            tokenizer: a `PreTrainedTokenizerFast`.
            max_length: the longest sequence, special tokens included; `None` or a number beyond any
                text is no limit.

        Returns:
            `None` if it has no Rust part, no padding token, or adds special tokens other than at the
            two ends.
        """
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None or not hasattr(backend, "encode_batch_fast") or tokenizer.pad_token_id is None:
            return None
        backend.encode_special_tokens = bool(getattr(tokenizer, "split_special_tokens", False))
        try:
            return cls(
                backend,
                max_length=max_length if max_length is not None and max_length < _UNBOUNDED else None,
                padding_side=tokenizer.padding_side,
                truncation_side=tokenizer.truncation_side,
                pad_id=tokenizer.pad_token_id,
                with_type_ids="token_type_ids" in tokenizer.model_input_names,
            )
        except ValueError:
            return None

    @property
    def adds_tokens(self) -> bool:
        """Whether even an empty text has tokens."""
        return len(self._before) + len(self._after) > 0

    def tokenize(self, texts: Sequence[str]) -> Tokenized:
        """The tokens of texts, in their order."""
        encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        specials = len(self._before) + len(self._after)
        counts, rows, room = [], [], self._room
        for encoding in encodings:
            ids = encoding.ids
            counts.append(len(ids) + specials)
            if room is not None and len(ids) > room:
                ids = ids[len(ids) - room :] if self._cuts_left else ids[:room]
            rows.append(np.array(ids, np.int32))
        return Tokenized(counts, rows)

    def pad(self, rows: Sequence[TokenIds]) -> dict[str, npt.NDArray[np.int64]]:
        """A model's inputs from tokens as `tokenize` gives them.

        Returns:
            `input_ids` and `attention_mask`, and `token_type_ids` for models that take them, each
            `(n, longest)`.
        """
        before, after = self._before, self._after
        lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows)) + len(before) + len(after)
        longest = int(lengths.max(initial=0))
        columns = np.arange(longest)
        mask = columns >= longest - lengths[:, None] if self._pads_left else columns < lengths[:, None]
        ids = np.full(mask.shape, self._pad_id, np.int64)
        ids[mask] = np.concatenate(list(chain.from_iterable((before, row, after) for row in rows)))
        inputs = {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
        if self._with_type_ids:
            inputs["token_type_ids"] = np.zeros_like(ids)
        return inputs

    def count(self, text: str) -> int:
        """How many tokens a text has, special ones included."""
        return len(self._backend.encode(text).ids)

    def split(self, text: str, max_tokens: int, prompt: str = "") -> list[str]:
        """`text` in consecutive pieces of at most `max_tokens` tokens each, prompt and special ones included.

        Raises:
            InvalidInputError: if the prompt leaves no room.
        """
        starts = [start for start, _ in self._backend.encode(text, add_special_tokens=False).offsets]
        return split_by_tokens(text, starts, max_tokens, lambda piece: self.count(prompt + piece))


def _special_tokens(backend: Tokenizer) -> tuple[list[int], list[int]]:
    """The special tokens that go before and after a text's own.

    Raises:
        ValueError: if they are not just put around it, or belong to a segment of their own.
    """
    plain = backend.encode("a b", add_special_tokens=False)
    whole = backend.encode("a b", add_special_tokens=True)
    extra = len(whole.ids) - len(plain.ids)
    for before in range(extra + 1):
        if whole.ids[before : before + len(plain.ids)] == plain.ids and not any(whole.type_ids):
            after = whole.ids[before + len(plain.ids) :]
            bare = backend.encode("", add_special_tokens=True).ids
            if bare == whole.ids[:before] + after:
                return whole.ids[:before], after
    raise ValueError("special tokens are not simply put around a text")
