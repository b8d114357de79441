"""What is said in recordings: Whisper, and models of the waveform with a CTC head (wav2vec 2.0, HuBERT and their kin).

Recordings of any length are heard to their end. Nothing is sampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

from llm_multi_core.embedder import EncoderConfig, Intake, InvalidOptionError, Modality, ModelLoadError
from llm_multi_core_torch import (
    CONFIG_NOISE,
    ModelFiles,
    Samples,
    TorchDescriber,
    model_identity,
    vocabulary_identity,
    without,
)
from llm_multi_core_transformers.audio_frames import WAVEFORM_TYPES
from llm_multi_core_transformers.checkpoints import code_of, find_checkpoint, weights_of
from llm_multi_core_transformers.describer_specs import TRANSCRIPT
from llm_multi_core_transformers.generation import generation_identity, require_counts
from llm_multi_core_transformers.sound_files import sound_preprocessing

_WHISPER = "whisper"
_OF_WHISPER = ("language", "task", "prompt", "max_new_tokens", "num_beams", "no_speech_threshold")


class Recogniser(Protocol):
    """A loaded model of one kind."""

    def prepare(self, recordings: Sequence[Samples]) -> Any:
        """What the model is given for recordings `(frames,)` at its rate."""

    def words(self, prepared: Any) -> list[str]:
        """What is said in each."""


class TranscriptDescriber(TorchDescriber):
    """A model of speech with a head that writes."""

    modality = Modality.AUDIO
    via = "transcript"
    intake = Intake(sample_rate=16_000)

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self._options: Mapping[str, Any] = TRANSCRIPT.check_options(config.options)
        require_counts(self._options)

    @cached_property
    def _files(self) -> ModelFiles:
        return find_checkpoint(self.config.model, self._options, [model.name for model in TRANSCRIPT.models])

    @cached_property
    def _kind(self) -> str:
        """The type of the model."""
        label = self._files.label
        kind = self._files.read_object("config.json").get("model_type")
        if kind == _WHISPER:
            return _WHISPER
        if kind not in WAVEFORM_TYPES:
            known = ", ".join(sorted(WAVEFORM_TYPES))
            raise ModelLoadError(
                f"model {label!r} is of type {kind!r}, which transcript does not run (it runs {_WHISPER}, and with a "
                f"CTC head {known})"
            )
        if "vocab.json" not in self._files:
            raise ModelLoadError(
                f"model {label!r} has no vocabulary: it was not fine-tuned to write what is said, as "
                "'facebook/wav2vec2-base-960h' was"
            )
        plain = TRANSCRIPT.check_options({})
        if given := [name for name in _OF_WHISPER if self._options[name] != plain[name]]:
            raise InvalidOptionError(f"{given[0]}= is for Whisper; model {label!r} is a {kind} with a CTC head")
        return str(kind)

    def identity(self) -> Mapping[str, str]:
        """Weights, configuration, vocabulary and preprocessing by hash, and the options of Whisper."""
        files, options = self._files, self._options
        model = model_identity(
            [
                self._kind,
                weights_of(files, options),
                without(files.read_object("config.json"), CONFIG_NOISE),
                without(sound_preprocessing(files), CONFIG_NOISE),
                vocabulary_identity(files, ""),
                generation_identity(files),
                *code_of(files, options),
            ]
        )
        return {"model": model, **{name: repr(options[name]) for name in _OF_WHISPER}}

    def load_model(self) -> None:
        """Load feature extractor, tokenizer and model."""
        from llm_multi_core_transformers.transcripts_ctc import CTCRecogniser
        from llm_multi_core_transformers.transcripts_whisper import WhisperRecogniser

        kind = WhisperRecogniser if self._kind == _WHISPER else CTCRecogniser
        self._recogniser: Recogniser = kind(self._files, self._options, self.device, self.precision)
        self._sample_rate = int(sound_preprocessing(self._files).get("sampling_rate", 16_000))

    def unload(self) -> None:
        """Drop the model."""
        del self._recogniser

    def prepare(self, media: Sequence[Any]) -> Any:
        """What the model is given."""
        return self._recogniser.prepare([sound.resample(self._sample_rate).samples for sound in media])

    def words(self, prepared: Any) -> list[str]:
        """What is said in each recording."""
        return self._recogniser.words(prepared)
