"""A progress bar, or nothing. tqdm draws it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Told how many more inputs are done."""

    def __call__(self, done: int) -> None:
        """`done` more inputs have their vector, or failed for good."""


def silent(done: int) -> None:
    """Progress that nobody wants to see."""


@contextmanager
def progress_bar(show: bool, total: int | None, label: str) -> Iterator[Progress]:
    """A tqdm bar on standard error for the length of the block; silent unless `show`."""
    if not show:
        yield silent
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=label, unit="item", dynamic_ncols=True) as bar:

        def advance(done: int) -> None:
            bar.update(done)

        yield advance
