"""Samples of every kind to one mono waveform. Knows arrays, no files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.inputs.libraries import require

MIN_RATE, MAX_RATE = 1_000, 768_000
"""Sample rates in Hz that are taken for real."""
MAX_CHANNELS = 6
"""More than 5.1 surround is rather an array in the wrong orientation, or no recording for a listener."""
MAX_SECONDS = 4 * 3600.0
"""The longest recording that is decoded; a model's own limit is far below."""
MAX_PEAK = 32.0
"""Floats beyond 30 dB over full scale are taken for integers that were not scaled."""

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Waveform:
    """Decoded sound: mono samples `(frames,)` from -1 to 1, and their rate in Hz."""

    samples: Samples
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / self.sample_rate

    def resample(self, sample_rate: int) -> Waveform:
        """The same sound at another rate (soxr, high quality).

        Raises:
            InvalidInputError: if nothing is left of it, since it is too short.
        """
        if sample_rate == self.sample_rate:
            return self
        return Waveform(resampled([self.samples], self.sample_rate, sample_rate), sample_rate)


def resampled(blocks: Iterable[Samples], rate: int, sample_rate: int) -> Samples:
    """Consecutive blocks `(frames,)` of a sound, joined and at another rate; equal to resampling them joined.

    Raises:
        InvalidInputError: if nothing is left, since the sound is too short.
        FrameworkUnavailableError: if soxr is needed and not installed.
    """
    if rate == sample_rate:
        done = list(blocks)
    else:
        require("soxr", "audio")
        import soxr

        stream = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32")
        done = [stream.resample_chunk(block) for block in blocks]
        done.append(stream.resample_chunk(np.empty(0, np.float32), last=True))
    joined = np.concatenate(done) if len(done) != 1 else done[0]
    if len(joined) == 0:
        raise InvalidInputError(f"the sound is too short: nothing is left of it at {sample_rate} Hz")
    return np.ascontiguousarray(joined, np.float32)


def from_array(array: npt.NDArray[Any], sample_rate: Any) -> Waveform:
    """An array `(frames,)` or `(frames, channels)` as a waveform of its own memory.

    Raises:
        InvalidInputError: for another shape, other values, no samples, or an impossible rate.
    """
    rate = _rate(sample_rate)
    if array.ndim == 2 and array.shape[0] <= MAX_CHANNELS < array.shape[1]:
        raise InvalidInputError(f"the array has its channels first, {array.shape}; pass array.T")
    if array.ndim not in {1, 2}:
        raise InvalidInputError(f"sound is an array (frames,) or (frames, channels), not {array.shape}")
    channels = 1 if array.ndim == 1 else array.shape[1]
    check_form(rate, channels, len(array), "the array")
    samples = to_mono(_to_floats(np.asarray(array)).reshape(len(array), channels), "the array")
    return Waveform(samples.copy() if np.may_share_memory(samples, array) else samples, rate)


def to_mono(frames: Samples, name: str) -> Samples:
    """The mean of the channels of `(frames, channels)`.

    Raises:
        InvalidInputError: for samples that are not finite.
    """
    if not np.isfinite(frames).all():
        raise InvalidInputError(f"{name} holds samples that are not finite")
    samples = frames[:, 0] if frames.shape[1] == 1 else frames.mean(axis=1, dtype=np.float32)
    return np.ascontiguousarray(samples, np.float32)


def check_form(rate: int, channels: int, frames: int, name: str) -> None:
    """Refuse what is hardly a recording, or too long a one.

    Raises:
        InvalidInputError: for a rate, a number of channels or a length out of bounds.
    """
    if not MIN_RATE <= rate <= MAX_RATE:
        raise InvalidInputError(f"{name} has a sample rate of {rate} Hz; {MIN_RATE} to {MAX_RATE} are taken")
    if not 1 <= channels <= MAX_CHANNELS:
        raise InvalidInputError(f"{name} has {channels} channels; 1 to {MAX_CHANNELS} are mixed down")
    if frames <= 0:
        raise InvalidInputError(f"{name} holds no samples")
    if frames / rate > MAX_SECONDS:
        raise InvalidInputError(f"{name} lasts {frames / rate:.0f} s; at most {MAX_SECONDS:.0f} are decoded")


def is_number(value: Any) -> bool:
    """Whether a value can be a sample rate by its type."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _rate(value: Any) -> int:
    if not is_number(value) or not isfinite(value) or value <= 0 or round(value) != value:
        raise InvalidInputError(f"a sample rate is a whole, positive number of Hz, not {value!r}")
    return int(value)


def _to_floats(array: npt.NDArray[Any]) -> Samples:
    """Samples from -1 to 1: integers by their range, floats as they are."""
    kind = array.dtype
    if kind.kind == "f":
        peak = max(float(array.max()), -float(array.min()))
        if MAX_PEAK < peak < np.inf:
            raise InvalidInputError(
                f"sound of floats has samples from -1 to 1, and these reach {peak:.4g}; divide them by their full "
                "scale, or pass the integers that they were"
            )
        return np.asarray(array, np.float32)
    if kind == np.uint8:
        return (array.astype(np.float32) - np.float32(128)) / np.float32(128)
    if kind.kind == "i" and kind.itemsize in {2, 4}:
        return np.asarray(array / 2.0 ** (8 * kind.itemsize - 1), np.float32)
    raise InvalidInputError(f"sound is an array of floats, int16, int32 or uint8, not of {kind}")
