"""From arrays to the lists of Python floats that LangChain and its stores expect."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

VALUES_AT_ONCE = 16_384
"""Numbers converted in one go, less than a millisecond's work. `tolist` never lets go of the GIL, so a
large array converted at once would hold up every other thread and task."""


def to_lists(vectors: npt.NDArray[np.float32]) -> list[list[float]]:
    """The rows of `(n, d)` as lists of Python floats."""
    rows: list[list[float]] = []
    for block in _blocks(vectors):
        rows += block
    return rows


async def ato_lists(vectors: npt.NDArray[np.float32]) -> list[list[float]]:
    """`to_lists`, with the loop's other tasks taking turns."""
    rows: list[list[float]] = []
    for block in _blocks(vectors):
        rows += block
        await asyncio.sleep(0)
    return rows


def _blocks(vectors: npt.NDArray[np.float32]) -> Iterator[list[list[float]]]:
    count, dimension = vectors.shape
    step = max(1, VALUES_AT_ONCE // max(1, dimension))
    for start in range(0, count, step):
        yield vectors[start : start + step].tolist()
