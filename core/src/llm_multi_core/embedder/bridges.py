"""Bridges: media to words, each picture or recording once.

A `Bridge` runs a plugin's `Describer`, or a function of the user's, and remembers what was said.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Self

from llm_multi_core.embedder.describers import Describer
from llm_multi_core.embedder.encoders import EncoderConfig, Intake
from llm_multi_core.embedder.errors import InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.frameworks import Offer
from llm_multi_core.embedder.items import Item, Modality
from llm_multi_core.embedder.pipeline.call import CallGroup
from llm_multi_core.embedder.pipeline.describing import DescriberHandle, Words, describe_items, describers
from llm_multi_core.embedder.pipeline.pool import make_offered

if TYPE_CHECKING:
    from llm_multi_core.embedder.host import Host

Describe = Callable[[Sequence[Any]], Sequence[str]]
"""A user's function: decoded media (RGB PIL images, or mono `Waveform`s) to words, one text for each."""

VIA = {Modality.IMAGE: "caption", Modality.AUDIO: "transcript"}
"""What the words for media are called, and the framework that finds them."""

_KEPT = 4096
"""Texts that a bridge remembers, so that a picture that is asked for again is not described again."""


class Bridge:
    """Turns media of one modality into text.

    Thread-safe. The model is loaded at first use, is shared by all bridges of equal settings, and is
    loaded again in a pickled copy or a forked child.

    Args:
        modality: what it takes.
        via: how what comes of it is labelled.
        make: makes the describer; bridges of equal ones share it.
        name: how messages name it.
    """

    def __init__(self, modality: Modality, via: str, make: Callable[[], Describer], name: str) -> None:
        self.modality = modality
        self.via = via
        self.name = name
        self._make = make
        self._handle: DescriberHandle | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        self._kept: OrderedDict[bytes, str] = OrderedDict()

    @classmethod
    def of_framework(
        cls, host: Host, framework: str, modality: Modality, model: str | PathLike[str] | None = None, **settings: Any
    ) -> Bridge:
        """A bridge of an installed framework, such as `"caption"` or `"transcript"`.

        Args:
            host: where plugins are looked up.
            framework: the framework's name.
            modality: what is to be described.
            model: a model name or folder; `None` is the framework's default.
            **settings: `device`, `precision`, and the framework's own options.

        Raises:
            FrameworkError: if it is not there, or not installed.
            InvalidOptionError: if it does not describe, or does not take a setting.
        """
        offer = host.find(framework, modality)
        spec = offer.spec
        if not spec.describer or modality not in spec.bridge:
            raise InvalidOptionError(
                f"framework {spec.name!r} does not turn {modality} into text for others to embed; one that does is "
                f"{VIA[modality]!r}"
            )
        device, precision = settings.pop("device", None), settings.pop("precision", "auto")
        chosen = fspath(model) if model is not None else spec.default_model.get(modality)
        if chosen is None:
            raise InvalidOptionError(f"framework {spec.name!r} has no default model for {modality}; name one")
        options = spec.check_options(settings, ("model", "device", "precision"))
        config = EncoderConfig(spec.name, offer.distribution, chosen, device, precision, options=options)
        return cls(modality, spec.bridge[modality], _OfFramework(offer, config), f"{spec.name} model {chosen!r}")

    @classmethod
    def of_function(cls, function: Describe, modality: Modality, via: str | None = None) -> Bridge:
        """A bridge of a function that takes a list of decoded media and returns as many texts."""
        made = partial(_FunctionDescriber, function, modality)
        return cls(modality, via or VIA[modality], made, f"function {_name_of(function)!r}")

    @property
    def identity(self) -> Mapping[str, str]:
        """Everything that can change the words; reads configuration files at most."""
        return dict(self._held().describer().identity()) or {"bridge": self.name}

    @property
    def sample_rate(self) -> int | None:
        """The rate in Hz at which recordings are described."""
        return self._held().describer().intake.sample_rate

    def texts(self, items: Sequence[Item]) -> list[Words]:
        """The words for each item, or why there are none: it cannot be read, or nothing is to be said of it.

        Args:
            items: of one part each, of the bridge's modality.

        Raises:
            InvalidInputError: naming an item of another kind.
            ModelLoadError: if the describer cannot be loaded.
            EncodingError: if it does not give one text for each.
        """
        for index, item in enumerate(items):
            if item.signature != (self.modality,):
                held = " and ".join(item.signature) or "nothing"
                raise InvalidInputError(f"{self.name} takes {self.modality}, not {held}", index=index)
        said = dict(pair for words in self.describe(items) for pair in words.items())
        return [said[item.digest] for item in items]

    def describe(self, items: Sequence[Item], group: CallGroup | None = None) -> Iterator[Mapping[bytes, Words]]:
        """What is said of items, by their digests: first what is remembered, then in order as it is found.

        Args:
            items: as of `texts`.
            group: the call that they belong to; nothing is begun any more once it has ended.
        """
        with describers.lock:
            known: dict[bytes, Words] = {
                item.digest: self._kept[item.digest] for item in items if item.digest in self._kept
            }
        yield known
        fresh = list({item.digest: item for item in items if item.digest not in known}.values())
        if not fresh:
            return
        with describers.borrow(self._held()) as handle:
            for words in describe_items(handle, fresh, group):
                self._remember(words)
                yield words

    def uncached(self) -> Self:
        """Another bridge to the same model, which remembers nothing yet."""
        return type(self)(self.modality, self.via, self._make, self.name)

    def close(self) -> None:
        """Give the model back; the last bridge to it frees it. It is loaded again if it is needed."""
        with describers.lock:
            finalizer, self._finalizer, self._handle = self._finalizer, None, None
        if finalizer is not None:
            finalizer()

    def __getstate__(self) -> dict[str, Any]:
        return {"modality": self.modality, "via": self.via, "make": self._make, "name": self.name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # a subclass must keep this signature

    def __repr__(self) -> str:
        return f"Bridge({self.modality}, via={self.via!r}, {self.name})"

    def _held(self) -> DescriberHandle:
        with describers.lock:
            if self._handle is None:
                key: Hashable = getattr(self._make, "key", self._make)
                self._handle = describers.acquire_at(key, partial(DescriberHandle, self._make, self.name))
                self._finalizer = weakref.finalize(self, describers.release, self._handle)
                self._finalizer.atexit = False
            return self._handle

    def _remember(self, found: Mapping[bytes, Words]) -> None:
        with describers.lock:
            for digest, text in found.items():
                if isinstance(text, str):
                    self._kept[digest] = text
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)


class _OfFramework:
    """Makes a plugin's describer. Picklable."""

    def __init__(self, offer: Offer, config: EncoderConfig) -> None:
        self._offer, self._config = offer, config

    @property
    def key(self) -> Hashable:
        """Equal for those that make the same."""
        return self._offer.distribution, self._offer.spec.describer, self._config.key

    def __call__(self) -> Describer:
        return make_offered(self._offer, self._offer.spec.describer, self._config, Describer)  # type: ignore[type-abstract]


class _FunctionDescriber(Describer):
    """A user's function."""

    via = ""
    intake = Intake(sample_rate=16_000)

    def __init__(self, function: Describe, modality: Modality) -> None:
        super().__init__(EncoderConfig("function", "user", _name_of(function)))
        self._function = function
        self.modality = modality  # type: ignore[misc]  # of this one only

    def identity(self) -> Mapping[str, str]:
        """Its name, which is all that is known of it."""
        return {"function": f"{getattr(self._function, '__module__', '')}.{self.config.model}"}

    def describe(self, media: Sequence[Any]) -> list[str]:
        """What it returns; whether that is one text for each, is checked where describers are run."""
        texts = self._function(media)
        return texts if isinstance(texts, str) else list(texts)  # type: ignore[return-value]


def _name_of(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))
