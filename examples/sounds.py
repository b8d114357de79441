"""Captioned sounds, made by arithmetic: a timbre through a filter, in a rhythm.

The counterpart of `drawings` for the ear, and as small a world.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Wave: TypeAlias = npt.NDArray[np.float64]

RATE = 22_050
"""Samples a second."""

SECONDS = 1.5
TONES = {
    "muffled": (0.0, 500.0),
    "nasal": (900.0, 1_800.0),
    "tinny": (3_500.0, 12_000.0),
    "clear": (0.0, 12_000.0),
}
"""Frequencies in Hz that pass; beyond them it is 12 dB less an octave, down to 60 dB."""

RHYTHMS = ("steady", "pulsing", "fading")


@dataclass(frozen=True)
class Sound:
    """What a recording lets one hear."""

    timbre: str
    tone: str
    rhythm: str

    @property
    def caption(self) -> str:
        """It in words."""
        return f"a {self.tone} {self.timbre}, {self.rhythm}"

    def play(self, seed: int = 0) -> npt.NDArray[np.float32]:
        """Samples `(33075,)` at `RATE`; the seed varies its pitch, its noise and its pulse."""
        chance = np.random.default_rng(zlib.crc32(f"{self.caption} {seed}".encode()))
        time = np.arange(int(RATE * SECONDS)) / RATE
        wave = _filtered(_TIMBRES[self.timbre](time, chance), *TONES[self.tone])
        if self.rhythm == "pulsing":
            wave = wave * (np.sin(2 * np.pi * 2.5 * chance.uniform(0.9, 1.1) * time) > 0)
        elif self.rhythm == "fading":
            wave = wave * np.exp(-4.5 * time)
        ends = np.minimum(1, np.minimum(time, SECONDS - time) / 0.02)  # no click at either end
        wave = wave * ends
        samples: npt.NDArray[np.float32] = (0.5 * wave / np.abs(wave).max()).astype(np.float32)
        return samples


def all_sounds() -> list[Sound]:
    """Every combination of timbre, tone and rhythm: 60."""
    return [Sound(timbre, tone, rhythm) for timbre, tone, rhythm in product(TIMBRES, TONES, RHYTHMS)]


def _filtered(wave: Wave, lowest: float, highest: float) -> Wave:
    frequencies = np.maximum(np.fft.rfftfreq(len(wave), 1 / RATE), 20.0)
    octaves = np.maximum(0.0, np.log2(frequencies / highest))
    if lowest:
        octaves += np.maximum(0.0, np.log2(lowest / frequencies))
    gain = 10 ** (-np.minimum(60.0, 12 * octaves) / 20)
    return np.fft.irfft(np.fft.rfft(wave) * gain, len(wave))


def _partials(time: Wave, pitch: float, partials: tuple[tuple[float, float], ...]) -> list[Wave]:
    """Sines of a pitch in Hz: each of a ratio to it, and of a level."""
    return [level * np.sin(2 * np.pi * ratio * pitch * time) for ratio, level in partials]


def _buzzer(time: Wave, chance: np.random.Generator) -> Wave:
    square: Wave = np.sign(np.sin(2 * np.pi * 110 * chance.uniform(0.94, 1.06) * time))
    return square


def _rattle(time: Wave, chance: np.random.Generator) -> Wave:
    strokes = 18 * chance.uniform(0.9, 1.1)
    since = (strokes * time) % 1 / 18
    return chance.standard_normal(len(time)) * np.exp(-40 * since)


def _wind(time: Wave, chance: np.random.Generator) -> Wave:
    spectrum = np.fft.rfft(chance.standard_normal(len(time)))
    return np.fft.irfft(spectrum / np.maximum(np.fft.rfftfreq(len(time), 1 / RATE), 50.0), len(time))


def _bell(time: Wave, chance: np.random.Generator) -> Wave:
    ratios = (0.5, 1.0, 1.19, 2.0, 2.76, 4.1, 5.4, 6.8, 9.3)
    levels = (0.8, 1.0, 0.7, 0.6, 0.5, 0.4, 0.35, 0.3, 0.2)
    decays = (2.0, 4.0, 4.0, 5.0, 6.0, 8.0, 10.0, 10.0, 10.0)
    since = time % 0.5  # struck twice a second
    waves = _partials(time, 523 * chance.uniform(0.94, 1.06), tuple(zip(ratios, levels, strict=True)))
    rung: Wave = np.sum([wave * np.exp(-decay * since) for wave, decay in zip(waves, decays, strict=True)], axis=0)
    return rung


def _organ(time: Wave, chance: np.random.Generator) -> Wave:
    stops = tuple((ratio, ratio**-0.7) for ratio in (0.5, 1, 2, 3, 4, 6, 8, 12, 16))
    chord: Wave = np.sum(_partials(time, 261 * chance.uniform(0.94, 1.06), stops), axis=0)
    return chord


_TIMBRES: dict[str, Callable[[Wave, np.random.Generator], Wave]] = {
    "buzzer": _buzzer,
    "rattle": _rattle,
    "wind": _wind,
    "bell": _bell,
    "organ": _organ,
}
TIMBRES = tuple(_TIMBRES)
