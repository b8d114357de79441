"""What models of the waveform with a CTC head hear: wav2vec 2.0, HuBERT, WavLM, data2vec and their kin.

Each recording is run alone, since padding shows in the frames of many of these models. A long one is
cut into windows that overlap; of the overlap, each window gives the half on its own side
(https://huggingface.co/blog/asr-chunking).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from llm_multi_core_torch import ModelFiles, Precision, Samples
from llm_multi_core_transformers.audio_frames import fewest_samples
from llm_multi_core_transformers.checkpoints import load_part, load_weights

if TYPE_CHECKING:
    import torch

WINDOW_SECONDS = 30.0
STRIDE_SECONDS = WINDOW_SECONDS / 6
"""What a window hears at either side for the sake of the rest only."""

_UNUSED_WEIGHTS = ("masked_spec_embed",)


@dataclass(frozen=True, slots=True)
class _Window:
    """Normalised samples `(frames,)`, and which of the model's frames of them count."""

    values: torch.Tensor
    left: int
    right: int | None


class CTCRecogniser:
    """A model with a CTC head.

    Args:
        files: the model's.
        options: the framework's.
        device: where it runs.
        precision: in which it computes.

    Raises:
        ModelLoadError: if it cannot be loaded.
    """

    def __init__(self, files: ModelFiles, options: Mapping[str, Any], device: str, precision: Precision) -> None:
        from transformers import AutoFeatureExtractor, AutoModelForCTC, AutoTokenizer

        self._device, self._dtype = device, precision.weights_dtype
        self._extractor: Any = load_part(AutoFeatureExtractor, files, options)
        self._tokenizer: Any = load_part(AutoTokenizer, files, options)
        self._model: Any = load_weights(AutoModelForCTC, files, options, device, precision, unused=_UNUSED_WEIGHTS)
        config: Any = self._model.config
        self._hop = int(config.inputs_to_logits_ratio)
        self._fewest = fewest_samples(config)

    def prepare(self, recordings: Sequence[Samples]) -> list[list[_Window]]:
        """The windows of each recording `(frames,)`."""
        return [
            [_Window(self._normalised(samples[first:last]), left, right) for first, last, left, right in windows]
            for samples, windows in ((samples, self._windows(len(samples))) for samples in recordings)
        ]

    def words(self, prepared: list[list[_Window]]) -> list[str]:
        """What is said in each recording."""
        return [self._text(windows) for windows in prepared]

    def _normalised(self, samples: Samples) -> torch.Tensor:
        import torch

        features = self._extractor(
            samples, sampling_rate=self._extractor.sampling_rate, return_attention_mask=False, return_tensors="np"
        )
        values = np.asarray(features["input_values"][0], np.float32)
        values = np.pad(values, (0, max(0, self._fewest - len(values))))
        return torch.from_numpy(values).to(self._device, self._dtype)

    def _text(self, windows: list[_Window]) -> str:
        import torch

        frames = [
            self._model(input_values=window.values[None]).logits[0].argmax(dim=-1)[window.left : window.right]
            for window in windows
        ]
        return str(self._tokenizer.decode(torch.cat(frames).cpu())).strip()

    def _windows(self, count: int) -> Iterator[tuple[int, int, int, int | None]]:
        """First and last of so many samples in each window, and which of its frames count, from left to right."""
        rate = self._extractor.sampling_rate
        window, stride = (round(seconds * rate / self._hop) * self._hop for seconds in (WINDOW_SECONDS, STRIDE_SECONDS))
        if count <= window:
            yield 0, count, 0, None
            return
        for first in range(0, count, window - 2 * stride):
            last = min(first + window, count)
            ends = first + window >= count
            left = 0 if first == 0 else stride // self._hop
            frames = round((last - first) / self._hop)
            yield first, last, left, None if ends else frames - stride // self._hop
            if ends:
                return
