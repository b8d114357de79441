"""Conditions on metadata, the same for every store: a key has a value, or one of several.

Each store's own language for them is next to its search. This is the language, and what it means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from langchain_core.documents import Document

from llm_multi_core.embedder import InvalidOptionError

Scalar: TypeAlias = str | int | float | bool
Where: TypeAlias = Mapping[str, Scalar | Sequence[Scalar]]
"""By key of the metadata the value, or several of which one has to be there. All keys have to agree."""

Conditions: TypeAlias = dict[str, tuple[Scalar, ...]]

_AT_LEAST = 64
_FACTOR = 4


class Found(NamedTuple):
    """A document that was found, and its cosine with the query; `None` where the store does not tell."""

    document: Document
    score: float | None


def conditions_of(where: Where | None) -> Conditions:
    """Conditions in one form.

    Raises:
        InvalidOptionError: if it is no mapping, a key no string, or a value none that every store can compare.
    """
    if where is None:
        return {}
    if not isinstance(where, Mapping):
        raise InvalidOptionError(f"filter= takes a dict of metadata, such as {{'source': 'a.pdf'}}, not {where!r}")
    return {_key(key): _values(key, value) for key, value in where.items()}


def holds(conditions: Conditions, metadata: Mapping[str, Any]) -> bool:
    """Whether metadata meet conditions; `True` and `1` differ."""
    return all(any(_same(metadata.get(key), value) for value in values) for key, values in conditions.items())


T = TypeVar("T", bound=Found)


def filtered(search: Callable[[int], list[T]], k: int, conditions: Conditions) -> list[T]:
    """The best `k` that meet conditions, of a search that knows no conditions: more and more are asked for.

    Args:
        search: gives the best so many, or all if there are fewer.
        k: results wanted.
        conditions: what their metadata have to meet.
    """
    if not conditions:
        return search(k)
    amount = max(_AT_LEAST, _FACTOR * k)
    while True:
        found = search(amount)
        kept = [each for each in found if holds(conditions, each.document.metadata)]
        if len(kept) >= k or len(found) < amount:
            return kept[:k]
        amount *= _FACTOR


def _key(key: Any) -> str:
    if isinstance(key, str) and key and not key.startswith("$"):
        return key
    raise InvalidOptionError(f"filter= has the names of metadata as keys, not {key!r}")


def _values(key: str, value: Any) -> tuple[Scalar, ...]:
    several = isinstance(value, list | tuple | set | frozenset)
    values = tuple(value) if several else (value,)
    if not values or not all(isinstance(each, str | int | float | bool) for each in values):
        raise InvalidOptionError(
            f"filter={{{key!r}: ...}} takes a string, a number, a truth value or several, not {value!r}"
        )
    return values


def _same(held: Any, wanted: Scalar) -> bool:
    return isinstance(held, bool) == isinstance(wanted, bool) and bool(held == wanted)
