"""Images and sound for models that take them: what their files say of it, and how such inputs are made.

Every input is labelled with its modality, and comes decoded from the host, so that sentence-transformers
neither guesses what it is nor opens anything.
"""

from __future__ import annotations

import inspect
import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import InvalidInputError, Item, Modality, ModelLoadError
from llm_multi_core_sentence_transformers.prompts import Treatment
from llm_multi_core_torch import ModelFiles

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

_SERVED = frozenset({Modality.TEXT, Modality.IMAGE, Modality.AUDIO})
_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
_IMAGE_UNITS = 256
"""What an image counts in tokens when batches are planned: about what vision towers make of one."""
_UNITS_A_SECOND = 25
"""The same for sound of a model that takes any length."""


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What the files of an input module say about its images and its sound.

    Attributes:
        image_side: what the shorter side of an image is resized to, if it is.
        sample_rate: the rate in Hz at which it takes sound.
        preprocessing: JSON data on how images and sound become tensors.
    """

    image_side: int | None = None
    sample_rate: int | None = None
    preprocessing: Any = field(default_factory=dict)


def read_media(files: ModelFiles, folder: str) -> MediaFacts:
    """The facts of the module in a sub-folder; empty for one of text."""
    found = {}
    for name in _PROCESSOR_FILES:
        if content := files.read_object(f"{folder}/{name}" if folder else name):
            found[name] = content
    image_side = sample_rate = None
    for content in found.values():
        for part in (content, content.get("image_processor")):
            if image_side is None and isinstance(part, Mapping) and part.get("do_resize"):
                image_side = _side(part.get("size"))
        for part in (content, content.get("feature_extractor")):
            if isinstance(part, Mapping) and isinstance(part.get("sampling_rate"), int):
                sample_rate = int(part["sampling_rate"])
    return MediaFacts(image_side, sample_rate, found)


def _side(size: Any) -> int | None:
    if isinstance(size, int):
        return size
    if not isinstance(size, Mapping):
        return None
    sides = [size[name] for name in ("shortest_edge", "height", "width") if isinstance(size.get(name), int)]
    return max(sides, default=None)


def served(names: Iterable[Any]) -> frozenset[Modality]:
    """Those of sentence-transformers' modalities that the host knows; combinations are none of them."""
    return frozenset(Modality(name) for name in names if isinstance(name, str) and name in _SERVED)


def loaded_sample_rate(model: SentenceTransformer) -> int:
    """The rate at which a loaded model takes sound, in Hz.

    Raises:
        ModelLoadError: if it does not say.
    """
    rate = getattr(_feature_extractor(model), "sampling_rate", None)
    if not isinstance(rate, int):
        raise ModelLoadError("the model takes sound and does not say at which sample rate")
    return rate


@dataclass(frozen=True, slots=True)
class MediaBatch:
    """Inputs of images or sound that are computed together.

    Attributes:
        groups: the places in the batch with the model's inputs for them.
        size: how many inputs there are altogether.
        task: what models with several routes are told.
    """

    groups: tuple[tuple[tuple[int, ...], dict[str, Any]], ...]
    size: int
    task: str | None

    def rows(self, compute: Any) -> torch.Tensor:
        """The rows `(n, d)` in the order of the batch; `compute` gives those of one group's inputs."""
        import torch

        parts = [compute(features) for _, features in self.groups]
        order = torch.tensor([place for places, _ in self.groups for place in places], device=parts[0].device)
        joined = torch.cat(parts)
        rows = torch.empty_like(joined)
        rows[order] = joined
        return rows


class MediaInputs:
    """From decoded images and sound to the features that the modules of a loaded model take."""

    def __init__(self, model: SentenceTransformer, max_tokens: int | None) -> None:
        self._model = model
        self._max_tokens = max_tokens
        self._lock = threading.Lock()
        self._sound = _Sound.of(model)

    def units(self, item: Item) -> int:
        """About how many tokens an item counts; more than the limit only for sound that is longer than is taken."""
        most = self._max_tokens or _IMAGE_UNITS
        if item.signature != (Modality.AUDIO,):
            return min(_IMAGE_UNITS, most)
        seconds: float = item.parts[0].payload.seconds
        if self._sound.max_seconds is None:
            return max(1, min(most, math.ceil(seconds * _UNITS_A_SECOND)))
        # Rounded down within a sample, so that a piece of just the longest length is not too long.
        share = (seconds - 1 / self._sound.sample_rate) / self._sound.max_seconds
        return max(1, math.ceil(share * most))

    def split(self, item: Item, max_units: int) -> list[Item]:
        """Sound as consecutive stretches of at most the length that the model takes; an image as it is."""
        longest = self._sound.max_seconds
        if item.signature != (Modality.AUDIO,) or longest is None:
            return [item]
        part = item.parts[0]
        length = longest * max_units / (self._max_tokens or _IMAGE_UNITS)
        count = math.ceil(part.payload.seconds / length)
        pieces = []
        for number in range(count):
            stretch = part.payload.stretch(number * length, (number + 1) * length)
            digest = blake2b(part.digest + f"{stretch.start}-{stretch.end}".encode(), digest_size=len(part.digest))
            pieces.append(replace(item, parts=(replace(part, payload=stretch, digest=digest.digest()),)))
        return pieces

    def prepare(self, items: Sequence[Item], treatment: Treatment) -> MediaBatch:
        """The model's inputs. Sound shares them only with sound of the same length.

        Raises:
            InvalidInputError: for sound that is longer than the model takes and that the host was given no limit to
                cut by.
        """
        if items[0].signature == (Modality.IMAGE,):
            inputs: list[Any] = [{"image": _decoded(item.parts[0].payload, None)} for item in items]
            groups = [tuple(range(len(items)))]
        else:
            inputs, groups = self._sounds(items)
        made = tuple((places, self._features([inputs[place] for place in places], treatment)) for places in groups)
        return MediaBatch(made, len(items), treatment.task)

    def _sounds(self, items: Sequence[Item]) -> tuple[list[Any], list[tuple[int, ...]]]:
        inputs = []
        by_length: dict[int, list[int]] = {}
        for place, item in enumerate(items):
            wave = _decoded(item.parts[0].payload, self._sound.sample_rate)
            samples = wave.samples
            if self._sound.max_samples is not None and len(samples) > self._sound.max_samples:
                if self._max_tokens is None:
                    raise InvalidInputError(
                        f"the recording lasts {wave.seconds:.1f} s, and the model takes {self._sound.max_seconds:.1f} s"
                    )
                samples = samples[: self._sound.max_samples]
            inputs.append({"audio": {"array": samples, "sampling_rate": wave.sample_rate}})
            by_length.setdefault(0 if self._sound.fixed_length else len(samples), []).append(place)
        return inputs, [tuple(places) for places in by_length.values()]

    def _features(self, inputs: list[Any], treatment: Treatment) -> dict[str, Any]:
        options = {} if treatment.task is None else {"task": treatment.task}
        with self._lock:
            return dict(self._model.preprocess(inputs, prompt=treatment.prompt or None, **options))


@dataclass(frozen=True, slots=True)
class _Sound:
    """How a loaded model takes sound.

    Attributes:
        sample_rate: in Hz.
        max_samples: how much of it is not thrown away, without a word, by its feature extractor.
        fixed_length: whether all sound is brought to one length, so that what shares a batch does not matter.
    """

    sample_rate: int = 1
    max_samples: int | None = None
    fixed_length: bool = False

    @property
    def max_seconds(self) -> float | None:
        return None if self.max_samples is None else self.max_samples / self.sample_rate

    @classmethod
    def of(cls, model: SentenceTransformer) -> _Sound:
        extractor = _feature_extractor(model)
        rate = getattr(extractor, "sampling_rate", None)
        if not isinstance(rate, int):
            return cls()
        for name in ("nb_max_samples", "n_samples"):  # CLAP and Whisper
            if isinstance(most := getattr(extractor, name, None), int):
                return cls(rate, most, fixed_length=True)
        parameters = inspect.signature(type(extractor).__call__).parameters
        cuts = "truncation" in parameters and parameters["truncation"].default is True
        most = parameters["max_length"].default if "max_length" in parameters and cuts else None
        return cls(rate, most if isinstance(most, int) else None)


def _decoded(payload: Any, sample_rate: int | None) -> Any:
    """What the pipeline has decoded as it is; a source from somewhere else is decoded now."""
    if not hasattr(payload, "decode"):
        return payload
    return payload.decode() if sample_rate is None else payload.decode(sample_rate)


def _feature_extractor(model: SentenceTransformer) -> Any:
    for module in _first_modules(model):
        processor = getattr(module, "processor", None)
        for candidate in (getattr(processor, "feature_extractor", None), processor):
            if hasattr(candidate, "sampling_rate"):
                return candidate
    return None


def _first_modules(model: SentenceTransformer) -> Iterator[Any]:
    from sentence_transformers.base.modules import Router

    first = model[0]
    if isinstance(first, Router):
        for route in first.sub_modules.values():
            yield next(route.children())
    else:
        yield first
