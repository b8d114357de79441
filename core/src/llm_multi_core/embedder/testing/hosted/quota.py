"""Limits a minute as providers keep them: two token buckets, refilled all the time."""

from __future__ import annotations

import time
from collections.abc import Callable

from llm_multi_core.embedder.encoders import Pace


class Bucket:
    """Holds up to `burst` seconds' worth of a quota a minute; full at first.

    Args:
        per_minute: how much flows in a minute.
        burst: seconds whose inflow it holds.
        clock: seconds, monotonic.
    """

    def __init__(self, per_minute: float, burst: float, clock: Callable[[], float]) -> None:
        self.rate = per_minute / 60
        self.capacity = self.rate * burst
        self._level, self._clock, self._then = self.capacity, clock, clock()

    def level(self) -> float:
        """How much is in it now."""
        now = self._clock()
        self._level = min(self.capacity, self._level + (now - self._then) * self.rate)
        self._then = now
        return self._level

    def wait(self, amount: float) -> float:
        """Seconds until `amount` may be taken; 0 for now. More than it holds is allowed when it is full."""
        return max(0.0, min(amount, self.capacity) - self.level()) / self.rate

    def take(self, amount: float) -> None:
        """Take `amount` out; what it holds may become negative."""
        self._level = self.level() - amount


class Quota:
    """Requests and units a minute.

    Args:
        requests_per_minute, units_per_minute: the limits; `None` for no limit.
        burst: seconds whose quota may be used at once after a pause. Providers keep a minute's.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        requests_per_minute: int | None,
        units_per_minute: int | None,
        burst: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = (requests_per_minute, units_per_minute)
        self._requests, self._units = (limit and Bucket(limit, burst, clock) for limit in self._limits)

    def admit(self, units: int) -> float:
        """Count a request of `units`, and return 0; or the seconds after which it would be admitted."""
        asked = [(self._requests, 1), (self._units, units)]
        wait = max((bucket.wait(amount) for bucket, amount in asked if bucket), default=0.0)
        if not wait:
            for bucket, amount in asked:
                if bucket:
                    bucket.take(amount)
        return wait

    def pace(self) -> Pace | None:
        """The state of the limits; `None` if there are none."""
        if not (self._requests or self._units):
            return None
        requests, units = self._requests, self._units
        return Pace(
            *self._limits,
            requests_left=max(0, int(requests.level())) if requests else None,
            units_left=max(0, int(units.level())) if units else None,
            requests_reset=requests.wait(requests.capacity) if requests else None,
            units_reset=units.wait(units.capacity) if units else None,
        )
