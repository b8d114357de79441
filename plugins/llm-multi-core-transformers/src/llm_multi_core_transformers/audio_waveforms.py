"""The encoder for models of the raw waveform: wav2vec 2.0, HuBERT, WavLM, data2vec and their kin.

Padding never changes a vector. Many of these models normalise the first convolution over time
(`feat_extract_norm="group"`), and then padding shows in every frame, masked or not; in others it
leaks through stacked positional convolutions (data2vec). There only recordings of equal length share
a batch. The rest are padded behind a mask, as their authors do.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from llm_multi_core.embedder import Item, Limits, Task
from llm_multi_core_torch import Samples, example_sounds, samples_of, seconds_of
from llm_multi_core_transformers.audio import SoundEncoder
from llm_multi_core_transformers.audio_frames import (
    WAVEFORM_TYPES,
    chosen_layers,
    convolutions_of,
    fewest_samples,
    frame_counts,
    frames_module,
    pool_frames,
)
from llm_multi_core_transformers.checkpoints import load_weights

if TYPE_CHECKING:
    import torch

LONGEST_SECONDS = 30.0
"""The longest recording by default: these models were trained on crops of 15 to 30 s, and their
attention takes memory by the square of the length."""

CPU_LIMITS = Limits(unit="millisecond", items_per_batch=32, units_per_batch=20_000)
GPU_LIMITS = replace(CPU_LIMITS, items_per_batch=256, units_per_batch=600_000)
"""What does not fit into memory is halved by the pipeline."""

_MASKED_TYPES = frozenset({"hubert", "wav2vec2", "wavlm"})
"""Types whose positions come from one convolution, into which padding, set to zero, does not leak."""

_UNUSED_WEIGHTS = ("masked_spec_embed",)
"""Stands for what training masks out (SpecAugment), which no inference does."""


@dataclass(frozen=True, slots=True)
class WaveformPart:
    """Recordings of a batch that run together.

    Attributes:
        places: where in the batch each is.
        values: their samples `(n, t)`, normalised, with zeros behind.
        lengths: how many samples of each are its own.
    """

    places: list[int]
    values: Samples
    lengths: list[int]


class WaveformEncoder(SoundEncoder):
    """A model whose frames come from convolutions over the waveform."""

    model_types = WAVEFORM_TYPES

    def _refuse(self, kind: str | None) -> None:
        """Types that only the model's own code knows are run if that is allowed."""
        if "AutoModel" not in self._files.read_object("config.json").get("auto_map", {}):
            super()._refuse(kind)

    @property
    def _layers(self) -> tuple[int, ...] | None:
        return chosen_layers(self._options["layer"], self._model_config.num_hidden_layers)

    @property
    def _dimension(self) -> int:
        config = self._model_config
        # An adapter comes after the last layer and may change the width.
        adapted = self._layers is None and getattr(config, "add_adapter", False)
        return int(config.output_hidden_size if adapted else config.hidden_size)

    def _limits(self) -> Limits:
        limits = GPU_LIMITS if self.on_gpu else CPU_LIMITS
        return replace(limits, units_per_item=self._max_milliseconds(LONGEST_SECONDS, fixed=False))

    @cached_property
    def _masks(self) -> bool:
        """Whether recordings of several lengths may share a batch, behind a mask."""
        config = self._model_config
        return (
            config.model_type in _MASKED_TYPES
            and config.feat_extract_norm == "layer"
            and not getattr(config, "add_adapter", False)
            and not getattr(config, "conv_pos_batch_norm", False)
        )

    @cached_property
    def _convolutions(self) -> list[tuple[int, int]]:
        """Kernel and stride of each convolution that makes frames of samples."""
        return convolutions_of(self._model_config)

    @cached_property
    def _min_samples(self) -> int:
        """The samples that one frame needs."""
        return fewest_samples(self._model_config)

    def load_model(self) -> None:
        """Load model and feature extractor."""
        from transformers import AutoModel

        layers = self._layers
        model = load_weights(
            AutoModel, self._files, self._options, self.device, self.precision, unused=_UNUSED_WEIGHTS, cast=False
        )
        self._extractor = self._load_extractor()
        sounds = example_sounds(self.sample_rate, (0.5, 0.8) if self._masks else (0.5, 0.5))
        (example,) = self._parts([self._normalised(samples) for samples in sounds])
        self._frames: Callable[..., Any] = self.accelerate(
            frames_module(model, layers), self._inputs(example), key=repr(layers)
        )
        if self._masks and self._model_config.model_type == "wavlm":
            # Its mask and its position biases have two types, of which torch warns at every call.
            warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask", UserWarning)

    def unload(self) -> None:
        """Drop the model."""
        del self._frames, self._extractor

    def batch_key(self, item: Item) -> Hashable:
        """The length in samples, where padding would show."""
        return item.signature if self._masks else (item.signature, round(seconds_of(item) * self.sample_rate))

    def prepare(self, items: Sequence[Item], task: Task, state: Sequence[Any] | None = None) -> list[WaveformPart]:
        """Normalised samples, padded where that does not show.

        A recording shorter than one frame of the model is followed by silence to that length.

        Raises:
            InvalidInputError: if a recording is damaged.
        """
        return self._parts([self._normalised(samples) for samples in samples_of(items, self.sample_rate)])

    def _parts(self, values: Sequence[Samples]) -> list[WaveformPart]:
        lengths = [len(own) for own in values]
        if self._masks:
            padded = np.zeros((len(values), max(lengths)), np.float32)
            for row, own in zip(padded, values, strict=True):
                row[: len(own)] = own
            return [WaveformPart(list(range(len(values))), padded, lengths)]
        # A header may say another length than the decoded sound has.
        places = {length: [place for place, own in enumerate(lengths) if own == length] for length in lengths}
        return [
            WaveformPart(same, np.stack([values[place] for place in same]), [length] * len(same))
            for length, same in places.items()
        ]

    def _normalised(self, samples: Samples) -> Samples:
        # Alone and unpadded, so that only its own samples count for mean and variance.
        features = self._extractor(
            samples, sampling_rate=self.sample_rate, return_attention_mask=False, return_tensors="np"
        )
        values = np.asarray(features["input_values"][0], np.float32)
        return np.pad(values, (0, max(0, self._min_samples - len(values))))

    def compute(self, batch: list[WaveformPart]) -> torch.Tensor:
        """The pooled frames `(n, d)`."""
        import torch

        rows = torch.cat([self._rows(part) for part in batch])
        order = np.argsort([place for part in batch for place in part.places])
        return rows[torch.from_numpy(order).to(rows.device)]

    def _rows(self, part: WaveformPart) -> torch.Tensor:
        import torch

        counts = None
        if self._masks:
            counts = frame_counts(torch.tensor(part.lengths, device=self.device), self._convolutions)
        return pool_frames(self._frames(**self._inputs(part)), counts, self._options["pooling"])

    def _inputs(self, part: WaveformPart) -> dict[str, torch.Tensor]:
        import torch

        values = torch.from_numpy(part.values).to(self.device, self.precision.weights_dtype)
        if not self._masks:
            return {"input_values": values}
        lengths = torch.tensor(part.lengths, device=self.device)
        mask = torch.arange(values.shape[1], device=self.device) < lengths[:, None]
        return {"input_values": values, "attention_mask": mask.long()}
