"""One call from beginning to end: its windows in turn, its time, its warning.

What an embedder does with its inputs once they are items, synchronously or not.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from numbers import Integral

from llm_multi_core.embedder.errors import InvalidOptionError, TruncationWarning
from llm_multi_core.embedder.items import Item, Modality, Task
from llm_multi_core.embedder.pipeline.call import Call, OnError, Portion, TruncationPolicy
from llm_multi_core.embedder.pipeline.pool import pool
from llm_multi_core.embedder.pipeline.progress import progress_bar
from llm_multi_core.embedder.pipeline.report import Report
from llm_multi_core.embedder.pipeline.resolution import Resolved, effective_task
from llm_multi_core.embedder.pipeline.telemetry import call_span
from llm_multi_core.embedder.pipeline.window import Window
from llm_multi_core.embedder.rows import Rows
from llm_multi_core.embedder.settings import EmbedderSettings

DEFAULT_WINDOW = 4096
"""Inputs that are de-duplicated, sorted and batched together. Bounds the memory of long calls."""

_OWN_MODULES = ("llm_multi_core", "langchain_llm_multi_core", "llama_index.embeddings.llm_multi_core")
"""Plugins and adapters included: a warning belongs to the line that called into any of them."""


@contextmanager
def open_call(
    resolved: Resolved,
    settings: EmbedderSettings,
    modality: Modality,
    *,
    role: str | None,
    instruction: str | None,
    on_error: OnError = "raise",
    total: int | None = None,
    show_progress: bool = False,
    portion: Portion | None = None,
) -> Iterator[Call]:
    """The state of one call. Takes its time, and stops what still runs when the block is left.

    Raises:
        InvalidOptionError: for a role, instruction or `on_error` that does not exist here.
    """
    if on_error not in ("raise", "collect"):  # no set, since it may not be hashable
        raise InvalidOptionError(f"on_error={on_error!r} is neither 'raise' nor 'collect'")
    started = time.perf_counter()
    spec, hosted = settings.offer.spec, resolved.handle.hosted
    report = Report(cost=0.0 if hosted else None)
    bar = progress_bar(show_progress, total, f"{spec.name} {modality}", report if hosted else None)
    span = call_span(spec.name, settings.model, resolved.space, resolved.description.limits.unit, report)
    with bar as progress, pool.borrow(resolved.handle), span as trace:
        call = Call(
            task=effective_task(Task.of(role, instruction), resolved.description, settings),
            dimension=resolved.cut,
            normalize=settings.normalize,
            truncation=settings.truncation,
            on_error=on_error,
            batch_size=settings.batch_size,
            total=total,
            cache=settings.cache,
            report=report,
            progress=progress,
            trace=trace,
            portion=portion,
        )
        if portion is not None:
            portion.group.add(call)
        try:
            yield call
        finally:
            call.end()
            call.report.seconds = time.perf_counter() - started
            call.report.failures.sort(key=lambda failure: failure.index)
            call.report.truncations.sort(key=lambda truncation: truncation.index)


def check_window(size: object) -> None:
    """Refuse what is no size of a window.

    Raises:
        InvalidOptionError: if it is not a positive whole number.
    """
    if not isinstance(size, Integral) or isinstance(size, bool) or size < 1:
        raise InvalidOptionError(f"window={size!r} is not a positive whole number of inputs")


def open_windows(
    resolved: Resolved, call: Call, items: Iterable[Item | None], size: int | None = None
) -> Iterator[Window]:
    """Windows of `size` inputs, the last smaller; a group is never cut in two.

    Groups are for encoders that embed in context. For others they mean nothing, and hold nothing together.
    Without a size it is the default one; where the number of inputs of a hosted call is known, a smaller one,
    so that its windows are equal: the requests of all of them are underway together.
    """
    if size is None:
        size = DEFAULT_WINDOW
        if resolved.handle.hosted and call.total:
            size = -(-call.total // -(-call.total // DEFAULT_WINDOW))
    if not resolved.description.contextual:
        items = map(_without_group, items)
    buffer: list[Item | None] = []
    for item in items:
        if len(buffer) >= size and not _same_group(buffer[-1], item):
            yield _open_window(resolved, call, buffer)
            buffer = []
        buffer.append(item)
    if buffer:
        yield _open_window(resolved, call, buffer)


def run_windows(
    resolved: Resolved, call: Call, items: Iterable[Item | None], size: int | None = None
) -> Iterator[Rows]:
    """The rows of each window, in order."""
    from llm_multi_core.embedder.pipeline.engines import run_hosted_windows, run_local_windows

    windows = open_windows(resolved, call, items, size)
    return run_hosted_windows(windows, call) if resolved.handle.hosted else run_local_windows(windows)


def arun_windows(
    resolved: Resolved, call: Call, items: Iterable[Item | None], size: int | None = None
) -> AsyncIterator[Rows]:
    """The rows of each window, in order, without blocking the caller's loop."""
    from llm_multi_core.embedder.pipeline.engines import arun_hosted_windows, arun_local_windows

    windows = open_windows(resolved, call, items, size)
    return arun_hosted_windows(windows, call) if resolved.handle.hosted else arun_local_windows(windows)


def warn_of_truncation(resolved: Resolved, policy: TruncationPolicy, report: Report) -> None:
    """Warn of the inputs that were cut, at the line outside the library that asked for them."""
    truncations, limits = report.truncations, resolved.description.limits
    if not truncations or policy != "warn":
        return
    longest = max((entry.units or 0 for entry in truncations), default=0)
    detail = f"; the longest has {longest}" if longest else ""
    message = (
        f"{len(truncations)} of {report.items} inputs were cut to the {limits.units_per_item} {limits.unit}s that "
        f"{resolved.handle.name} takes (first at input {truncations[0].index}{detail}). Split them into shorter "
        "pieces, or choose truncation='mean', 'error' or 'truncate'."
    )
    warnings.warn(message, TruncationWarning, stacklevel=_callers_level())


def _open_window(resolved: Resolved, call: Call, items: list[Item | None]) -> Window:
    with pool.borrow(resolved.handle):  # a cancelled call gives its own hold up before this thread is done
        return Window(resolved.handle, call, items, call.report.items)


def _without_group(item: Item | None) -> Item | None:
    return item if item is None or item.group is None else replace(item, group=None)


def _same_group(before: Item | None, item: Item | None) -> bool:
    return before is not None and item is not None and item.group is not None and item.group == before.group


def _callers_level() -> int:
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_OWN_MODULES):
        frame, level = frame.f_back, level + 1
    return level
