"""Running windows one after another, or for a hosted provider several at once, by the engine of their encoder."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
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
    changed = threading.Event()
    line = _Line(windows, call, changed.set)
    try:
        while line.goes_on:
            if line.wants_more:
                line.open()
            if line.ready:
                yield line.take()
            elif line.waits:
                changed.wait()
                changed.clear()
    except Exception:
        line.stop()
        wait(line.futures)
        line.salvage()
        raise


async def arun_hosted_windows(windows: Iterator[Window], call: Call) -> AsyncIterator[Rows]:
    """The same without blocking the caller's loop."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        if not loop.is_closed():  # what was cancelled may end later than its caller's loop
            loop.call_soon_threadsafe(changed.set)

    line = _Line(windows, call, tell)
    try:
        while line.goes_on:
            if line.wants_more:
                await runtime.in_thread(line.open)
            if line.ready:
                yield await runtime.in_thread(line.take)
            elif line.waits:
                await changed.wait()
                changed.clear()
    except Exception:
        line.stop()
        await asyncio.gather(*map(asyncio.wrap_future, line.futures), return_exceptions=True)
        await runtime.in_thread(line.salvage)
        raise


@dataclass(frozen=True, slots=True)
class _Underway:
    """A window whose requests are being sent; without a run, if it needs none."""

    window: Window
    run: HostedRun | None
    future: Future[None]

    @property
    def left(self) -> int:
        """Batches that are not done yet."""
        return 0 if self.run is None or self.future.done() else self.run.left

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        return self.future.done() and not self.future.cancelled() and self.future.exception() is not None


class _Line:
    """The windows of a call that are underway, the oldest first.

    Args:
        windows: where they come from. An error in opening one ends the call at once if its vectors are
            salvaged; otherwise, as in a stream, only after the windows before it.
        call: the call.
        told: called, on the I/O loop, when a window is done, or so many batches that another may be opened.
    """

    def __init__(self, windows: Iterator[Window], call: Call, told: Callable[[], None]) -> None:
        self._windows: Iterator[Window] | None = windows
        self._call, self._told = call, told
        self._entries: deque[_Underway] = deque()
        self._error: Exception | None = None

    @property
    def goes_on(self) -> bool:
        """Whether there is anything left to do.

        Raises:
            Exception: what kept the last window from being opened, once all before it are done.
        """
        if self._error is not None and not self._entries:
            raise self._error
        return bool(self._entries) or self._windows is not None

    @property
    def wants_more(self) -> bool:
        """Whether so little is underway that some of the places for requests would soon be free."""
        entries = tuple(self._entries)  # at one moment: this is asked on the I/O loop as well
        if self._windows is None or not entries:
            return self._windows is not None
        left = sum(entry.left for entry in entries)
        return len(entries) < MOST_WINDOWS and left < 2 * entries[0].window.limits.concurrency

    @property
    def ready(self) -> bool:
        """Whether there is something to take."""
        return bool(self._entries) and (self._entries[0].future.done() or self._failed is not None)

    @property
    def waits(self) -> bool:
        """Whether nothing can be done until something is told."""
        return bool(self._entries) and not self.wants_more

    @property
    def futures(self) -> list[Future[None]]:
        """Those of all windows underway."""
        return [entry.future for entry in self._entries]

    def open(self) -> None:
        """Open the next window, if there is one, and start sending its requests."""
        assert self._windows is not None  # noqa: S101 - by `wants_more`
        try:
            window = next(self._windows, None)
        except Exception as error:
            if self._call.salvages:
                raise
            self._error, window = error, None
        if window is None:
            self._windows = None
        else:
            self._entries.append(self._start(window))

    @property
    def _failed(self) -> _Underway | None:
        """A window that ends the call by its error; without salvage the windows before it come first."""
        return next((entry for entry in self._entries if entry.failed), None) if self._call.salvages else None

    def take(self) -> Rows:
        """The rows of the oldest window, which is done.

        Raises:
            Exception: what ends the call.
        """
        (self._failed or self._entries[0]).future.result()
        rows = self._entries[0].window.close()
        self._entries.popleft()
        return rows

    def stop(self) -> None:
        """Send nothing any more; what is on its way goes on."""
        self._call.stop()

    def salvage(self) -> None:
        """Keep what the windows have, of which nothing is underway any more."""
        self._call.salvaged = [entry.window.close() for entry in self._entries]
        self._entries.clear()

    def _batch_done(self) -> None:
        if self._windows is not None and self.wants_more:
            self._told()

    def _start(self, window: Window) -> _Underway:
        encoder = window.handle.encoder()
        if not window.batches:
            done: Future[None] = Future()
            done.set_result(None)
            return _Underway(window, None, done)
        assert isinstance(encoder, HostedEncoder)  # noqa: S101 - by the choice of this engine
        run = HostedRun(window, encoder, providers.of(window.handle), self._batch_done)
        with pool.borrow(window.handle):
            future = runtime.submit_io(_hold(window, run))
        future.add_done_callback(lambda _: self._told())
        return _Underway(window, run, future)


def _run_local(window: Window) -> Rows:
    if window.batches:
        with pool.borrow(window.handle):  # a cancelled call gives its own hold up before this thread is done
            run_local(window, window.encoder)
    return window.close()


async def _hold(window: Window, run: HostedRun) -> None:
    """Keep the encoder from being closed under its requests."""
    with pool.borrow(window.handle):
        await run.finish()
