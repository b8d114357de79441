"""Bridges: media to words, in batches, decoded ahead, each picture or recording once.

A `Bridge` runs a plugin's `Describer`, or a function of the user's.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder.describers import Describer
from llm_multi_core.embedder.encoders import EncoderConfig, Intake
from llm_multi_core.embedder.errors import (
    EmbedderError,
    EncodingError,
    InvalidInputError,
    InvalidOptionError,
    ModelLoadError,
    PluginError,
)
from llm_multi_core.embedder.frameworks import Offer
from llm_multi_core.embedder.items import Item, Modality
from llm_multi_core.embedder.pipeline.decode import decode_items
from llm_multi_core.embedder.pipeline.runtime import runtime

if TYPE_CHECKING:
    from llm_multi_core.embedder.host import Host

Describe = Callable[[Sequence[Any]], Sequence[str]]
"""A user's function: decoded media (RGB PIL images, or mono `Waveform`s) to words, one text for each."""

_KEPT = 4096
"""Texts that a bridge remembers, so that a picture that is asked for again is not described again."""


class Bridge:
    """Turns media of one modality into text.

    Args:
        modality: what it takes.
        via: how what comes of it is labelled.
        make: makes the describer; called at first use, and again in a copy or a forked child.
        name: how messages name it.
    """

    def __init__(self, modality: Modality, via: str, make: Callable[[], Describer], name: str) -> None:
        self.modality = modality
        self.via = via
        self.name = name
        self._make = make
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._made: Describer | None = None
        self._ready: Describer | None = None
        self._kept: OrderedDict[bytes, str] = OrderedDict()

    @classmethod
    def of_framework(
        cls, host: Host, framework: str, modality: Modality, model: str | None = None, **settings: Any
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
                f"framework {spec.name!r} does not turn {modality} into text; one that does is "
                f"{'caption' if modality is Modality.IMAGE else 'transcript'!r}"
            )
        device, precision = settings.pop("device", None), settings.pop("precision", "auto")
        chosen = model or spec.default_model.get(modality)
        if chosen is None:
            raise InvalidOptionError(f"framework {spec.name!r} has no default model for {modality}; name one")
        config = EncoderConfig(
            spec.name, offer.distribution, chosen, device, precision, options=spec.check_options(settings)
        )
        return cls(modality, spec.bridge[modality], _Maker(offer, config), f"{spec.name} model {chosen!r}")

    @classmethod
    def of_function(cls, function: Describe, modality: Modality, via: str | None = None) -> Bridge:
        """A bridge of a function that takes a list of decoded media and returns as many texts."""
        label = via or ("caption" if modality is Modality.IMAGE else "transcript")
        return cls(modality, label, _FunctionMaker(function, modality), getattr(function, "__name__", "the bridge"))

    @property
    def identity(self) -> Mapping[str, str]:
        """Everything that can change the words."""
        return {"bridge": self.name, **self._describer().identity()}

    @property
    def sample_rate(self) -> int | None:
        """The rate in Hz at which recordings are described."""
        return self._describer().intake.sample_rate

    def texts(self, items: Sequence[Item]) -> list[str | EmbedderError]:
        """The words for each item, or why there are none: it cannot be read, or nothing is to be said of it.

        Raises:
            ModelLoadError: if the describer cannot be loaded.
        """
        with self._lock:
            found: dict[bytes, str | EmbedderError] = {
                item.digest: self._kept[item.digest] for item in items if item.digest in self._kept
            }
        fresh = list({item.digest: item for item in items if item.digest not in found}.values())
        describer = self._loaded() if fresh else None
        if describer is not None:
            for start in range(0, len(fresh), describer.items_per_batch):
                found.update(self._describe(describer, fresh[start : start + describer.items_per_batch]))
        self._remember(found)
        return [found[item.digest] for item in items]

    def close(self) -> None:
        """Free the describer."""
        with self._lock:
            describer, self._ready = self._ready, None
        if describer is not None:
            describer.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"modality": self.modality, "via": self.via, "name": self.name, "make": self._make}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["modality"], state["via"], state["make"], state["name"])  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"Bridge({self.modality}, via={self.via!r}, {self.name})"

    def _describer(self) -> Describer:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _loaded(self) -> Describer:
        with self._loading:
            if self._ready is None:
                describer = self._describer()
                try:
                    runtime.submit_model(describer.load).result()
                except EmbedderError:
                    raise
                except Exception as error:
                    message = f"{self.name} could not be loaded ({type(error).__name__}: {error})"
                    raise ModelLoadError(message) from error
                self._ready = describer
            return self._ready

    def _describe(self, describer: Describer, items: list[Item]) -> dict[bytes, str | EmbedderError]:
        decoded, errors = decode_items(items, describer.intake)
        told: dict[bytes, str | EmbedderError] = {
            items[place].digest: error if isinstance(error, EmbedderError) else EncodingError(str(error))
            for place, error in errors.items()
        }
        sound = [item for place, item in enumerate(decoded) if place not in errors]
        if not sound:
            return told
        media = [item.parts[0].payload for item in sound]
        try:
            texts = runtime.submit_model(describer.describe, media).result()
        except Exception as error:  # noqa: BLE001 - whatever a model or a user's function raises
            if len(sound) > 1:
                for item in sound:
                    told.update(self._describe(describer, [item]))
                return told
            told[sound[0].digest] = EncodingError(f"{self.name} failed ({type(error).__name__}: {error})")
            return told
        if len(texts) != len(sound) or not all(isinstance(text, str) for text in texts):
            raise EncodingError(f"{self.name} gave {len(texts)} texts for {len(sound)} inputs")
        for item, text in zip(sound, texts, strict=True):
            told[item.digest] = text if text.strip() else InvalidInputError(f"{self.name} found no words for it")
        return told

    def _remember(self, found: Mapping[bytes, str | EmbedderError]) -> None:
        with self._lock:
            for digest, text in found.items():
                if isinstance(text, str):
                    self._kept[digest] = text
                    self._kept.move_to_end(digest)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)


class _Maker:
    """Makes a plugin's describer. Picklable."""

    def __init__(self, offer: Offer, config: EncoderConfig) -> None:
        self._offer, self._config = offer, config

    def __call__(self) -> Describer:
        module, _, attribute = self._offer.spec.describer.partition(":")
        try:
            made = getattr(import_module(module), attribute)(self._config)
        except EmbedderError:
            raise
        except Exception as error:
            raise PluginError(
                f"framework {self._offer.spec.name!r} cannot be used: {self._offer.distribution} "
                f"{self._offer.version} failed to give {self._offer.spec.describer} ({type(error).__name__}: {error})"
            ) from error
        if not isinstance(made, Describer):
            raise PluginError(f"{self._offer.spec.describer} of {self._offer.distribution} is not a Describer")
        return made


class _FunctionMaker:
    """Makes a describer of a function."""

    def __init__(self, function: Describe, modality: Modality) -> None:
        self._function, self._modality = function, modality

    def __call__(self) -> Describer:
        return _FunctionDescriber(self._function, self._modality)


class _FunctionDescriber(Describer):
    """A user's function."""

    via = ""
    intake = Intake(sample_rate=16_000)

    def __init__(self, function: Describe, modality: Modality) -> None:
        super().__init__(EncoderConfig("function", "user", getattr(function, "__qualname__", repr(function))))
        self._function = function
        self.modality = modality  # type: ignore[misc]  # of this one only

    def identity(self) -> Mapping[str, str]:
        """Its name, which is all that is known of it."""
        return {"function": f"{getattr(self._function, '__module__', '')}.{self.config.model}"}

    def describe(self, media: Sequence[Any]) -> list[str]:
        """What it returns."""
        return list(self._function(media))
