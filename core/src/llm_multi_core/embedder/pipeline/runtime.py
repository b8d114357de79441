"""The threads of this process: one that runs local models, one loop for hosted I/O, some for calls.

There is one `Runtime` per process. After a fork the child starts with fresh locks and no threads,
since neither survives one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future, ThreadPoolExecutor

P = ParamSpec("P")
T = TypeVar("T")

MAX_ASYNC_CALLS = 32
"""Asynchronous calls that may prepare their inputs at the same time; more wait in line."""


class Runtime:
    """Owns the threads; each is started when it is first needed."""

    def __init__(self) -> None:
        self._fork_listeners: list[Callable[[], None]] = []
        self._lock: threading.RLock
        self._model_thread: ThreadPoolExecutor | None
        self._call_threads: ThreadPoolExecutor | None
        self._decoders: ThreadPoolExecutor | None
        self._loop: asyncio.AbstractEventLoop | None
        self._start_afresh()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork_in_child)

    def on_fork(self, listener: Callable[[], None]) -> None:
        """Call `listener` in every forked child, after this runtime was reset."""
        self._fork_listeners.append(listener)

    def submit_model(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run on the one thread that runs local models.

        One thread, so that models do not compete for the cores, and so that the thread team that an
        OpenMP runtime keeps per calling thread exists once.
        """
        with self._lock:
            if self._model_thread is None:
                self._model_thread = self._pool(1, "llm-multi-core-model")
            pool = self._model_thread
        return pool.submit(function, *args, **kwargs)

    def submit_decoding(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run on one of the threads that decode media, about one a core."""
        with self._lock:
            if self._decoders is None:
                self._decoders = self._pool(_usable_cores(), "llm-multi-core-decode")
            pool = self._decoders
        return pool.submit(function, *args, **kwargs)

    async def in_thread(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run blocking work for an asynchronous call without blocking its loop."""
        import asyncio
        import contextvars
        import functools

        with self._lock:
            if self._call_threads is None:
                self._call_threads = self._pool(MAX_ASYNC_CALLS, "llm-multi-core-call")
            pool = self._call_threads
        work = functools.partial(contextvars.copy_context().run, functools.partial(function, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    def submit_io(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the one background loop, where all hosted clients live."""
        import asyncio

        return asyncio.run_coroutine_threadsafe(coroutine, self._background_loop())

    def _background_loop(self) -> asyncio.AbstractEventLoop:
        import asyncio

        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                thread = threading.Thread(target=self._loop.run_forever, name="llm-multi-core-io", daemon=True)
                thread.start()
            return self._loop

    @staticmethod
    def _pool(size: int, name: str) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(max_workers=size, thread_name_prefix=name)

    def _start_afresh(self) -> None:
        self._lock = threading.RLock()  # the garbage collector may close an encoder while it is held
        self._model_thread = None
        self._call_threads = None
        self._decoders = None
        self._loop = None

    def _after_fork_in_child(self) -> None:
        self._start_afresh()
        for listener in self._fork_listeners:
            listener()


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


runtime = Runtime()
"""The runtime of this process."""
