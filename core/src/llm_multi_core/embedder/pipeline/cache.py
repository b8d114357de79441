"""Caches of vectors, keyed by everything that can change one.

A key covers the encoder id, the task, the content digest and how an over-long input was treated. So
one cache serves any number of embedders, models and roles without mixing them.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Protocol, runtime_checkable

import numpy as np

from llm_multi_core.embedder.errors import InvalidOptionError
from llm_multi_core.embedder.items import Item, Task
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core.embedder.rows import Rows
from llm_multi_core.embedder.spaces import Space


@runtime_checkable
class VectorCache(Protocol):
    """Where vectors are kept between calls. Must be safe to use from several threads.

    What it raises ends the call, as it is. Rows of the wrong form, or with a vector that is zero or
    not finite, count as not found.
    """

    def get_many(self, keys: Sequence[bytes]) -> Sequence[Rows | None]:
        """For each key its rows (of length 1), or `None`."""

    def set_many(self, entries: Mapping[bytes, Rows]) -> None:
        """Keep rows (each of length 1) under their keys."""


class MemoryCache:
    """A cache in this process that drops the least recently used vectors.

    Pickling gives an empty cache of the same size.

    Args:
        max_bytes: bound on the vectors held.

    Raises:
        InvalidOptionError: if `max_bytes` is negative.
    """

    def __init__(self, max_bytes: int = 256 * 1024 * 1024) -> None:
        if max_bytes < 0:
            raise InvalidOptionError(f"max_bytes={max_bytes} is negative")
        self.max_bytes = max_bytes
        self._entries: OrderedDict[bytes, Rows] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        _caches.add(self)

    def __len__(self) -> int:
        return len(self._entries)

    def get_many(self, keys: Sequence[bytes]) -> list[Rows | None]:
        """For each key its rows, or `None`."""
        with self._lock:
            found = [self._entries.get(key) for key in keys]
            for key, rows in zip(keys, found, strict=True):
                if rows is not None:
                    self._entries.move_to_end(key)
            return found

    def set_many(self, entries: Mapping[bytes, Rows]) -> None:
        """Keep rows under their keys, dropping the oldest ones beyond `max_bytes`."""
        with self._lock:
            for key, rows in entries.items():
                old = self._entries.pop(key, None)
                self._bytes += rows.nbytes - (old.nbytes if old is not None else 0)
                self._entries[key] = rows
            while self._bytes > self.max_bytes:
                self._bytes -= self._entries.popitem(last=False)[1].nbytes

    def __reduce__(self) -> tuple[type[MemoryCache], tuple[int]]:
        return MemoryCache, (self.max_bytes,)


def look_up(cache: VectorCache, keys: Sequence[bytes], space: Space) -> list[Rows | None]:
    """For each key what the cache has; rows that cannot be an encoder's of `space` are as good as none.

    Raises:
        InvalidOptionError: if the cache does not do what a cache does.
    """
    answers, name = list(cache.get_many(keys)), type(cache).__name__
    if len(answers) != len(keys):
        raise InvalidOptionError(f"cache {name} gave {len(answers)} answers for {len(keys)} keys")
    for rows in answers:
        if rows is not None and not isinstance(rows, Rows):
            raise InvalidOptionError(f"cache {name} gave {type(rows).__name__}, not Rows")
    fitting = [
        place for place, rows in enumerate(answers) if rows is not None and rows.fits(1, space.dimension, space.output)
    ]
    found: list[Rows | None] = [None] * len(answers)
    if fitting:
        joined = Rows.concat([rows for place in fitting if (rows := answers[place]) is not None])
        sound = joined.check(len(fitting), space.dimension, space.output) & joined.nonzero()
        for place in (fitting[position] for position in np.flatnonzero(sound)):
            found[place] = answers[place]
    return found


class CacheKeys:
    """Makes the keys of one encoder and task.

    Args:
        encoder_id: the encoder's identity.
        task: the task, after roles that the encoder does not distinguish were folded.
    """

    def __init__(self, encoder_id: str, task: Task) -> None:
        self._base = blake2b(f"{encoder_id}\0{task.role}\0{task.instruction or ''}\0".encode(), digest_size=20)

    def key(self, item: Item, treatment: str = "whole") -> bytes:
        """The key of an item; `treatment` is `"whole"`, `"truncated"` or `"mean"`."""
        state = self._base.copy()
        state.update(treatment.encode())
        state.update(item.digest)
        return state.digest()


class EntryCache:
    """A cache as one encoder and task use it, by items instead of keys.

    Args:
        cache: the user's.
        keys: of the encoder and task.
        space: where the encoder's vectors lie.
    """

    def __init__(self, cache: VectorCache, keys: CacheKeys, space: Space) -> None:
        self._cache, self._keys, self._space = cache, keys, space

    def find(self, items: Mapping[int, Item], treatment: str) -> dict[int, Rows]:
        """The rows of those items, by number, that it has under a treatment."""
        found = look_up(self._cache, [self._keys.key(item, treatment) for item in items.values()], self._space)
        return {number: rows for number, rows in zip(items, found, strict=True) if rows is not None}

    def keep(self, rows: Iterable[tuple[Item, str, Rows]]) -> None:
        """Keep the row of each item with the treatment that it had."""
        entries = {self._keys.key(item, treatment): row for item, treatment, row in rows}
        if entries:
            self._cache.set_many(entries)


_caches: weakref.WeakSet[MemoryCache] = weakref.WeakSet()


def _after_fork() -> None:
    # Another thread of the parent may have held a lock; it does not exist in the child.
    for cache in _caches:
        cache._lock = threading.Lock()


runtime.on_fork(_after_fork)
