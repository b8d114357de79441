"""Waits on an event loop that all end at once, when what is waited for is wanted no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class WaitEndedError(Exception):
    """A wait was ended before its time."""


class Waits:
    """Waits that can be ended together, after which none begins.

    Args:
        unwanted: whether none is to begin, for another reason; asked at the beginning of each.
    """

    def __init__(self, unwanted: Callable[[], bool]) -> None:
        self._unwanted = unwanted
        self._ended = False
        self._open: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Around a wait.

        Raises:
            WaitEndedError: when it is ended, or is not to begin.
        """
        if self._ended or self._unwanted():
            raise WaitEndedError
        wait = asyncio.timeout(None)
        try:
            async with wait:
                self._open.add(wait)
                try:
                    yield
                finally:
                    self._open.discard(wait)
        except TimeoutError:
            if wait.expired():
                raise WaitEndedError from None
            raise

    def end(self) -> None:
        """End all of them. On their loop."""
        self._ended = True
        while self._open:
            self._open.pop().reschedule(asyncio.get_running_loop().time())
