"""What this process knows of a provider's account: its pace, and keys that were refused.

One for all embedders, threads and calls that use the same account, endpoint and model. Lives on the
I/O loop.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from hashlib import sha256

from llm_multi_core.embedder.errors import AccessDeniedError, ProviderError
from llm_multi_core.embedder.pipeline.pacing import Pacer
from llm_multi_core.embedder.pipeline.pool import EncoderHandle
from llm_multi_core.embedder.pipeline.rate_store import FileStore
from llm_multi_core.embedder.pipeline.runtime import runtime

DENIED_SECONDS = 60.0
"""For so long no request is sent with a key that was refused; then one is, to see."""
MOST_PROVIDERS = 256
"""Accounts that are remembered. A server that gets a key with each request would else remember ever more."""
_OWN_OPTIONS = frozenset({"timeout", "deadline", "limits", "price"})
"""Options by which embedders of one account may differ."""


class Provider:
    """An account at a provider, with one model.

    Args:
        pacer: holds requests back.

    Attributes:
        answered: whether any request has ever given a sound vector.
    """

    def __init__(self, pacer: Pacer) -> None:
        self.pacer = pacer
        self.answered = False
        self._denied: dict[bytes, tuple[float, ProviderError]] = {}

    @property
    def denies(self) -> bool:
        """Whether it has refused a key lately."""
        return bool(self._denied)

    def deny(self, key: str | None, error: ProviderError) -> None:
        """Remember that a key was refused."""
        self._denied[_digest(key)] = (time.monotonic() + DENIED_SECONDS, error)

    def denial(self, key: str | None) -> ProviderError | None:
        """Why no request is sent with a key, if so."""
        until, error = self._denied.get(_digest(key), (0.0, None))
        if error is None:
            return None
        if time.monotonic() >= until:
            self.admit(key)
            return None
        return AccessDeniedError(
            f"not tried, since the key was refused a moment ago: {error}",
            status=error.status,
            request_id=error.request_id,
        )

    def admit(self, key: str | None) -> None:
        """Forget that a key was refused."""
        self._denied.pop(_digest(key), None)


class Providers:
    """The providers of this process, by what tells accounts apart; those used last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, Provider] = OrderedDict()
        runtime.on_fork(self._after_fork)

    def of(self, handle: EncoderHandle) -> Provider:
        """The provider that an encoder asks.

        Raises:
            InvalidOptionError: if the file of its `rate_store` cannot be used.
        """
        key = (*_account(handle), handle.config.secret)
        with self._lock:
            if key not in self._known:
                self._known[key] = Provider(_pacer(handle))
                while len(self._known) > MOST_PROVIDERS:
                    self._known.popitem(last=False)
            self._known.move_to_end(key)
            return self._known[key]

    def forget(self) -> None:
        """Know nothing of any account any more: no pace, no refused key."""
        with self._lock:
            self._known.clear()

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._known.clear()


def _account(handle: EncoderHandle) -> tuple[Hashable, ...]:
    """What tells accounts apart, but for the key: the address and its like, the model, the limits."""
    config, limits = handle.config, handle.describe().limits
    pace = (limits.requests_per_minute, limits.units_per_minute, limits.concurrency)
    options = tuple((name, repr(value)) for name, value in sorted(config.options.items()) if name not in _OWN_OPTIONS)
    return handle.offer.qualified_name, config.model, options, pace


def _pacer(handle: EncoderHandle) -> Pacer:
    options, limits = handle.config.options, handle.describe().limits
    path = options.get("rate_store")
    store = None if path is None else FileStore(path, sha256(repr(_account(handle)).encode()).hexdigest())
    return Pacer(limits, frozenset(options.get("limits") or ()), store)


def _digest(key: str | None) -> bytes:
    return sha256((key or "").encode()).digest()


providers = Providers()
"""The providers of this process."""
