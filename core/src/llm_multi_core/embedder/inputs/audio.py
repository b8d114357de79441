"""Audio inputs: every form that people have, to one mono waveform at the model's rate.

Decoding is left for later, since it is slow and can run beside the model; what is done at once is
the digest and, for files, a look at the header.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.inputs.sources import Source, SourcePolicy, find_source
from llm_multi_core.embedder.items import DIGEST_SIZE, Item, Modality, Part

MIN_RATE, MAX_RATE = 1_000, 768_000
"""Sample rates in Hz that are taken for real."""
MAX_CHANNELS = 6
"""More than 5.1 surround is rather an array in the wrong orientation, or no recording for a listener."""
MAX_SECONDS = 4 * 3600.0
"""The longest recording that is decoded; a model's own limit is far below."""

_DIGEST = b"audio"
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
        """The same sound at another rate (soxr, high quality)."""
        if sample_rate == self.sample_rate:
            return self
        import soxr

        return Waveform(soxr.resample(self.samples, self.sample_rate, sample_rate).astype(np.float32), sample_rate)


@dataclass(frozen=True, slots=True)
class AudioSource:
    """A recording, or a stretch of one, that is not decoded yet.

    Attributes:
        source: where its bytes are, or the decoded sound itself.
        start, end: the stretch, in seconds of the recording.
    """

    source: Source | Waveform
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """The length of the stretch."""
        return self.end - self.start

    def stretch(self, start: float, end: float) -> AudioSource:
        """A part of this stretch, in seconds from its start."""
        return replace(self, start=self.start + start, end=min(self.end, self.start + end))

    def decode(self, sample_rate: int | None = None) -> Waveform:
        """The sound, mono, at `sample_rate` (or its own).

        Raises:
            InvalidInputError: if it is damaged or holds values that are not finite.
        """
        sound = self.source
        if isinstance(sound, Source):
            sound = _read(sound, self.start, self.end)
        else:
            first, last = round(self.start * sound.sample_rate), round(self.end * sound.sample_rate)
            sound = Waveform(sound.samples[first:last], sound.sample_rate)
        return sound if sample_rate is None else sound.resample(sample_rate)

    def read(self) -> bytes:
        """The file as it is, for a provider that decodes it itself; a bare waveform as WAV."""
        if isinstance(self.source, Source):
            with self.source.open() as file:
                return file.read()
        import io

        import soundfile

        buffer = io.BytesIO()
        soundfile.write(buffer, self.source.samples, self.source.sample_rate, format="WAV")
        return buffer.getvalue()


def audio_item(value: Any, sample_rate: int | None, policy: SourcePolicy | None = None) -> Item:
    """One recording as an item.

    Args:
        value: a path, a `file:`, `data:` or (if allowed) `http(s):` URL, bytes, a binary file object,
            an array `(frames,)` or `(frames, channels)`, or a pair of an array and its sample rate.
        sample_rate: the rate of a bare array, in Hz.
        policy: what references may lead to.

    Raises:
        InvalidInputError: if it is none of these, is empty, missing, not allowed, or out of bounds.
    """
    policy = policy or SourcePolicy()
    if isinstance(value, tuple) and len(value) == 2 and _is_rate(value[1]):
        value, sample_rate = value
    if _is_array(value):
        if sample_rate is None:
            raise InvalidInputError("a bare array needs its sample rate: pass (array, rate) or sample_rate=")
        sound = _from_array(np.asarray(value), sample_rate)
        state = blake2b(str(sound.sample_rate).encode(), digest_size=DIGEST_SIZE, person=_DIGEST)
        state.update(sound.samples.data)
        return Item((Part(Modality.AUDIO, AudioSource(sound, 0.0, sound.seconds), state.digest()),))
    source = find_source(value, policy, "audio")
    if source is None:
        raise InvalidInputError(
            f"a recording is a path, a URL, bytes, a file object or an array, not {type(value).__name__}"
        )
    digest = source.digest(_DIGEST, policy.max_bytes)
    return Item((Part(Modality.AUDIO, AudioSource(source, 0.0, _seconds_of(source)), digest),))


def _seconds_of(source: Source) -> float:
    """The length of a file by its header, once that was found sound."""
    import soundfile

    with source.open() as file:
        try:
            with soundfile.SoundFile(file) as sound:
                _check_form(sound.samplerate, sound.channels, sound.frames, source.name)
                return float(sound.frames / sound.samplerate)
        except soundfile.SoundFileError as error:
            raise InvalidInputError(f"{source.name} is not a sound file in a known format ({error})") from None


def _read(source: Source, start: float, end: float) -> Waveform:
    import soundfile

    with source.open() as file:
        try:
            with soundfile.SoundFile(file) as sound:
                rate = int(sound.samplerate)
                _check_form(rate, sound.channels, sound.frames, source.name)
                if start > 0:
                    sound.seek(round(start * rate))
                frames = sound.read(round((end - start) * rate), dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise InvalidInputError(f"{source.name} is a damaged sound file ({error})") from None
    if len(frames) == 0:
        raise InvalidInputError(f"{source.name} is a damaged sound file: it holds no samples")
    return _mono(frames, rate)


def _from_array(array: Any, sample_rate: Any) -> Waveform:
    if not _is_rate(sample_rate):
        raise InvalidInputError(f"a sample rate is a positive number of Hz, not {sample_rate!r}")
    if array.ndim == 2 and array.shape[0] <= MAX_CHANNELS < array.shape[1]:
        raise InvalidInputError(f"the array has its channels first, {array.shape}; pass array.T")
    if array.ndim not in {1, 2}:
        raise InvalidInputError(f"sound is an array (frames,) or (frames, channels), not {array.shape}")
    channels = 1 if array.ndim == 1 else array.shape[1]
    _check_form(int(sample_rate), channels, len(array), "the array")
    return _mono(_to_floats(array.reshape(len(array), channels)), int(sample_rate))


def _to_floats(array: Any) -> Samples:
    """Samples from -1 to 1: integers by their range, floats as they are."""
    kind = array.dtype
    if np.issubdtype(kind, np.floating):
        return np.asarray(array, np.float32)
    if kind == np.uint8:
        return np.asarray((array.astype(np.float32) - 128) / 128, np.float32)
    if kind in (np.dtype(np.int16), np.dtype(np.int32)):
        return np.asarray(array / -float(np.iinfo(kind).min), np.float32)
    raise InvalidInputError(f"sound is an array of floats, int16, int32 or uint8, not of {kind}")


def _mono(frames: Samples, sample_rate: int) -> Waveform:
    samples = frames[:, 0] if frames.shape[1] == 1 else frames.mean(axis=1)
    if not np.isfinite(samples).all():
        raise InvalidInputError("the sound holds samples that are not finite")
    return Waveform(np.ascontiguousarray(samples, np.float32), sample_rate)


def _check_form(rate: int, channels: int, frames: int, name: str) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise InvalidInputError(f"{name} has a sample rate of {rate} Hz; {MIN_RATE} to {MAX_RATE} are taken")
    if channels > MAX_CHANNELS:
        raise InvalidInputError(f"{name} has {channels} channels; mix them down to at most {MAX_CHANNELS} first")
    if frames <= 0:
        raise InvalidInputError(f"{name} holds no samples")
    if frames / rate > MAX_SECONDS:
        raise InvalidInputError(f"{name} lasts {frames / rate:.0f} s; at most {MAX_SECONDS:.0f} are decoded")


def _is_rate(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool) and bool(value > 0)


def _is_array(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return True
    return isinstance(value, list) and bool(value) and isinstance(value[0], float | int | list)
