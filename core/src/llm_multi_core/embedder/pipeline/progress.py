"""A progress bar, or nothing. tqdm draws it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from llm_multi_core.embedder.pipeline.report import Report


class Progress(Protocol):
    """Told how many more inputs are done."""

    def __call__(self, done: int) -> None:
        """`done` more inputs have their vector, or failed for good."""


def silent(done: int) -> None:
    """Progress that nobody wants to see."""


@contextmanager
def progress_bar(show: bool, total: int | None, label: str, hosted: Report | None = None) -> Iterator[Progress]:
    """A tqdm bar on standard error for the length of the block; silent unless `show`.

    For a hosted call its report is shown beside the bar: requests, units, waiting, cost.
    """
    if not show:
        yield silent
        return
    from tqdm.auto import tqdm

    lock = threading.Lock()  # windows are opened in one thread and filled in another
    with tqdm(total=total, desc=label, unit="item", dynamic_ncols=True) as bar:

        def advance(done: int) -> None:
            with lock:
                if hosted is not None:
                    bar.set_postfix_str(_standing(hosted), refresh=not done)
                bar.update(done)

        yield advance


def _standing(report: Report) -> str:
    """Where a hosted call stands, in a few words."""
    parts = [f"{report.requests} requests", f"{report.billed_units or report.units:,} units"]
    if report.retries:
        parts.append(f"{report.retries} retries")
    if report.waited:
        parts.append(f"held back {report.waited:.0f} s by limits")
    if report.cost:
        parts.append(f"${report.cost:.4f}")
    return ", ".join(parts)
