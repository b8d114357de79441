"""Loaded encoders, shared: embedders of equal configuration use one, and the last one closes it.

What is shared in this way is a `Handle`; describers have handles of their own, in `describing`.
"""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib import import_module
from typing import Generic, TypeVar

from llm_multi_core.embedder.encoders import Description, Encoder, EncoderConfig, HostedEncoder
from llm_multi_core.embedder.errors import ClosedError, EmbedderError, ModelLoadError, PluginError
from llm_multi_core.embedder.frameworks import Offer
from llm_multi_core.embedder.pipeline.hosted_limits import effective_limits
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core.embedder.pipeline.settling import settle

MadeT = TypeVar("MadeT")


def make_offered(offer: Offer, entry: str, config: EncoderConfig, kind: type[MadeT]) -> MadeT:
    """An object of a plugin's class.

    Args:
        offer: whose class it is.
        entry: `"package.module:Class"`.
        config: what it is made from.
        kind: what it must be.

    Raises:
        PluginError: if the class cannot be imported or made, or is of another kind.
    """
    module, _, attribute = entry.partition(":")
    try:
        made = getattr(import_module(module), attribute)(config)
    except EmbedderError:
        raise
    except Exception as error:
        raise PluginError(
            f"framework {offer.spec.name!r} cannot be used: {offer.distribution} {offer.version} failed to give "
            f"{entry} ({type(error).__name__}: {error})"
        ) from error
    if not isinstance(made, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise PluginError(f"{entry} of {offer.distribution} is not {article} {kind.__name__}")
    return made


@dataclass(slots=True, eq=False)
class Handle(ABC):
    """Something large that several hold, and that is freed once nobody does."""

    lock: threading.RLock = field(default_factory=threading.RLock, init=False)
    _references: int = field(default=0, init=False)

    @property
    @abstractmethod
    def name(self) -> str:
        """How messages name it."""

    @abstractmethod
    def _close(self) -> None:
        """Free it. Nobody holds it any more; may be called on any thread, and must not wait for one."""

    @abstractmethod
    def _after_fork(self) -> None:
        """Forget what did not survive a fork, in the child; the lock is a fresh one already."""


@dataclass(slots=True, eq=False)
class EncoderHandle(Handle):
    """One encoder: made, described and loaded when first needed, each once.

    Attributes:
        cost_cap: the largest batch that fits into memory, once a larger one did not.
    """

    offer: Offer
    config: EncoderConfig
    cost_cap: int | None = None
    _encoder: Encoder | None = None
    _loaded: bool = False
    _description: Description | None = None
    _encoder_id: str | None = None

    @property
    def name(self) -> str:
        """How messages name it."""
        return f"{self.offer.spec.name} model {self.config.model!r}"

    def encoder(self) -> Encoder:
        """The encoder, not necessarily loaded.

        Raises:
            PluginError: if its class cannot be imported or made.
        """
        with self.lock:
            if self._encoder is None:
                self._encoder = make_offered(self.offer, self.offer.spec.target, self.config, Encoder)  # type: ignore[type-abstract]
            return self._encoder

    @property
    def hosted(self) -> bool:
        """Whether it is a client of a provider."""
        return isinstance(self.encoder(), HostedEncoder)

    @property
    def price(self) -> float | None:
        """US dollars per million units of a hosted model: the user's figure, else the catalogue's."""
        own = self.config.options.get("price")
        if own is not None:
            return float(own)
        return next((model.price for model in self.offer.spec.models if model.name == self.config.model), None)

    def describe(self) -> Description:
        """What the encoder says of itself; asked once."""
        with self.lock:
            if self._description is None:
                described = self.encoder().describe()
                if self.hosted:
                    limits = effective_limits(described.limits, self.config.options.get("limits"))
                    described = replace(described, limits=limits)
                self._description = described
            return self._description

    def encoder_id(self) -> str:
        """A hash over everything that can change a vector in its last bits."""
        with self.lock:
            if self._encoder_id is None:
                encoder = self.encoder()
                identity: list[object] = [
                    self.offer.distribution,
                    self.offer.spec.target,
                    encoder.encoding_version,
                    self.describe().space.fingerprint,
                    sorted(encoder.identity().items()),
                ]
                if "units_per_item" in (self.config.options.get("limits") or {}):
                    identity.append(self.describe().limits.units_per_item)  # it says where a long item is cut
                self._encoder_id = sha256(json.dumps(identity).encode()).hexdigest()[:32]
            return self._encoder_id

    def load(self) -> Encoder:
        """The encoder, loaded; only the first call loads.

        Raises:
            ModelLoadError: if that fails.
        """
        with self.lock:
            encoder = self.encoder()
            if not self._loaded:
                try:
                    if isinstance(encoder, HostedEncoder):
                        encoder.key()
                        encoder.load()
                    else:
                        runtime.submit_model(_load_and_settle, encoder).result()
                except EmbedderError:
                    raise
                except Exception as error:
                    raise ModelLoadError(
                        f"{self.name} could not be loaded ({type(error).__name__}: {error})"
                    ) from error
                self._loaded = True
            return encoder

    def _close(self) -> None:
        with self.lock:
            encoder, self._encoder, self._loaded = self._encoder, None, False
        if encoder is None:
            return
        # Nothing runs any more, since runs borrow the handle; and this may be called by the garbage
        # collector on any thread, so it must not wait for one.
        if isinstance(encoder, HostedEncoder):
            runtime.submit_io(_shut_down(encoder))
        else:
            encoder.close()

    def _after_fork(self) -> None:
        # The model's threads did not survive the fork: it is loaded again when it is needed.
        self._encoder, self._loaded = None, False


async def _shut_down(encoder: HostedEncoder) -> None:
    try:
        await encoder.aclose()
    finally:
        encoder.close()


HandleT = TypeVar("HandleT", bound=Handle)


def _load_and_settle(encoder: Encoder) -> None:
    encoder.load()
    settle()


class HandlePool(Generic[HandleT]):
    """Handles by what they are made from, with a count of their users."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # the garbage collector may release a handle while it is held
        self._handles: dict[Hashable, HandleT] = {}
        runtime.on_fork(self._after_fork)

    def acquire_at(self, key: Hashable, make: Callable[[], HandleT]) -> HandleT:
        """The handle of that key, made if there is none; give it back with `release`."""
        with self.lock:
            handle = self._handles.get(key)
            if handle is None:
                handle = self._handles[key] = make()
            handle._references += 1
            return handle

    def release(self, handle: HandleT) -> None:
        """Give back what was acquired; the last user's release closes it."""
        with self.lock:
            handle._references -= 1
            last = handle._references == 0
            if last:
                for key in [key for key, value in self._handles.items() if value is handle]:
                    del self._handles[key]
        if last:
            handle._close()

    @contextmanager
    def borrow(self, handle: HandleT) -> Iterator[HandleT]:
        """Keep what is held from being closed for the length of the block.

        Raises:
            ClosedError: if its last user has given it back already.
        """
        with self.lock:
            if handle._references == 0:  # it is being closed, maybe by another thread at this moment
                raise ClosedError(f"{handle.name} was closed")
            handle._references += 1
        try:
            yield handle
        finally:
            self.release(handle)

    def __len__(self) -> int:
        return len(self._handles)

    def _after_fork(self) -> None:
        self.lock = threading.RLock()
        for handle in self._handles.values():
            handle.lock = threading.RLock()
            handle._after_fork()


class EncoderPool(HandlePool[EncoderHandle]):
    """Encoders by configuration."""

    def acquire(self, offer: Offer, config: EncoderConfig) -> EncoderHandle:
        """The encoder of this configuration; give it back with `release`."""
        key = (offer.distribution, offer.spec.target, config.key)
        return self.acquire_at(key, lambda: EncoderHandle(offer, config))


pool = EncoderPool()
"""The encoders of this process."""
