"""Sound by its timbre and register.

At 22,050 Hz, over frames of 2,048 samples every 512: the logarithm of the energy in 64 mel bands, in
decibels below the loudest band of the recording, down to -80; of it the first 40 mel-frequency
cepstral coefficients (S. Davis and P. Mermelstein, "Comparison of parametric representations for
monosyllabic word recognition in continuously spoken sentences", IEEE TASSP 28(4), 1980). The vector:

- the mean of each coefficient over the frames that sound (40), the first one, which is the general
  level, at a quarter of its size;
- its standard deviation over those frames (40);
- the share of frames that are silent (1): more than 60 dB below the loudest frame, or below -100 dB.

So loudness does not count, silence around a sound hardly counts, and silence itself has a vector:
zeros, and a share of 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from math import ceil

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder import Description, Intake, Item, Limits, Measure, Modality, Part, Task
from llm_multi_core.embedder.inputs.audio import AudioSource, Waveform
from llm_multi_core_classic.encoder import ClassicEncoder, Vector
from llm_multi_core_classic.plugin import AUDIO_MODEL

RATE = 22_050
FRAME, HOP = 2048, 512
BANDS, COEFFICIENTS = 64, 40
DIMENSION = 2 * COEFFICIENTS + 1
RANGE = 80.0
"""Decibels between the loudest band and the floor."""
SILENT, QUIETEST = 1e-3, 1e-5
"""A frame is silent below this part of the loudest frame's amplitude, or below this amplitude."""
LONGEST = 300
"""Seconds that are described at once; a longer recording falls under the truncation policy."""

_BLOCK = 1024  # frames that are transformed at once, so that memory does not grow with the length

Floats = npt.NDArray[np.float32]


class ClassicAudioEncoder(ClassicEncoder):
    """Statistics of mel-frequency cepstral coefficients."""

    model = AUDIO_MODEL
    modality = Modality.AUDIO
    libraries = ("librosa", "numpy")

    def describe(self) -> Description:
        """Fixed, whatever the sound."""
        self.check()
        self.require_dimension(DIMENSION)
        limits = Limits(
            unit="second", units_per_item=LONGEST, items_per_batch=16, units_per_batch=LONGEST, padded=False
        )
        return Description(self.space(DIMENSION), limits, DIMENSION, intake=Intake(sample_rate=RATE))

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """Seconds begun."""
        return Measure([_seconds(item.parts[0].payload) for item in items])

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """Consecutive stretches of `max_units` seconds."""
        (part,) = item.parts
        recording: AudioSource = part.payload
        pieces = range(0, _seconds(recording), max_units)
        return [_stretch(part, recording.stretch(start, start + max_units), start) for start in pieces]

    def forward(self, batch: list[Waveform]) -> Vector:
        """Rows `(n, 81)`."""
        return np.stack([describe_sound(sound.samples) for sound in batch])


def describe_sound(samples: Floats) -> Vector:
    """The vector `(81,)` of a sound `(frames,)` at 22,050 Hz."""
    import librosa

    vector = np.zeros(DIMENSION, np.float32)
    levels, energies = _energies(samples - np.float32(samples.mean(dtype=np.float64)))
    loudest = float(levels.max())
    sounding = levels > max(QUIETEST, SILENT * loudest)
    vector[-1] = 1 - sounding.mean()
    energies = energies[:, sounding]
    peak = float(energies.max(initial=0.0))
    if peak <= 0:
        vector[-1] = 1
        return vector
    floor = 10 ** (-RANGE / 10)
    # From 0 at the floor to 1 for the loudest band.
    decibels = 1 + 10 * np.log10(np.maximum(energies / np.float32(peak), floor)) / RANGE
    coefficients = librosa.feature.mfcc(S=decibels, n_mfcc=COEFFICIENTS)
    coefficients[0] /= 4
    vector[:COEFFICIENTS] = coefficients.mean(axis=1)
    vector[COEFFICIENTS:-1] = coefficients.std(axis=1)
    return vector


def _energies(samples: Floats) -> tuple[Floats, Floats]:
    """Root of the mean square of each frame `(t,)` and energy of its mel bands `(64, t)`."""
    import librosa

    levels, energies = [], []
    for block in _blocks(samples):
        frames = np.lib.stride_tricks.sliding_window_view(block, FRAME)[::HOP]
        levels.append(np.sqrt(np.einsum("ij,ij->i", frames, frames) / np.float32(FRAME)))
        energies.append(
            librosa.feature.melspectrogram(y=block, sr=RATE, n_fft=FRAME, hop_length=HOP, n_mels=BANDS, center=False)
        )
    return np.concatenate(levels), np.concatenate(energies, axis=1)


def _blocks(samples: Floats) -> Iterator[Floats]:
    """Overlapping stretches that give every frame once; the end is filled up with zeros to a whole frame."""
    frames = max(0, ceil((len(samples) - FRAME) / HOP)) + 1
    padded = np.pad(samples, (0, (frames - 1) * HOP + FRAME - len(samples)))
    for first in range(0, frames, _BLOCK):
        last = min(frames, first + _BLOCK) - 1
        yield padded[first * HOP : last * HOP + FRAME]


def _seconds(payload: AudioSource) -> int:
    # Rounded first: the length of a stretch is a difference of floating-point numbers.
    return max(1, ceil(round(payload.seconds, 6)))


def _stretch(part: Part, recording: AudioSource, start: int) -> Item:
    content = part.digest + f"{start}+{recording.seconds:.6f}".encode()
    digest = blake2b(content, digest_size=len(part.digest), person=b"classic-stretch").digest()
    return Item((Part(part.modality, recording, digest),))
