"""What this process knows of a provider's account: its pace, and keys that were refused.

One for all embedders, threads and calls that use the same account, endpoint and model. Lives on the
I/O loop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from hashlib import sha256

from llm_multi_core.embedder.encoders import Limits
from llm_multi_core.embedder.errors import AccessDeniedError, ProviderError
from llm_multi_core.embedder.pipeline.pacing import Pacer
from llm_multi_core.embedder.pipeline.pool import EncoderHandle
from llm_multi_core.embedder.pipeline.rate_store import FileStore
from llm_multi_core.embedder.pipeline.runtime import runtime

DENIED_SECONDS = 60.0
"""For so long no request is sent with a key that was refused; then one is, to see."""


class Provider:
    """An account at a provider, with one model.

    Args:
        pacer: holds requests back.
        price: US dollars per million units, if known.
    """

    def __init__(self, pacer: Pacer, price: float | None) -> None:
        self.pacer = pacer
        self.price = price
        self.answered = False  # whether any request has ever succeeded
        self._denied: dict[bytes, tuple[float, ProviderError]] = {}

    def deny(self, key: str | None, error: ProviderError) -> None:
        """Remember that a key was refused."""
        self._denied[_digest(key)] = (time.monotonic() + DENIED_SECONDS, error)

    def denial(self, key: str | None) -> ProviderError | None:
        """Why no request is sent with a key, if so."""
        until, error = self._denied.get(_digest(key), (0.0, None))
        if error is None or time.monotonic() >= until:
            return None
        return AccessDeniedError(
            f"not tried, since the key was refused a moment ago: {error}",
            status=error.status,
            request_id=error.request_id,
        )

    def admit(self, key: str | None) -> None:
        """Remember that a key works."""
        self.answered = True
        self._denied.pop(_digest(key), None)

    def cost_of(self, units: int) -> float | None:
        """US dollars for units, if the price is known."""
        return None if self.price is None else units * self.price / 1e6


class Providers:
    """The providers of this process, by what tells accounts apart."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Hashable, Provider] = {}
        runtime.on_fork(self._after_fork)

    def of(self, handle: EncoderHandle) -> Provider:
        """The provider that an encoder asks.

        Raises:
            InvalidOptionError: if the file of its `rate_store` cannot be used.
        """
        config, limits = handle.config, handle.describe().limits
        options = config.options
        base_url, store = options.get("base_url"), options.get("rate_store")
        pace = (limits.requests_per_minute, limits.units_per_minute, limits.concurrency)
        price = price_of(handle)
        # A framework may count, and charge for, one model's modalities differently.
        counted = (pace, limits.unit, price)
        key = (handle.offer.qualified_name, config.model, base_url, config.secret, store, counted)
        with self._lock:
            if key not in self._known:
                self._known[key] = Provider(_pacer(handle, limits), price)
            return self._known[key]

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._known.clear()


def price_of(handle: EncoderHandle) -> float | None:
    """US dollars per million units of an encoder's model: the user's figure, else the catalogue's."""
    config = handle.config
    own = config.options.get("price")
    if own is not None:
        return float(own)
    return next((model.price for model in handle.offer.spec.models if model.name == config.model), None)


def _pacer(handle: EncoderHandle, limits: Limits) -> Pacer:
    options = handle.config.options
    path = options.get("rate_store")
    store = None
    if path is not None:
        pace = (limits.requests_per_minute, limits.units_per_minute, limits.unit)
        account = f"{handle.offer.qualified_name}\n{handle.config.model}\n{options.get('base_url')}\n{pace}"
        store = FileStore(path, account)
    return Pacer(limits, frozenset(options.get("limits") or ()), store)


def _digest(key: str | None) -> bytes:
    return sha256((key or "").encode()).digest()


providers = Providers()
"""The providers of this process."""
