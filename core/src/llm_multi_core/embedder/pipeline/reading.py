"""Looking into files and downloads ahead of their turn, several at the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from llm_multi_core.embedder.items import Item
from llm_multi_core.embedder.pipeline.runtime import runtime

_AHEAD = 32
"""References whose files are looked into, or downloaded, at the same time."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An input whose file is being read in a thread."""

    _future: Future[Item]

    def item(self) -> Item:
        """The input, once it was read.

        Raises:
            InvalidInputError: if it cannot be.
        """
        return self._future.result()


def read_ahead(xs: Iterable[Any], read: Callable[[Any], Item], is_reference: Callable[[Any], bool]) -> Iterator[Any]:
    """The inputs in their order, in place of each reference its `Reading`; nothing else is touched.

    Args:
        xs: inputs.
        read: looks into one.
        is_reference: whether that may take its time.
    """
    underway: deque[Reading] = deque()
    try:
        for value in xs:
            if not is_reference(value):
                yield from _drained(underway)
                yield value
                continue
            underway.append(Reading(runtime.submit_decoding(read, value)))
            if len(underway) > _AHEAD:
                yield underway.popleft()
        yield from _drained(underway)
    finally:
        for reading in underway:
            reading._future.cancel()


def _drained(underway: deque[Reading]) -> Iterator[Reading]:
    while underway:
        yield underway.popleft()
