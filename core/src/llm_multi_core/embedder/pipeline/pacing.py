"""How fast requests may go to a provider: limits a minute, concurrency, and pauses that it asks for.

Each limit is a token bucket that holds a minute's worth. It follows what the provider says of its own
state, and where a provider refuses all the same, it becomes more careful: first about bursts, then
about the rate. Knows time and numbers, no HTTP.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

from llm_multi_core.embedder.encoders import Limits, Pace
from llm_multi_core.embedder.pipeline.rate_store import MemoryStore, RateStore

MINUTE = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0
"""Seconds of the first pause where a provider does not say how long, doubled each time up to the second figure."""
_SLOWER, _LOWEST_SHARE = 0.8, 0.05
"""After a refusal the rate falls by the first factor, never below the second share of the limit."""
_FASTER = 0.01
"""By this share of the limit the rate rises again with each request that is accepted."""
_LESS_BURST = 0.5
_ROUNDING = 1e-6
"""Less than that is not waited for: it may be what rounding left of nothing."""
_LONGEST_NAP = 1.0
"""Seconds after which a wait is thought over again, since a reply may have brought news."""
_LEARNED = 0.25
"""With this weight a reply's count of units changes what an estimate is taken to be worth."""
_LEAST_WORTH, _MOST_WORTH = 0.1, 4.0
_LONGEST_STANDSTILL = 3600.0
"""For at most so many seconds nothing is sent, whatever a provider, or a wrong clock, asks for; then one request is."""


def growing_pause(attempt: int) -> float:
    """Seconds before the next attempt after the `attempt`-th one, jittered by up to a half."""
    pause: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt - 1, 16))
    return pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


class Turn(NamedTuple):
    """A request's turn.

    Attributes:
        delay: seconds until it comes; 0 if the request may go.
        time: now, by the clock of the store.
        units: its size by the encoder's measure.
        reserved: what was taken out of the bucket of units for it.
    """

    delay: float
    time: float
    units: float
    reserved: float


NO_TURN = Turn(0.0, 0.0, 0.0, 0.0)
"""Of a request that has not been sent."""


class Refusal(NamedTuple):
    """What follows from a refusal.

    Attributes:
        pause: seconds until the next attempt.
        too_large: whether the request exceeds what a minute allows.
        fewer: whether fewer requests should run at the same time, since nothing else would hold them back.
    """

    pause: float
    too_large: bool
    fewer: bool


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
        return missing / (self.limit * self.share / MINUTE) if missing > _ROUNDING else 0.0

    def spend(self, amount: float) -> None:
        """Take `amount` out; a negative one gives back."""
        if self.limit is not None:
            self.level -= amount

    def learn(self, limit: int | None, left: int | None, pinned: bool, now: float) -> None:
        """Follow what the provider says: its limit, unless the user pinned another, and what is left of it."""
        self.refill(now)
        if limit is not None and limit > 0 and not pinned and limit != self.limit:
            self.level = limit * self.burst if self.limit is None else self.level + limit - self.limit
            self.limit, self.updated = float(limit), now
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
    """All that processes share of a provider's pace.

    Attributes:
        requests, units: the two buckets.
        resume: until when nothing is sent.
        refusals: how often requests were refused, less how often they were accepted since; never below zero.
        careful_since: when it last became more careful. What was sent before is no news when it is refused.
        worth: units that the provider counts for one that the encoder measures, which may be an estimate.
    """

    requests: Bucket
    units: Bucket
    resume: float = 0.0
    refusals: int = 0
    careful_since: float = 0.0
    worth: float = 1.0

    def reserve(self, units: float, now: float) -> Turn:
        """Take a request of `units` out of both buckets, if it may go at once; else how long to wait first."""
        self.requests.refill(now)
        self.units.refill(now)
        reserved = units * self.worth
        delay = max(0.0, self.resume - now, self.requests.wait(1), self.units.wait(reserved))
        if not delay:
            self.requests.spend(1)
            self.units.spend(reserved)
        return Turn(delay, now, units, reserved)

    def learn(self, pace: Pace | None, pinned: frozenset[str], now: float) -> None:
        """Follow what the provider says of its limits, but for those that the user `pinned`."""
        if pace is None:
            return
        self.requests.learn(pace.requests_per_minute, pace.requests_left, "requests_per_minute" in pinned, now)
        self.units.learn(pace.units_per_minute, pace.units_left, "units_per_minute" in pinned, now)

    def accepted(self, turn: Turn, used: float | None, counted: bool = False) -> None:
        """After a reply: give back what was reserved and not used, and become a little faster.

        What was used beyond it is taken out, unless it is `counted`, as in what the provider says is left.
        """
        if used is not None and turn.units > 0:
            more = used - turn.reserved
            self.units.spend(min(more, 0.0) if counted else more)
            worth = min(_MOST_WORTH, max(_LEAST_WORTH, used / turn.units))
            self.worth += _LEARNED * (worth - self.worth)
        self.refusals = max(0, self.refusals - 1)
        self.requests.accepted()
        self.units.accepted()

    def refused(self, turn: Turn, after: float | None, now: float) -> float:
        """After a refusal of a request: the seconds until the next one.

        `after` is what the provider asks for. Several requests that were underway together and are all
        refused count as one refusal.
        """
        if turn.time >= self.careful_since:
            self.refusals += 1
            self.careful_since = now
            self.requests.refused(1, after is not None)
            self.units.refused(turn.reserved, after is not None)
        pause = after if after is not None else growing_pause(self.refusals)
        self.resume = max(self.resume, now + min(pause, _LONGEST_STANDSTILL))
        return pause

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for a store."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """From `to_dict`'s data."""
        return cls(**{**data, "requests": Bucket(**data["requests"]), "units": Bucket(**data["units"])})


class Concurrency:
    """A bound on the requests at the same time, which adapts: fewer after refusals, slowly more again."""

    def __init__(self, most: int) -> None:
        self._most = self._allowed = float(max(1, most))
        self._running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def slot(self, first: bool = False) -> AsyncIterator[None]:
        """One of the places, in the order of asking, or as the `first` of those who wait."""
        place = asyncio.get_running_loop().create_future()
        if first:
            self._waiting.appendleft(place)
        else:
            self._waiting.append(place)
        self._admit()
        try:
            await place
            yield
        finally:
            if not place.cancelled():  # a place may be given at the very moment at which its owner is cancelled
                self._running -= 1
            self._admit()

    def refused(self) -> None:
        """Allow half as many."""
        self._allowed = max(1.0, self._allowed / 2)

    def accepted(self) -> None:
        """Allow one more after as many accepted requests as run at a time."""
        self._allowed = min(self._most, self._allowed + 1 / self._allowed)
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._running < int(self._allowed):
            place = self._waiting.popleft()
            if not place.cancelled():
                self._running += 1
                place.set_result(None)


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

    async def wait(self, units: float, patience: float, told: Callable[[float], None]) -> Turn | None:
        """Wait for a request of `units` to be allowed, in the order of asking.

        Args:
            units: its size.
            patience: seconds that it may wait once it is the first in line.
            told: called with the seconds of each nap.

        Returns:
            its turn, which is now; `None` if it would have to wait too long.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            latest = loop.time() + patience
            while True:
                turn = await self._store.change(self._fresh, lambda state, now: state.reserve(units, now))
                if not turn.delay:
                    return turn
                if loop.time() + turn.delay > latest:
                    return None
                nap = min(turn.delay, _LONGEST_NAP)
                told(nap)
                await asyncio.sleep(nap)

    async def settle(self, turn: Turn, used: float | None, pace: Pace | None) -> None:
        """After a reply: give back what was reserved and not `used`, and follow the provider's own state."""

        def change(state: PaceState, now: float) -> None:
            state.accepted(turn, used, counted=pace is not None and pace.units_left is not None)
            state.learn(pace, self._pinned, now)

        self.concurrency.accepted()
        await self._store.change(self._fresh, change)

    async def refused(self, turn: Turn, after: float | None, pace: Pace | None = None) -> Refusal:
        """After a refusal for its rate: what to wait, which all other requests wait as well.

        Args:
            turn: what `wait` returned for the request.
            after: seconds that the provider asks to wait, if it does.
            pace: what the refusal says of the limits.
        """

        def change(state: PaceState, now: float) -> Refusal:
            state.learn(pace, self._pinned, now)
            limit = state.units.limit
            if limit is not None and turn.reserved > limit:
                return Refusal(after or 0.0, too_large=True, fewer=False)
            unknown = limit is None and state.requests.limit is None
            fewer = turn.time >= state.careful_since and (after is None or unknown)
            return Refusal(state.refused(turn, after, now), too_large=False, fewer=fewer)

        refusal = await self._store.change(self._fresh, change)
        if refusal.fewer:
            self.concurrency.refused()
        return refusal
