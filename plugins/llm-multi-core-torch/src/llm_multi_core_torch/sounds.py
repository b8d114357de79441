"""Recordings as items: how long they are, their samples, their pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from math import ceil

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder import Item, Span
from llm_multi_core.embedder.inputs.audio import AudioSource, Waveform
from llm_multi_core.embedder.items import DIGEST_SIZE

Samples = npt.NDArray[np.float32]

_ROUNDING = 0.02
"""Milliseconds that are taken for an error of rounding: about one sample of the finest usual rate."""


def seconds_of(item: Item) -> float:
    """The length of a recording, decoded or not."""
    payload: AudioSource | Waveform = item.parts[0].payload
    return payload.seconds


def milliseconds_of(item: Item) -> int:
    """The length of a recording in milliseconds, rounded up; at least 1."""
    return max(1, ceil(seconds_of(item) * 1000 - _ROUNDING))


def samples_of(items: Sequence[Item], sample_rate: int) -> list[Samples]:
    """The samples `(frames,)` of recordings at a rate in Hz; at least one each.

    Raises:
        InvalidInputError: if one is damaged.
    """
    sounds = []
    for item in items:
        payload: AudioSource | Waveform = item.parts[0].payload
        decoded = payload.decode(sample_rate) if isinstance(payload, AudioSource) else payload.resample(sample_rate)
        # Less than one sample at the model's rate is silence.
        sounds.append(decoded.samples if len(decoded.samples) else np.zeros(1, np.float32))
    return sounds


def example_sounds(sample_rate: int, seconds: Sequence[float] = (0.5, 0.8)) -> list[Samples]:
    """Noise of several lengths, to show an engine what is to come; always the same."""
    draw = np.random.default_rng(0)
    return [draw.normal(0, 0.1, round(length * sample_rate)).astype(np.float32) for length in seconds]


def split_sound(item: Item, max_milliseconds: float) -> list[Item]:
    """A recording in consecutive pieces of at most so many milliseconds, with where in it they lie."""
    whole, part = item.parts[0].payload, item.parts[0]
    length = whole.seconds * 1000
    count = max(1, ceil((length - _ROUNDING) / max_milliseconds))
    began = item.span.start if item.span is not None and item.span.kind == "time" else 0
    source = item.span.source if item.span is not None else None
    pieces = []
    for number in range(count):
        start = number * max_milliseconds
        end = length if number == count - 1 else start + max_milliseconds
        digest = blake2b(part.digest, digest_size=DIGEST_SIZE, person=b"stretch")
        digest.update(np.array([start, end]).tobytes())
        piece = replace(part, payload=whole.stretch(start / 1000, end / 1000), digest=digest.digest())
        span = Span("time", began + round(start), began + round(end), source)
        pieces.append(replace(item, parts=(piece,), span=span))
    return pieces
