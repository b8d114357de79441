"""What plugin authors write: an `Encoder`, local or hosted.

An encoder turns a batch of items of one signature into rows. It never batches, retries, caches,
normalises, sorts or shows progress: the pipeline does, once, for all.

The life of an encoder: `Encoder(config)` does no I/O; `describe()` and `identity()` read
configuration files at most; `load()` makes it ready; `measure`, `split`, then `prepare` and
`forward` (local) or `request` (hosted) run; `close()` frees what it holds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy.typing as npt

from llm_multi_core.embedder.credentials import Credentials, Secret
from llm_multi_core.embedder.items import Item, Role, Task
from llm_multi_core.embedder.rows import Rows
from llm_multi_core.embedder.spaces import Space


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """What an encoder is made from. Equal configurations share one encoder.

    Attributes:
        framework: the name the user asked for.
        distribution: the distribution that offers it.
        model: a model name, or a local folder.
        device: `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"`; `None` picks the best one.
        precision: `"auto"`, `"float32"`, `"bfloat16"` or `"float16"`.
        dimensions: what the encoder itself is asked for; `None` is its native dimension.
        options: every option of the specification, with its value.
        space_options: those of `options` that affect the space and differ from the default.
        secret: the key that the user passed, if any.
        credentials: where a hosted framework's key comes from otherwise.
    """

    framework: str
    distribution: str
    model: str
    device: str | None = None
    precision: str = "auto"
    dimensions: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    space_options: tuple[tuple[str, str], ...] = ()
    secret: Secret | None = None
    credentials: Credentials | None = None

    @property
    def key(self) -> Hashable:
        """What equal configurations have in common; usable in a dictionary."""
        options = tuple((name, repr(value)) for name, value in sorted(self.options.items()))
        fixed = (self.framework, self.distribution, self.model, self.device, self.precision, self.dimensions)
        return fixed, options, self.secret


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an encoder takes at once. `None` means no limit.

    Attributes:
        unit: what is counted: `"token"`, `"patch"`, `"sample"`.
        units_per_item: the longest item; beyond it the truncation policy applies.
        items_per_batch: most items in one batch or request.
        units_per_batch: most units in one batch or request. Where `padded`, every item counts as
            much as the longest in its batch.
        bytes_per_batch: most payload bytes in one request.
        padded: whether a batch is padded to its longest item. Then batches are sorted by length.
        truncates: whether the encoder itself cuts an over-long item at the end. Otherwise the
            pipeline does, by `split`, before the encoder sees it.
        accepts_empty: whether an empty text can be embedded.
        slack: how far beyond `units_per_item`, as a factor, an estimated size may go before the item is
            cut unseen. Above 1 only for a provider that refuses what is really too long, so that
            `Verdict("shorten")` can follow.
        requests_per_minute: most requests to a provider in any minute.
        units_per_minute: most units sent to a provider in any minute.
        concurrency: most requests to a provider at the same time.
        spread: fewest items that are worth a request of their own; work is spread over as many
            requests as may run at the same time, but no thinner than this.
    """

    unit: str = "token"
    units_per_item: int | None = None
    items_per_batch: int = 32
    units_per_batch: int | None = None
    bytes_per_batch: int | None = None
    padded: bool = True
    truncates: bool = False
    accepts_empty: bool = True
    slack: float = 1.0
    requests_per_minute: int | None = None
    units_per_minute: int | None = None
    concurrency: int = 8
    spread: int = 64


@dataclass(frozen=True, slots=True)
class Intake:
    """The form in which an encoder wants media; the pipeline brings it into that form ahead of it.

    To a local encoder's `prepare` images come as upright RGB `PIL.Image.Image`, audio as a mono
    `Waveform`. To a hosted encoder's `request` both come as `EncodedMedia`. `measure` and `split` see
    them as they were given: as `ImageSource` or an upright image, and as `AudioSource`.

    Attributes:
        image_side: what the model shrinks an image's shorter side to, if it does; a large JPEG is
            then decoded at reduced scale, still at least twice that size.
        sample_rate: the rate in Hz that audio is resampled to; for a hosted encoder that of bare
            arrays, since files are sent as they are.
        formats: the media types that a hosted provider takes (`"image/jpeg"`, `"audio/wav"`). What is
            in another format is sent in the first of these that can be written.
        max_bytes: the largest file that a hosted provider takes; a larger picture is shrunk to fit,
            a larger recording is written anew in mono, and refused if that is too large as well.
    """

    image_side: int | None = None
    sample_rate: int | None = None
    formats: tuple[str, ...] = ()
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """What an encoder says of itself before it is loaded.

    Attributes:
        space: where its vectors lie, with the dimension that it returns under its configuration.
        limits: how much it takes at once.
        native_dimension: the dimension when none is asked for.
        sliceable: whether the first components of a vector are a good vector (Matryoshka), so that
            the pipeline may cut.
        roles: the roles that it treats differently from one another.
        instructions: whether it follows a task's instruction.
        intake: how media are wanted; without it they come as they were given.
        interleaves: whether it takes items of several parts.
        contextual: whether it embeds the items of a group in one another's context; otherwise each is
            taken for itself.
    """

    space: Space
    limits: Limits
    native_dimension: int
    sliceable: bool = False
    roles: frozenset[Role] = frozenset()
    instructions: bool = False
    intake: Intake | None = None
    interleaves: bool = False
    contextual: bool = False


@dataclass(frozen=True, slots=True)
class Measure:
    """How large items are.

    Attributes:
        units: one number per item, in the unit of the limits, with prompt and special tokens.
        exact: `False` for an estimate made without the provider's tokenizer.
        state: one object per item that `prepare` gets back (its token ids, say), so that the work
            of measuring is not done twice; or `None`.
    """

    units: Sequence[int]
    exact: bool = True
    state: Sequence[Any] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about an error.

    - `"retry"`: it is transient; again after `after` seconds, or after a growing pause if `None`.
    - `"split"`: the batch is at fault; halve it until the bad item stands alone.
    - `"shrink"`: it is too large for the memory; halve it, and keep later batches smaller as well.
    - `"shorten"`: an item is longer than its estimate said; find it, and treat it as over-long.
    - `"fatal"`: nothing will help; stop the call.
    - `"denied"`: the key was refused; stop the call, and fail later ones with this key at once.

    Attributes:
        action: one of the above.
        after: seconds that the provider asks to wait.
        limited: whether it was a rate limit, so that all requests to the provider wait.
        status: the HTTP status, where there is one.
        request_id: what the provider calls the request, for its support.
        pace: what a refusal for its rate says of the limits.
    """

    action: Literal["retry", "split", "shrink", "shorten", "fatal", "denied"]
    after: float | None = None
    limited: bool = False
    status: int | None = None
    request_id: str | None = None
    pace: Pace | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a provider counted for one call of `request`, where it says so.

    Attributes:
        units: tokens, or the encoder's other unit.
        requests: how many requests it took.
        cost: US dollars, where the encoder knows better than units times the model's price, as when
            several models were asked; `None` leaves it to the host.
    """

    units: int = 0
    requests: int = 1
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """What a reply says of the provider's rate limits; `None` where it says nothing.

    Attributes:
        requests_per_minute, units_per_minute: the limits.
        requests_left, units_left: what is left of them.
        requests_reset, units_reset: seconds until they are whole again.
    """

    requests_per_minute: int | None = None
    units_per_minute: int | None = None
    requests_left: int | None = None
    units_left: int | None = None
    requests_reset: float | None = None
    units_reset: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A hosted encoder's answer: rows in the order of the items, the usage, and the pace."""

    rows: Rows | npt.ArrayLike
    usage: Usage = Usage()
    pace: Pace | None = None


class Encoder(ABC):
    """One loaded model or one API client. Subclass `LocalEncoder` or `HostedEncoder`."""

    encoding_version: ClassVar[int] = 1
    """Raise this when the same input begins to give other vectors; caches then start anew."""

    def __init__(self, config: EncoderConfig) -> None:
        self.config = config

    @abstractmethod
    def describe(self) -> Description:
        """What it will return; reads configuration files at most.

        Raises:
            ModelLoadError: if there is no such model.
        """

    def identity(self) -> Mapping[str, str]:
        """Everything beyond the space that can change the last bits of a vector.

        Engine, resolved precision, prompts, pooling, preprocessing. Never the device, the batch
        size or a secret.
        """
        return {}

    def load(self) -> None:
        """Make ready to encode. Called once, before `measure`.

        Raises:
            ModelLoadError: if that fails.
        """

    def close(self) -> None:
        """Free what `load` took. Nothing is called afterwards."""

    @abstractmethod
    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """The size of each item. May be called from several threads at once."""

    @abstractmethod
    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """The item as consecutive pieces of at most `max_units` each, nothing left out.

        Called for an item that `measure` found too long.
        """

    def batch_key(self, item: Item) -> Hashable:
        """Items with equal keys may share a batch; by default those of one signature."""
        return item.signature

    def classify(self, error: Exception) -> Verdict:
        """What to do about an error of `prepare`, `forward` or `request`."""
        return Verdict("shrink") if isinstance(error, MemoryError) else Verdict("split")


class LocalEncoder(Encoder):
    """A model that runs in this process."""

    @abstractmethod
    def prepare(self, items: Sequence[Item], task: Task, state: Sequence[Any] | None = None) -> Any:
        """Everything that needs no accelerator: tokenise, pad, stack.

        Runs beside the previous batch's `forward`, maybe in several threads at once. `state` is the
        batch's part of `Measure.state`.
        """

    @abstractmethod
    def forward(self, batch: Any) -> Rows | npt.ArrayLike:
        """Rows for a prepared batch, in its order. Always called on the host's one worker thread."""


class HostedEncoder(Encoder):
    """A client of a provider's API. Its SDK's own retries are to be off: the pipeline retries.

    Make the SDK's client in `request`, on the loop that it will live on, and give it the key of that
    moment (`self.key()`); a client that takes a callable for its key is best.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self._keys: set[str] = set()

    @abstractmethod
    async def request(self, items: Sequence[Item], task: Task) -> Reply:
        """One request. Always awaited on the host's one background loop.

        Raises:
            Exception: whatever the SDK raises; `classify` says what it means.
        """

    def key(self) -> str | None:
        """The key to use now: the one passed, else the environment's; `None` leaves it to a chain.

        Raises:
            MissingCredentialsError: if there is neither a key nor a chain, and one is needed.
        """
        config = self.config
        if config.credentials is None:  # the specification asks for none
            key = config.secret.reveal() if config.secret is not None else None
        else:
            key = config.credentials.require(config.secret, config.framework, config.options)
        if key is not None:
            self._keys.add(key)
        return key

    @property
    def keys(self) -> frozenset[str]:
        """The keys that were used so far, to be masked in messages."""
        return frozenset(self._keys)

    def classify(self, error: Exception) -> Verdict:
        """By the HTTP status of the error, or its kind; override for a provider's own codes."""
        from llm_multi_core.embedder.hosted import classify_failure

        return classify_failure(error)

    async def aclose(self) -> None:
        """Close the client's connections, on the background loop, before `close`."""
