"""Running windows one after another, or for a hosted provider several at once, by the engine of their encoder."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass

from llm_multi_core.embedder.encoders import HostedEncoder
from llm_multi_core.embedder.pipeline.call import Call
from llm_multi_core.embedder.pipeline.hosted_engine import HostedRun
from llm_multi_core.embedder.pipeline.local_engine import run_local
from llm_multi_core.embedder.pipeline.pool import pool
from llm_multi_core.embedder.pipeline.provider import providers
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core.embedder.pipeline.window import Window
from llm_multi_core.embedder.rows import Rows

MOST_WINDOWS = 8
"""Windows of a call whose requests are underway at the same time."""


def run_local_windows(windows: Iterator[Window]) -> Iterator[Rows]:
    """The rows of each window, in order, computed in this thread's time."""
    for window in windows:
        yield _run_local(window)


async def arun_local_windows(windows: Iterator[Window]) -> AsyncIterator[Rows]:
    """The same without blocking the caller's loop."""
    while (window := await runtime.in_thread(next, windows, None)) is not None:
        yield await runtime.in_thread(_run_local, window)


def run_hosted_windows(windows: Iterator[Window], call: Call) -> Iterator[Rows]:
    """The rows of each window, in order; the next windows are sent while earlier ones are underway."""
    underway: deque[_Underway] = deque()
    try:
        for window in windows:
            underway.append(_start(window))
            while underway and (_enough(underway) or underway[0].done):
                yield _finish(underway)
        while underway:
            yield _finish(underway)
    except Exception:
        _salvage(underway, call)
        raise
    except BaseException:
        for entry in underway:
            entry.future.cancel()
        raise


async def arun_hosted_windows(windows: Iterator[Window], call: Call) -> AsyncIterator[Rows]:
    """The same without blocking the caller's loop; cancelling it cancels the requests that are underway."""
    underway: deque[_Underway] = deque()
    try:
        while (window := await runtime.in_thread(next, windows, None)) is not None:
            underway.append(_start(window))
            while underway and (_enough(underway) or underway[0].done):
                yield await _afinish(underway)
        while underway:
            yield await _afinish(underway)
    except Exception:
        await runtime.in_thread(_salvage, underway, call)
        raise
    except BaseException:
        for entry in underway:
            entry.future.cancel()
        raise


@dataclass(frozen=True, slots=True)
class _Underway:
    """A window whose requests are being sent."""

    window: Window
    future: Future[None]

    @property
    def done(self) -> bool:
        return self.future.done()


def _run_local(window: Window) -> Rows:
    if window.batches:
        with pool.borrow(window.handle):  # a cancelled call gives its own hold up before this thread is done
            run_local(window, window.encoder)
    return window.close()


def _start(window: Window) -> _Underway:
    encoder = window.handle.encoder()
    if not window.batches:
        done: Future[None] = Future()
        done.set_result(None)
        return _Underway(window, done)
    assert isinstance(encoder, HostedEncoder)  # noqa: S101 - by the choice of this engine
    run = HostedRun(window, encoder, providers.of(window.handle))
    with pool.borrow(window.handle):
        return _Underway(window, runtime.submit_io(_hold(window, run)))


async def _hold(window: Window, run: HostedRun) -> None:
    """Keep the encoder from being closed under its requests."""
    with pool.borrow(window.handle):
        await run.finish()


def _enough(underway: deque[_Underway]) -> bool:
    """Whether so much is underway that another window would only wait."""
    waiting = sum(len(entry.window.batches) for entry in underway if not entry.done)
    return len(underway) >= MOST_WINDOWS or waiting >= 2 * underway[0].window.limits.concurrency


def _finish(underway: deque[_Underway]) -> Rows:
    underway[0].future.result()
    rows = underway[0].window.close()
    underway.popleft()
    return rows


async def _afinish(underway: deque[_Underway]) -> Rows:
    await asyncio.wrap_future(underway[0].future)
    rows = await runtime.in_thread(underway[0].window.close)
    underway.popleft()
    return rows


def _salvage(underway: deque[_Underway], call: Call) -> None:
    """Stop a call that an error ended, and keep what its open windows have; what is on its way is waited for."""
    call.cancelled = True
    wait([entry.future for entry in underway])
    for entry in underway:
        call.salvaged.append(entry.window.close())
    underway.clear()
