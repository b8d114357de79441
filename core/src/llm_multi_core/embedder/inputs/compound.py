"""Sources that become several items, such as the windows of a long recording; and items of several parts.

Each item carries the span of its source that it shows, so that results can cite it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.inputs.audio import AudioSource, audio_item, stretch_audio
from llm_multi_core.embedder.inputs.mixed import is_pdf, mixed_item, unwrapped
from llm_multi_core.embedder.inputs.pdf import pdf_pages
from llm_multi_core.embedder.inputs.sources import SourcePolicy, name_of
from llm_multi_core.embedder.items import Item, Modality, Span

WINDOW_SECONDS, OVERLAP_SECONDS = 30.0, 5.0
"""Windows of a long recording, and by how much each begins before the one before it ends."""

_SHORTEST_SECONDS = 0.001
"""By less than that, which no span would show, a recording is not longer than a window."""


def audio_windows(
    source: Any,
    *,
    seconds: float = WINDOW_SECONDS,
    overlap: float | None = None,
    sample_rate: int | None = None,
    policy: SourcePolicy | None = None,
) -> list[Item]:
    """A recording in overlapping windows, each with its start and end in milliseconds as span.

    One that is no longer than a window stays whole. The last window ends with the recording and is as
    long as the others.

    Args:
        source: what an audio embedder takes.
        seconds: length of a window.
        overlap: seconds that a window shares with the one before it; by default 5, or a sixth of a shorter one.
        sample_rate: the rate in Hz of a bare array.
        policy: what references may lead to.

    Raises:
        InvalidInputError: if it cannot be read, or the windows cannot advance.
    """
    return _windows(audio_item(source, sample_rate, policy), seconds, overlap, name_of(source))


def interleaved(*parts: Any, policy: SourcePolicy | None = None) -> Item:
    """One item of several parts, text and media in the order in which they are given.

    Args:
        parts: what a multimodal embedder takes.
        policy: what references may lead to.

    Raises:
        InvalidInputError: for fewer than two parts, or one that cannot be read.
    """
    if len(parts) < 2:
        raise InvalidInputError("an interleaved item has at least two parts")
    items = [mixed_item(part, policy or SourcePolicy()) for part in parts]
    return Item(tuple(part for item in items for part in item.parts))


def segments(
    source: Any,
    *,
    seconds: float = WINDOW_SECONDS,
    overlap: float | None = None,
    policy: SourcePolicy | None = None,
    own_rate: Callable[[], int | None] | None = None,
) -> list[Item]:
    """The items that a source of any kind becomes: pages of a PDF, windows of a long recording, else itself.

    Args:
        source: what a multimodal embedder takes, or the path of a PDF.
        seconds: length of a window of a recording.
        overlap: as of `audio_windows`.
        policy: what references may lead to.
        own_rate: asked for the rate in Hz of a bare array of samples.

    Raises:
        InvalidInputError: if it cannot be read, or the windows cannot advance.
    """
    if isinstance(source, str | os.PathLike) and is_pdf(source):
        return list(pdf_pages(source, policy=policy))
    item = mixed_item(source, policy or SourcePolicy(), own_rate)
    if item.signature != (Modality.AUDIO,):
        return [item]
    return _windows(item, seconds, overlap, name_of(unwrapped(source)))


def _windows(whole: Item, seconds: float, overlap: float | None, name: str | None) -> list[Item]:
    if overlap is None:
        overlap = min(OVERLAP_SECONDS, seconds / 6)
    if not 0 <= overlap < seconds:
        raise InvalidInputError(f"windows of {seconds:g} s cannot overlap by {overlap:g} s")
    length = _sound_of(whole).seconds
    if name is None and whole.span is not None:  # of an item that is a window of a longer recording
        name = whole.span.source
    if length - seconds < _SHORTEST_SECONDS:
        return [_with_span(whole, name)]
    starts = [0.0]
    while starts[-1] + seconds < length:
        starts.append(min(starts[-1] + seconds - overlap, length - seconds))
    return [_with_span(stretch_audio(whole, start, start + seconds), name) for start in starts]


def _with_span(item: Item, name: str | None) -> Item:
    sound = _sound_of(item)
    return replace(item, span=Span("time", round(sound.start * 1000), round(sound.end * 1000), name))


def _sound_of(item: Item) -> AudioSource:
    sound: AudioSource = item.parts[0].payload
    return sound
