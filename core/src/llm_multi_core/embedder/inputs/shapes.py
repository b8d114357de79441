"""One input or many: refusing what was given in the wrong form, before anything is read or loaded."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping

from llm_multi_core.embedder.errors import InvalidInputError


def require_many(xs: object, what: str, single: bool, asynchronous: bool = False) -> None:
    """Refuse what is no ordered iterable of inputs.

    Args:
        xs: what was given.
        what: what an input is, for messages.
        single: whether it is one input, though it could be iterated over.
        asynchronous: whether an asynchronous iterable is welcome.

    Raises:
        InvalidInputError: saying what to pass instead.
    """
    if single:
        raise InvalidInputError(f"one {what} was given where several are due; use embed, or [x]")
    if isinstance(xs, Mapping | set | frozenset):
        raise InvalidInputError(f"a {type(xs).__name__} has no order of inputs; pass a list")
    if isinstance(xs, AsyncIterable) and not asynchronous:
        raise InvalidInputError(f"only aembed_stream takes an asynchronous iterable, such as {type(xs).__name__}")
    if not isinstance(xs, Iterable | AsyncIterable) or getattr(xs, "ndim", 1) == 0:
        raise InvalidInputError(f"inputs come as a list or another iterable, not as {type(xs).__name__}")
    if hasattr(xs, "itertuples"):  # iterating over a pandas.DataFrame gives the names of its columns
        raise InvalidInputError(f"a {type(xs).__name__} has several columns; pass one of them")


def require_one(x: object, what: str, single: bool) -> None:
    """Refuse a list where one input is due.

    Raises:
        InvalidInputError: saying what to call instead.
    """
    if isinstance(x, list | tuple) and not single:
        raise InvalidInputError(f"a {type(x).__name__} was given where one {what} is due; use embed_batch")
