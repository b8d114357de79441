"""Audio inputs: every form that people have, to one mono waveform at the model's rate.

Decoding is left for later, since it is slow and can run beside the model; what is done at once is
the digest and, for files, a look at the header.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.inputs.libraries import require
from llm_multi_core.embedder.inputs.riff import check_complete
from llm_multi_core.embedder.inputs.samples import (
    Samples,
    Waveform,
    check_form,
    from_array,
    is_number,
    resampled,
    to_mono,
)
from llm_multi_core.embedder.inputs.sources import Source, SourcePolicy, find_source
from llm_multi_core.embedder.items import DIGEST_SIZE, Item, Modality, Part

if TYPE_CHECKING:
    from soundfile import SoundFile

__all__ = ["AudioSource", "Waveform", "audio_item", "split_audio", "stretch_audio"]

_DIGEST = b"audio"
_BLOCK = 1 << 18
"""Frames that are decoded at a time, so that a long file never lies in memory with all its channels."""
_NO_LENGTH = 1 << 62
"""What libsndfile gives as frames where a file written into a pipe has no length, is larger than this."""
_MISSING_SECONDS = 0.1
"""How much less a compressed file may give than its header says; its last packet is often padding."""


@dataclass(frozen=True, slots=True)
class AudioSource:
    """A recording, or a stretch of one, that is not decoded yet.

    Attributes:
        source: where its bytes are, or the decoded sound itself.
        start, end: the stretch, in seconds of the recording.
        whole: whether that is all of the recording.
        format: what soundfile calls the file's format; empty for decoded sound.
    """

    source: Source | Waveform
    start: float
    end: float
    whole: bool = True
    format: str = ""

    @property
    def seconds(self) -> float:
        """The length of the stretch."""
        return self.end - self.start

    @property
    def nbytes(self) -> int:
        """Size of the file, or of the samples in memory; of a stretch its share."""
        if isinstance(self.source, Waveform):
            return int(self.source.samples.nbytes * self.seconds / max(self.source.seconds, 1e-9))
        return self.source.size

    def stretch(self, start: float, end: float) -> AudioSource:
        """A part of this stretch, in seconds from its start; what lies outside is left out."""
        first = min(self.end, self.start + max(0.0, start))
        last = min(self.end, max(first, self.start + end))
        whole = self.whole and first <= self.start and last >= self.end
        return replace(self, start=first, end=last, whole=whole)

    def decode(self, sample_rate: int | None = None) -> Waveform:
        """The sound, mono, at `sample_rate` in Hz (or its own).

        Raises:
            InvalidInputError: if it is damaged, too short, or holds values that are not finite.
            FrameworkUnavailableError: if soundfile or soxr is needed and not installed.
        """
        sound = self.source
        if isinstance(sound, Source):
            return _read(sound, self.start, self.end, sample_rate)
        first, last = round(self.start * sound.sample_rate), round(self.end * sound.sample_rate)
        sound = Waveform(sound.samples[first:last], sound.sample_rate)
        if len(sound.samples) == 0:
            raise InvalidInputError("the stretch of sound is empty")
        return sound if sample_rate is None else sound.resample(sample_rate)


def audio_item(value: Any, sample_rate: int | None, policy: SourcePolicy | None = None) -> Item:
    """One recording as an item.

    The digest is that of a file's bytes, or of an array's samples and rate once they are mono floats.

    Args:
        value: a path, a `file:`, `data:` or (if allowed) `http(s):` URL, bytes, a binary file object,
            an array `(frames,)` or `(frames, channels)`, or a pair of an array and its sample rate.
        sample_rate: the rate in Hz of a bare array, which is the one that the model wants.
        policy: what references may lead to.

    Raises:
        InvalidInputError: if it is none of these, is empty, missing, not allowed, no recording by its
            header, or out of bounds.
        FrameworkUnavailableError: if soundfile is needed and not installed.
    """
    policy = policy or SourcePolicy()
    wanted = sample_rate
    if isinstance(value, tuple) and len(value) == 2:
        value, sample_rate = _pair(*value)
    if isinstance(value, np.ndarray):
        if sample_rate is None:
            raise InvalidInputError("a bare array needs its sample rate: pass (array, rate) or sample_rate=")
        sound = from_array(value, sample_rate)
        _require_resampling(sound.sample_rate, wanted)
        state = blake2b(str(sound.sample_rate).encode(), digest_size=DIGEST_SIZE, person=_DIGEST)
        state.update(sound.samples.data)
        return Item((Part(Modality.AUDIO, AudioSource(sound, 0.0, sound.seconds), state.digest()),))
    source = find_source(value, policy, "audio")
    if source is None:
        hint = "; samples come as an array: numpy.asarray(x)" if isinstance(value, list) else ""
        raise InvalidInputError(
            f"a recording is a path, a URL, bytes, a file object or an array, not {type(value).__name__}{hint}"
        )
    with _opened(source) as file:
        check_complete(source)
        _require_resampling(int(file.samplerate), wanted)
        payload = AudioSource(source, 0.0, float(file.frames / file.samplerate), format=str(file.format))
    return Item((Part(Modality.AUDIO, payload, source.digest(_DIGEST, policy)),))


def stretch_audio(item: Item, start: float, end: float) -> Item:
    """The stretch of a one-part audio item from `start` to `end`, in seconds, with a digest of its own."""
    (part,) = item.parts
    piece: AudioSource = part.payload.stretch(start, end)
    name = f"{piece.start!r}:{piece.end!r}".encode()
    digest = blake2b(part.digest + name, digest_size=DIGEST_SIZE, person=_DIGEST).digest()
    return replace(item, parts=(replace(part, payload=piece, digest=digest),))


def split_audio(item: Item, seconds: float) -> list[Item]:
    """A one-part audio item as consecutive stretches of at most `seconds`, nothing left out.

    What an encoder's `split` returns. The stretches have digests of their own.
    """
    sound: AudioSource = item.parts[0].payload
    pieces: list[Item] = []
    for number in range(max(1, -int(-sound.seconds // seconds))):
        piece = stretch_audio(item, number * seconds, (number + 1) * seconds)
        if pieces and piece.parts[0].payload.seconds * 1e6 < 1:  # what rounding left over is no sample
            break
        pieces.append(piece)
    return pieces


def _require_resampling(rate: int, wanted: int | None) -> None:
    """Find out that soxr is missing before, and not while, a batch is decoded."""
    if wanted is not None and rate != wanted:
        require("soxr", "audio")


def _pair(value: Any, sample_rate: Any) -> tuple[Any, Any]:
    """The two halves of `(samples, rate)`."""
    if is_number(value) and isinstance(sample_rate, np.ndarray):
        raise InvalidInputError("a pair is (samples, rate), not (rate, samples)")
    if isinstance(value, list):
        value = np.asarray(value)
    if not isinstance(value, np.ndarray):
        raise InvalidInputError("a pair is (samples, rate); files know their own rate")
    return value, sample_rate


@contextmanager
def _opened(source: Source) -> Iterator[SoundFile]:
    """The sound file of a source, its header found acceptable; what goes wrong inside is a bad input."""
    require("soundfile", "audio")
    import soundfile

    with source.open() as file:
        try:
            # Without a name to look at, soundfile goes by the content and not by the suffix.
            with soundfile.SoundFile(_Nameless(file)) as sound:
                if sound.frames >= _NO_LENGTH:
                    raise InvalidInputError(f"{source.name} does not say how long it is; write it anew with its length")
                check_form(sound.samplerate, sound.channels, sound.frames, source.name)
                yield sound
        except soundfile.SoundFileError as error:
            reason = getattr(error, "error_string", error)  # without the name of the file object
            raise InvalidInputError(
                f"{source.name} is no sound file in a known format, or a damaged one ({reason})"
            ) from None


def _read(source: Source, start: float, end: float, sample_rate: int | None) -> Waveform:
    with _opened(source) as sound:
        rate = int(sound.samplerate)
        first, last = round(start * rate), min(round(end * rate), int(sound.frames))
        if last <= first:
            raise InvalidInputError("the stretch of sound is empty")
        if first > 0:
            sound.seek(first)
        wanted = rate if sample_rate is None else sample_rate
        return Waveform(resampled(_blocks(sound, last - first, source.name), rate, wanted), wanted)


def _blocks(sound: SoundFile, frames: int, name: str) -> Iterator[Samples]:
    """The next frames of a file, mono, a block at a time."""
    left = frames
    while left > 0:
        block = sound.read(min(_BLOCK, left), dtype="float32", always_2d=True)
        if len(block) == 0:
            break
        left -= len(block)
        yield to_mono(block, name)
    if left == frames or left > _MISSING_SECONDS * sound.samplerate:
        raise InvalidInputError(
            f"{name} is a damaged sound file: it ends {left / sound.samplerate:.3g} s before its end"
        )


class _Nameless:
    """A file that soundfile cannot ask for its name."""

    def __init__(self, file: Any) -> None:
        self.read, self.readinto, self.seek, self.tell = file.read, file.readinto, file.seek, file.tell
