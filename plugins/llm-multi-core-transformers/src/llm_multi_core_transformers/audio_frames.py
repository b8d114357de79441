"""From the frames of a model to one vector: which layer, how many frames are of sound, and how they are pooled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import InvalidOptionError

if TYPE_CHECKING:
    import torch

WAVEFORM_TYPES = frozenset(
    {"data2vec-audio", "hubert", "unispeech", "unispeech-sat", "wav2vec2", "wav2vec2-conformer", "wavlm"}
)
"""Types of models whose frames come from convolutions over the waveform."""

_MEAN = "mean"


def chosen_layers(layer: int | str, layers: int) -> tuple[int, ...] | None:
    """Which hidden states are averaged, as indices from 0; `None` stands for the model's output itself.

    Hidden state 0 is what enters the first layer, number `n` what leaves the `n`-th. Where a model
    normalises after its last layer (`do_stable_layer_norm`), only its output is normalised. The mean
    over all is that of SUPERB (https://arxiv.org/abs/2105.01051) with equal weights.

    Args:
        layer: `"last"`, a number (negative ones count from the end), `"mean"`, or `"mean:4"` for the
            last four.
        layers: how many layers the model has.

    Raises:
        InvalidOptionError: for anything else, or a layer that the model lacks.
    """
    if layer == "last":
        return None
    states = layers + 1
    if isinstance(layer, int):
        if not -states <= layer < states:
            raise InvalidOptionError(f"layer={layer} does not exist; the model has layers 0 to {layers}")
        return (layer % states,)
    if layer == _MEAN:
        return tuple(range(states))
    word, _, count = layer.partition(":")
    if word != _MEAN or not count.isdecimal():
        raise InvalidOptionError(f"layer={layer!r} is not 'last', a number, 'mean' or 'mean:4'")
    if not 1 <= int(count) <= states:
        raise InvalidOptionError(f"layer={layer!r}: the model has {states} hidden states")
    return tuple(range(states - int(count), states))


def frames_of(output: Any, layers: tuple[int, ...] | None) -> torch.Tensor:
    """The frames `(n, t, d)` of a model's output, in float32.

    Args:
        output: what a transformers model returned, with `hidden_states` if `layers` are chosen.
        layers: as `chosen_layers` gives them.
    """
    if layers is None:
        frames: torch.Tensor = output.last_hidden_state
        return frames.float()
    total: torch.Tensor = output.hidden_states[layers[0]].float()
    for number in layers[1:]:
        total = total + output.hidden_states[number].float()
    return total / len(layers)


def frames_module(model: torch.nn.Module, layers: tuple[int, ...] | None) -> torch.nn.Module:
    """What an engine runs: a module that takes a model's inputs and gives its frames `(n, t, d)`.

    Args:
        model: a transformers model.
        layers: as `chosen_layers` gives them.
    """
    import torch

    arguments = {} if layers is None else {"output_hidden_states": True}

    class Frames(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
            return frames_of(self.model(**inputs, **arguments), layers)

    return Frames().eval()


def convolutions_of(config: Any) -> list[tuple[int, int]]:
    """Kernel and stride of each convolution by which a model makes frames of samples."""
    kernels, strides = (getattr(config, name, ()) for name in ("conv_kernel", "conv_stride"))
    return list(zip(kernels, strides, strict=True))


def fewest_samples(config: Any) -> int:
    """The samples that one frame of a model needs."""
    samples = 1
    for kernel, stride in reversed(convolutions_of(config)):
        samples = (samples - 1) * stride + kernel
    return int(samples)


def frame_counts(lengths: torch.Tensor, convolutions: Iterable[tuple[int, int]]) -> torch.Tensor:
    """How many frames convolutions make of so many samples, both `(n,)`.

    Args:
        lengths: numbers of samples.
        convolutions: kernel and stride of each, without padding, from the first to the last.
    """
    for kernel, stride in convolutions:
        lengths = (lengths - kernel) // stride + 1
    return lengths


def pool_frames(frames: torch.Tensor, counts: torch.Tensor | None, pooling: str) -> torch.Tensor:
    """One vector `(n, d)` from the frames `(n, t, d)` of each recording.

    Args:
        frames: frames, those of padding included.
        counts: how many frames of each are of real sound `(n,)`; `None` if all are.
        pooling: `"mean"`, `"max"` (the largest value of each component), or `"first"` (the first
            frame, as the CLS token of text models).
    """
    import torch

    if pooling == "first":
        return frames[:, 0]
    if counts is None:
        return frames.mean(dim=1) if pooling == "mean" else frames.amax(dim=1)
    padding = torch.arange(frames.shape[1], device=frames.device) >= counts[:, None]
    if pooling == "max":
        return frames.masked_fill(padding[:, :, None], -torch.inf).amax(dim=1)
    return frames.masked_fill(padding[:, :, None], 0.0).sum(dim=1) / counts[:, None]
