"""Cutting an over-long text into pieces that fit. Pure functions over a way to count tokens."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from llm_multi_core.embedder import InvalidInputError


def split_by_tokens(text: str, starts: Sequence[int], max_tokens: int, count: Callable[[str], int]) -> list[str]:
    """`text` in consecutive pieces of at most `max_tokens` each; joined they give it again.

    Pieces end at white space where there is some in their second half, else between two tokens.

    Args:
        text: what is too long.
        starts: at which character each of its tokens begins, rising.
        max_tokens: the longest piece, as `count` counts.
        count: tokens of a piece with everything that is put around it.

    Raises:
        InvalidInputError: if not even one character fits beside what is put around it.
    """
    room = max_tokens - count("")
    pieces: list[str] = []
    begin = 0
    while begin < len(text):
        end = _fitting_end(text, begin, starts, room, max_tokens, count)
        if end <= begin:  # what is one token in the text is several by itself
            return [*pieces, *split_in_halves(text[begin:], max_tokens, count)]
        pieces.append(text[begin:end])
        begin = end
    return pieces or [text]


def split_in_halves(text: str, max_tokens: int, count: Callable[[str], int]) -> list[str]:
    """Like `split_by_tokens`, for a tokenizer that does not say where its tokens begin.

    The pieces are between a quarter and all of the length that fits.

    Raises:
        InvalidInputError: if not even one character fits beside what is put around it.
    """
    if count(text) <= max_tokens:
        return [text]
    if len(text) < 2:
        raise _no_room(max_tokens)
    middle = _after_white_space(text, len(text) // 4, len(text) // 2)
    return [*split_in_halves(text[:middle], max_tokens, count), *split_in_halves(text[middle:], max_tokens, count)]


def _fitting_end(
    text: str, begin: int, starts: Sequence[int], room: int, max_tokens: int, count: Callable[[str], int]
) -> int:
    """Where the longest piece from `begin` on ends; `begin` if none fits."""
    first = bisect_left(starts, begin)
    tokens = min(room, len(starts) - first)
    if first + tokens >= len(starts) and count(text[begin:]) <= max_tokens:
        return len(text)
    while tokens > 0:
        # A piece alone may have more tokens than it had within the text, so the count decides.
        cut = starts[first + tokens] if first + tokens < len(starts) else len(text)
        end = _after_white_space(text, starts[first + tokens // 2], cut)
        excess = count(text[begin:end]) - max_tokens
        if end > begin and excess <= 0:
            return end
        tokens -= max(1, excess)
    return begin


def _after_white_space(text: str, lowest: int, highest: int) -> int:
    """The last position up to `highest` that follows white space and lies above `lowest`; else `highest`."""
    return next((end for end in range(highest, lowest, -1) if text[end - 1].isspace()), highest)


def _no_room(max_tokens: int) -> InvalidInputError:
    return InvalidInputError(
        f"nothing of the text fits into {max_tokens} tokens beside the prompt and the special tokens"
    )
