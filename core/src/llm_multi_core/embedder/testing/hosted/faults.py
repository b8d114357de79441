"""What can go wrong at a provider, how often, and which request it happens to. Does nothing itself."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import NamedTuple

FAILURES = ("rate_limited", "server_error", "unavailable", "cut", "cut_within", "truncated")
"""Ways in which a request gets no usable reply."""
DISTORTIONS = ("shuffled", "short", "nan", "wrong_dimension")
"""Ways in which a reply is complete and wrong, or in an unusual order."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How a server is to fail. Figures without a unit are shares of all requests, 0 to 1.

    A request meets at most one of `FAILURES` and at most one of `DISTORTIONS`; the n-th request of a
    server meets the same ones each time, whatever the request is.

    Attributes:
        seed: of the random choice.
        rate_limited: refused with 429.
        server_error: refused with 500.
        unavailable: refused with 503.
        cut: the connection is closed before a byte of the reply.
        cut_within: the connection is closed in the middle of the reply's body.
        truncated: the reply's JSON ends in the middle, in an HTTP message that is in order.
        slow: answered `slow_seconds` later than the others.
        slow_seconds: seconds.
        shuffled: the reply's entries come in reverse order, each with its right index.
        short: the last vector is missing.
        nan: the first component of the first vector is NaN.
        wrong_dimension: the vectors lack their last component.
        retry_after: seconds that a `Retry-After` header asks for with each 429, 500 and 503; `None`
            for none.
        poison: keys of contents (`Content.key`: texts) whose request is refused with 400, without a
            word about which one it was.
        denied_keys: API keys that are refused with 401.
        script: what happens to the first requests, before chance decides: names of failures or
            distortions, `"slow"`, or `""` for nothing.
    """

    seed: int = 0
    rate_limited: float = 0.0
    server_error: float = 0.0
    unavailable: float = 0.0
    cut: float = 0.0
    cut_within: float = 0.0
    truncated: float = 0.0
    slow: float = 0.0
    slow_seconds: float = 0.05
    shuffled: float = 0.0
    short: float = 0.0
    nan: float = 0.0
    wrong_dimension: float = 0.0
    retry_after: float | None = None
    poison: frozenset[str] = frozenset()
    denied_keys: frozenset[str] = frozenset()
    script: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for names in (FAILURES, DISTORTIONS, ("slow",)):
            shares = [getattr(self, name) for name in names]
            if min(shares) < 0 or sum(shares) > 1:
                raise ValueError(f"shares of {', '.join(names)} are not between 0 and 1 in sum")
        for name in self.script:
            if name not in ("", "slow", *FAILURES, *DISTORTIONS):
                raise ValueError(f"script names {name!r}, which is no fault")


class Fate(NamedTuple):
    """What happens to one request; empty strings for nothing."""

    failure: str = ""
    distortion: str = ""
    slow: bool = False


class Fates:
    """The fates of a server's requests, one after the other."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._random = random.Random(faults.seed)  # noqa: S311 - faults, not secrets
        self._script = iter(faults.script)

    def next(self) -> Fate:
        """The next request's fate."""
        failure, distortion, slow = self._draw(FAILURES), self._draw(DISTORTIONS), self._draw(("slow",))
        scripted = next(self._script, None)
        if scripted is None:
            return Fate(failure, distortion, bool(slow))
        return Fate(
            scripted if scripted in FAILURES else "",
            scripted if scripted in DISTORTIONS else "",
            scripted == "slow",
        )

    def _draw(self, names: tuple[str, ...]) -> str:
        # Always one number a group, so that a share changed elsewhere leaves these choices alone.
        number, total = self._random.random(), 0.0
        for name in names:
            total += getattr(self._faults, name)
            if number < total:
                return name
        return ""
