"""The fixed probes of a canary: texts, pictures and sounds that never change, made by arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from llm_multi_core.embedder.items import Modality

TEXTS = (
    "The lighthouse keeper wrote the weather into his log every evening.",
    "def median(values): return sorted(values)[len(values) // 2]",
    "Quelle est la distance entre la Terre et la Lune ?",
    "Invoice 20417: two bearings, one shaft seal, payment within 30 days.",
)
"""Prose, code, another language, a record."""

_SIDE = 96
_RATE = 16_000


def probes_of(modality: Modality) -> list[Any]:
    """The probes of a modality, in a form that its embedder takes."""
    if modality is Modality.TEXT:
        return list(TEXTS)
    return _pictures() if modality is Modality.IMAGE else _sounds()


def _pictures() -> list[Any]:
    """Four pictures `(96, 96, 3)`: a gradient, a chequerboard, a disc, stripes, each in colours of its own."""
    y, x = np.mgrid[0:_SIDE, 0:_SIDE]
    disc = (x - 60) ** 2 + (y - 36) ** 2 < 24**2
    pictures = [
        np.stack([x * 255 // (_SIDE - 1), y * 255 // (_SIDE - 1), np.full_like(x, 64)], axis=-1),
        np.where(((x // 12 + y // 12) % 2 == 0)[..., None], (230, 220, 40), (20, 30, 90)),
        np.where(disc[..., None], (200, 30, 30), (240, 240, 235)),
        np.where(((x + 2 * y) % 24 < 8)[..., None], (10, 120, 60), (160, 200, 250)),
    ]
    return [picture.astype(np.uint8) for picture in pictures]


def _sounds() -> list[Any]:
    """Four seconds-long sounds at 16 kHz: a chord, a rising tone, clicks, and a tone that beats."""
    t = np.arange(_RATE) / _RATE
    clicks = np.where(np.arange(_RATE) % 2_000 < 40, 0.8, 0.0) * np.cos(2 * np.pi * 1_500 * t)
    sounds = [
        np.mean([np.sin(2 * np.pi * pitch * t) for pitch in (220.0, 277.0, 330.0)], axis=0),
        0.5 * np.sin(2 * np.pi * (200 * t + 900 * t**2)),
        clicks,
        0.5 * np.sin(2 * np.pi * 440 * t) * (0.6 + 0.4 * np.sin(2 * np.pi * 6 * t)),
    ]
    return [(sound.astype(np.float32), _RATE) for sound in sounds]
