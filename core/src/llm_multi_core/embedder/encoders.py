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

from llm_multi_core.embedder.credentials import Secret
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
        requests_per_minute, units_per_minute, concurrency: of a hosted provider.
    """

    unit: str = "token"
    units_per_item: int | None = None
    items_per_batch: int = 32
    units_per_batch: int | None = None
    bytes_per_batch: int | None = None
    padded: bool = True
    truncates: bool = False
    accepts_empty: bool = True
    requests_per_minute: int | None = None
    units_per_minute: int | None = None
    concurrency: int = 8


@dataclass(frozen=True, slots=True)
class Intake:
    """The form in which a local encoder wants decoded media; the pipeline decodes ahead of it.

    Images come to `prepare` as upright RGB `PIL.Image.Image`, audio as a mono `Waveform`. `measure` and
    `split` see them undecoded, as `ImageSource` and `AudioSource`, or as such an image.

    Attributes:
        image_side: what the model shrinks an image's shorter side to, if it does; a large JPEG is
            then decoded at reduced scale, still at least twice that size.
        sample_rate: the rate in Hz that audio is resampled to.
    """

    image_side: int | None = None
    sample_rate: int | None = None


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
        intake: how a local encoder wants media; without it they come as they were given.
    """

    space: Space
    limits: Limits
    native_dimension: int
    sliceable: bool = False
    roles: frozenset[Role] = frozenset()
    instructions: bool = False
    intake: Intake | None = None


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
    - `"fatal"`: nothing will help (a refused key); stop the call.
    """

    action: Literal["retry", "split", "shrink", "fatal"]
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a provider counted for one request, where it says so."""

    units: int = 0
    requests: int = 1


@dataclass(frozen=True, slots=True)
class Reply:
    """A hosted encoder's answer: rows in the order of the items, and the usage."""

    rows: Rows | npt.ArrayLike
    usage: Usage = Usage()


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
    """A client of a provider's API. Its SDK's own retries are to be off: the pipeline retries."""

    @abstractmethod
    async def request(self, items: Sequence[Item], task: Task) -> Reply:
        """One request. Always awaited on the host's one background loop.

        Raises:
            Exception: whatever the SDK raises; `classify` says what it means.
        """

    async def aclose(self) -> None:
        """Close the client's connections, on the background loop, before `close`."""
