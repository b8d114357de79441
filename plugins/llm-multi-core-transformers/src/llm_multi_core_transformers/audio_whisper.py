"""The encoder of Whisper, without its decoder.

Whisper hears 30 s whatever the length of a recording: silence is put behind a shorter one, and the
encoder has no mask. The frames of that silence are left out of the vector here. Neighbours in a batch
never matter, since all are of one length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder import Item, Limits, ModelLoadError, Task
from llm_multi_core_torch import Samples, example_sounds, samples_of
from llm_multi_core_transformers.audio import SoundEncoder
from llm_multi_core_transformers.audio_frames import chosen_layers, frame_counts, frames_module, pool_frames
from llm_multi_core_transformers.checkpoints import load_weights

if TYPE_CHECKING:
    import torch

CPU_LIMITS = Limits(unit="millisecond", items_per_batch=4, padded=False)
"""Every recording costs as much as one of 30 s, so that a few fill the cores."""
GPU_LIMITS = replace(CPU_LIMITS, items_per_batch=64)

_UNUSED_WEIGHTS = ("decoder.",)
_CONVOLUTIONS = ((1, 2),)
"""Of the encoder's two convolutions, both padded, the second leaves out every other hop."""


@dataclass(frozen=True, slots=True)
class SpectrogramBatch:
    """Log-mel spectrograms `(n, mels, frames)`, and how many frames of each are of real sound `(n,)`."""

    features: Samples
    counts: npt.NDArray[np.int64]


class WhisperEncoder(SoundEncoder):
    """The frames of Whisper's encoder."""

    model_types = frozenset({"whisper"})

    @property
    def _layers(self) -> tuple[int, ...] | None:
        return chosen_layers(self._options["layer"], self._model_config.encoder_layers)

    @property
    def _dimension(self) -> int:
        return int(self._model_config.d_model)

    @cached_property
    def _window_samples(self) -> int:
        settings = self._preprocessing
        samples = int(settings.get("chunk_length", 30)) * self.sample_rate
        frames, positions = samples // int(settings.get("hop_length", 160)), self._model_config.max_source_positions
        if frames != 2 * positions:
            raise ModelLoadError(
                f"the feature extractor of model {self._files.label!r} gives {frames} frames where the model takes "
                f"{2 * positions}"
            )
        return samples

    def _limits(self) -> Limits:
        limits = GPU_LIMITS if self.on_gpu else CPU_LIMITS
        window = self._window_samples / self.sample_rate
        return replace(limits, units_per_item=self._max_milliseconds(window, fixed=True))

    def load_model(self) -> None:
        """Load the encoder and the feature extractor."""
        from transformers import AutoModel

        layers = self._layers
        model: Any = load_weights(
            AutoModel, self._files, self._options, self.device, self.precision, unused=_UNUSED_WEIGHTS, cast=False
        )
        self._extractor = self._load_extractor()
        self._extractor.dither = 0.0  # noise, against silence in training; a vector must not depend on it
        example = self._inputs(self._spectrograms(example_sounds(self.sample_rate)))
        self._frames: Callable[..., Any] = self.accelerate(
            frames_module(model.get_encoder(), layers), example, key=repr(layers)
        )

    def unload(self) -> None:
        """Drop the model."""
        del self._frames, self._extractor

    def prepare(self, items: Sequence[Item], task: Task, state: Sequence[Any] | None = None) -> SpectrogramBatch:
        """Log-mel spectrograms, by the model's own feature extractor.

        Raises:
            InvalidInputError: if a recording is damaged.
        """
        return self._spectrograms(samples_of(items, self.sample_rate))

    def _spectrograms(self, sounds: Sequence[Samples]) -> SpectrogramBatch:
        inputs = self._extractor(
            list(sounds), sampling_rate=self.sample_rate, return_attention_mask=True, return_tensors="np"
        )
        features = np.asarray(inputs["input_features"], np.float32)
        return SpectrogramBatch(features, np.asarray(inputs["attention_mask"]).sum(axis=1).astype(np.int64))

    def compute(self, batch: SpectrogramBatch) -> torch.Tensor:
        """The pooled frames `(n, d)`."""
        import torch

        counts = frame_counts(torch.from_numpy(batch.counts).to(self.device), _CONVOLUTIONS)
        return pool_frames(self._frames(**self._inputs(batch)), counts, self._options["pooling"])

    def _inputs(self, batch: SpectrogramBatch) -> dict[str, torch.Tensor]:
        import torch

        features = torch.from_numpy(batch.features)
        return {"input_features": features.to(self.device, self.precision.weights_dtype)}
