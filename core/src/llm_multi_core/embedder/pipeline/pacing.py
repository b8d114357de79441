"""How fast requests may go to a provider: limits a minute, concurrency, and pauses that it asks for.

Each limit is a token bucket that holds a minute's worth. It follows what the provider says of its own
state, and where a provider refuses all the same, it becomes more careful: first about bursts, then
about the rate. Knows time and numbers, no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self

from llm_multi_core.embedder.encoders import Limits, Pace
from llm_multi_core.embedder.pipeline.rate_store import MemoryStore, RateStore

MINUTE = 60.0
_SLOWER, _LOWEST_SHARE = 0.8, 0.05
"""After a refusal the rate falls by the first factor, never below the second share of the limit."""
_FASTER = 0.01
"""By this share of the limit the rate rises again with each request that is accepted."""
_LESS_BURST = 0.5
_LONGEST_NAP = 1.0
"""Seconds after which a wait is thought over again, since a reply may have brought news."""


@dataclass(slots=True)
class Bucket:
    """A limit a minute.

    Attributes:
        limit: how much a minute; `None` for no limit.
        level: what may be spent at once; below zero after something larger than the bucket.
        burst: the share of a minute's worth that the bucket holds.
        share: the share of the limit that is used, lower after refusals.
        updated: when `level` was true.
    """

    limit: float | None
    level: float = 0.0
    burst: float = 1.0
    share: float = 1.0
    updated: float | None = None

    def refill(self, now: float) -> None:
        """Let time pass until `now`."""
        if self.limit is None:
            return
        if self.updated is None:
            self.level = self.limit * self.burst
        else:
            gained = max(0.0, now - self.updated) * self.limit * self.share / MINUTE
            self.level = min(self.limit * self.burst, self.level + gained)
        self.updated = now

    def wait(self, amount: float) -> float:
        """Seconds until `amount` may be spent; what is larger than the bucket waits until it is full."""
        if self.limit is None:
            return 0.0
        missing = min(amount, self.limit * self.burst) - self.level
        return max(0.0, missing / (self.limit * self.share / MINUTE))

    def spend(self, amount: float) -> None:
        """Take `amount` out; a negative one gives back."""
        if self.limit is not None:
            self.level -= amount

    def learn(self, limit: int | None, left: int | None, pinned: bool) -> None:
        """Follow what the provider says: its limit, unless the user pinned another, and what is left of it."""
        if limit is not None and limit > 0 and not pinned and limit != self.limit:
            self.level += limit - (self.limit or 0.0) if self.updated is not None else 0.0
            self.limit = float(limit)
        if left is not None and self.limit is not None:
            self.level = min(self.level, float(left))

    def refused(self, amount: float, told_when: bool) -> None:
        """Become more careful after a refusal of `amount`; empty, unless the provider has told when to go on."""
        if self.limit is None:
            return
        if not told_when:
            self.level = min(self.level, 0.0)
        smallest = min(1.0, amount / self.limit)
        if self.burst > smallest:
            self.burst = max(smallest, self.burst * _LESS_BURST)
        else:
            self.share = max(_LOWEST_SHARE, self.share * _SLOWER)

    def accepted(self) -> None:
        """Become a little faster again."""
        self.share = min(1.0, self.share + _FASTER)


@dataclass(slots=True)
class PaceState:
    """All that processes share of a provider's pace: its two buckets, and until when nothing is sent."""

    requests: Bucket
    units: Bucket
    resume: float = 0.0

    def reserve(self, units: float, now: float) -> float:
        """Take a request of `units` out of both buckets and return 0, or the seconds to wait first."""
        self.requests.refill(now)
        self.units.refill(now)
        wait = max(self.resume - now, self.requests.wait(1), self.units.wait(units))
        if wait <= 0:
            self.requests.spend(1)
            self.units.spend(units)
        return max(0.0, wait)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for a store."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """From `to_dict`'s data."""
        return cls(Bucket(**data["requests"]), Bucket(**data["units"]), data["resume"])


class Concurrency:
    """A bound on the requests at the same time, which adapts: fewer after refusals, slowly more again."""

    def __init__(self, most: int) -> None:
        self._most = self._allowed = float(max(1, most))
        self._running = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """One of the places."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._running < int(self._allowed))
            self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            async with self._changed:
                self._changed.notify()

    def refused(self) -> None:
        """Allow half as many."""
        self._allowed = max(1.0, self._allowed / 2)

    def accepted(self) -> None:
        """Allow one more after as many accepted requests as run at a time."""
        self._allowed = min(self._most, self._allowed + 1 / self._allowed)


class Pacer:
    """Holds requests back until they may go. Lives on the I/O loop.

    Args:
        limits: the encoder's limits.
        pinned: names of the limits that the user set, which replies do not change.
        store: where the state lies; by default in this process.
    """

    def __init__(self, limits: Limits, pinned: frozenset[str] = frozenset(), store: RateStore | None = None) -> None:
        self._pinned = pinned
        self._store = store or MemoryStore()
        self._fresh = PaceState(Bucket(limits.requests_per_minute), Bucket(limits.units_per_minute))
        self._turn = asyncio.Lock()
        self.concurrency = Concurrency(limits.concurrency)

    async def wait(self, units: float, until: float, told: Callable[[float], None]) -> bool:
        """Wait for a request of `units` to be allowed, in the order of asking.

        Args:
            units: its size.
            until: the loop's time at which waiting is given up.
            told: called with the seconds of each nap.

        Returns:
            whether it may go.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            while True:
                delay = await self._store.change(self._fresh, lambda state, now: state.reserve(units, now))
                if delay <= 0:
                    return True
                if loop.time() + delay > until:
                    return False
                nap = min(delay, _LONGEST_NAP)
                told(nap)
                await asyncio.sleep(nap)

    async def settle(self, reserved: float, used: float | None, pace: Pace | None) -> None:
        """After a reply: give back what was reserved and not used, and follow the provider's own state."""

        def change(state: PaceState, now: float) -> float:
            if used is not None:
                state.units.spend(used - reserved)
            if pace is not None:
                state.requests.learn(
                    pace.requests_per_minute, pace.requests_left, "requests_per_minute" in self._pinned
                )
                state.units.learn(pace.units_per_minute, pace.units_left, "units_per_minute" in self._pinned)
            state.requests.accepted()
            state.units.accepted()
            return 0.0

        self.concurrency.accepted()
        await self._store.change(self._fresh, change)

    async def refused(self, units: float, after: float | None) -> None:
        """After a refusal for its rate: wait as long as asked, and go on more carefully."""

        def change(state: PaceState, now: float) -> float:
            state.requests.refused(1, after is not None)
            state.units.refused(units, after is not None)
            state.resume = max(state.resume, now + (after or 0.0))
            return 0.0

        if after is None:
            self.concurrency.refused()
        await self._store.change(self._fresh, change)
