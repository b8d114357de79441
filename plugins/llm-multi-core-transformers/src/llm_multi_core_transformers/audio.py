"""What the encoders of sound share: the model's files, its identity, lengths and pieces."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from llm_multi_core.embedder import (
    Description,
    Intake,
    InvalidOptionError,
    Item,
    Limits,
    Measure,
    Modality,
    ModelLoadError,
    Space,
    Task,
)
from llm_multi_core_torch import (
    CONFIG_NOISE,
    ModelFiles,
    TorchEncoder,
    milliseconds_of,
    model_identity,
    split_sound,
    without,
)
from llm_multi_core_transformers.audio_specs import AUDIO_FRAMEWORKS
from llm_multi_core_transformers.checkpoints import code_of, find_checkpoint, load_part, weights_of
from llm_multi_core_transformers.sound_files import sound_preprocessing

_KNOWN = tuple(model.name for framework in AUDIO_FRAMEWORKS for model in framework.models)
_FRAMEWORKS = {
    "clap": "clap",
    "data2vec-audio": "data2vec",
    "hubert": "hubert",
    "wav2vec2": "wav2vec2",
    "wavlm": "wavlm",
    "whisper": "whisper",
}
"""The framework for a type of model, to name in an error."""


class SoundEncoder(TorchEncoder):
    """A transformers model that takes sound, at the rate that its feature extractor names.

    A subclass says which types of models it runs, in `model_types`, and how.
    """

    model_types: ClassVar[frozenset[str]]
    default_sample_rate: ClassVar[int] = 16_000
    """That of the feature extractor's class, where its settings name none."""
    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.AUDIO})

    # What its files say.

    @property
    def _options(self) -> Mapping[str, Any]:
        return self.config.options

    @cached_property
    def _files(self) -> ModelFiles:
        return find_checkpoint(self.config.model, self._options, _KNOWN)

    @cached_property
    def _model_config(self) -> Any:
        """The model's transformers configuration."""
        from transformers import AutoConfig

        kind = self._files.read_object("config.json").get("model_type")
        if kind not in self.model_types:
            self._refuse(kind)
        return load_part(AutoConfig, self._files, self._options)

    def _refuse(self, kind: str | None) -> None:
        """Raise for a type of model that is not for this encoder.

        Raises:
            ModelLoadError: naming the framework that takes it, if there is one.
        """
        label, framework = self._files.label, self.config.framework
        if kind is None:
            raise ModelLoadError(f"model {label!r} has no config.json that names its type")
        instead = _FRAMEWORKS.get(kind)
        hint = f"; use framework={instead!r}" if instead else f" (it runs {', '.join(sorted(self.model_types))})"
        raise ModelLoadError(f"model {label!r} is of type {kind!r}, which {framework} does not run{hint}")

    @cached_property
    def _preprocessing(self) -> dict[str, Any]:
        """The settings of the feature extractor."""
        return sound_preprocessing(self._files)

    @cached_property
    def sample_rate(self) -> int:
        """The rate in Hz of the sound that the model was trained on."""
        return int(self._preprocessing.get("sampling_rate", self.default_sample_rate))

    @property
    @abstractmethod
    def _dimension(self) -> int:
        """Components of a vector."""

    @abstractmethod
    def _limits(self) -> Limits:
        """How much it takes at once."""

    def _max_milliseconds(self, window: float, *, fixed: bool) -> int:
        """The longest recording.

        Args:
            window: that of the model, in seconds.
            fixed: whether the model can hear no more than that.

        Raises:
            InvalidOptionError: if the user asks for more, or for nothing.
        """
        chosen = self._options["max_seconds"]
        if chosen is None:
            return round(window * 1000)
        if not chosen * 1000 >= 1:
            raise InvalidOptionError(f"max_seconds={chosen} is not a length of at least a millisecond")
        if fixed and chosen > window:
            raise InvalidOptionError(
                f"max_seconds={chosen} is beyond model {self._files.label!r}, which hears {window:g} s"
            )
        return int(chosen * 1000)

    def describe(self) -> Description:
        """What the model's configuration says."""
        config = self._model_config
        dimension = self._dimension
        self.require_dimension(dimension, self._files.label)
        space = Space(
            name=model_identity(
                [
                    config.model_type,
                    weights_of(self._files, self._options),
                    without(self._files.read_object("config.json"), CONFIG_NOISE),
                    without(self._preprocessing, CONFIG_NOISE),
                    *code_of(self._files, self._options),
                ]
            ),
            dimension=dimension,
            options=self.config.space_options,
            modalities=self.modalities,
            label=self._files.short_label,
        )
        return Description(
            space=space,
            limits=self._limits(),
            native_dimension=dimension,
            intake=Intake(sample_rate=self.sample_rate),
        )

    def identity(self) -> Mapping[str, str]:
        """Engine and precision, what becomes of frames, and the longest recording."""
        chosen = {name: repr(self._options[name]) for name in ("pooling", "layer") if name in self._options}
        return {**super().identity(), **chosen, "longest": str(self._limits().units_per_item)}

    # What it does.

    def _load_extractor(self) -> Any:
        from transformers import AutoFeatureExtractor

        return load_part(AutoFeatureExtractor, self._files, self._options)

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """Milliseconds, from the headers of files."""
        return Measure([milliseconds_of(item) for item in items])

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """Consecutive stretches of the recording."""
        return split_sound(item, max_units)
