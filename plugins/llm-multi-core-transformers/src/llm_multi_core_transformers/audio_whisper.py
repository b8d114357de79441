"""The encoder of Whisper, without its decoder.

Whisper hears 30 s whatever the length of a recording: silence is put behind a shorter one, and the
encoder has no mask. The frames of that silence are left out of the vector here. Neighbours in a batch
never matter, since all are of one length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder import Item, Limits, ModelLoadError, Task
from llm_multi_core_transformers.audio import SoundEncoder
from llm_multi_core_transformers.audio_frames import chosen_layers, frames_of, pool_frames
from llm_multi_core_transformers.audio_sounds import Samples, samples_of
from llm_multi_core_transformers.checkpoints import load_weights

if TYPE_CHECKING:
    import torch

CPU_LIMITS = Limits(unit="millisecond", items_per_batch=4, padded=False)
"""Every recording costs as much as one of 30 s, so that a few fill the cores."""
GPU_LIMITS = replace(CPU_LIMITS, items_per_batch=64)

_UNUSED_WEIGHTS = ("decoder.",)


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

        model: Any = load_weights(
            AutoModel, self._files, self._options, self.device, self.precision, unused=_UNUSED_WEIGHTS
        )
        self._model = model.get_encoder()
        self._extractor = self._load_extractor()
        self._extractor.dither = 0.0  # noise, against silence in training; a vector must not depend on it

    def unload(self) -> None:
        """Drop the model."""
        del self._model, self._extractor

    def prepare(self, items: Sequence[Item], task: Task, state: Sequence[Any] | None = None) -> SpectrogramBatch:
        """Log-mel spectrograms, by the model's own feature extractor.

        Raises:
            InvalidInputError: if a recording is damaged.
        """
        inputs = self._extractor(
            samples_of(items, self.sample_rate),
            sampling_rate=self.sample_rate,
            return_attention_mask=True,
            return_tensors="np",
        )
        features = np.asarray(inputs["input_features"], np.float32)
        return SpectrogramBatch(features, np.asarray(inputs["attention_mask"]).sum(axis=1).astype(np.int64))

    def compute(self, batch: SpectrogramBatch) -> torch.Tensor:
        """The pooled frames `(n, d)`."""
        import torch

        layers = self._layers
        features = torch.from_numpy(batch.features).to(self.device, self.precision.weights_dtype)
        output = self._model(features, output_hidden_states=layers is not None)
        counts = self._model._get_feat_extract_output_lengths(torch.from_numpy(batch.counts).to(self.device))
        return pool_frames(frames_of(output, layers), counts, self._options["pooling"])
