"""Inputs of any modality: which one a value is. For multimodal embedders only; elsewhere a string is always text.

`Text`, `Image` and `Audio` always decide. Without them, the type of a value does, and for a string
whether it names a media file that exists.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.inputs.audio import audio_item
from llm_multi_core.embedder.inputs.image import image_item, is_pil
from llm_multi_core.embedder.inputs.samples import is_number
from llm_multi_core.embedder.inputs.sources import SourcePolicy
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.items import Item, Modality

if TYPE_CHECKING:
    from llm_multi_core.embedder.modalities import AudioInput, ImageInput

SUFFIXES = {
    Modality.IMAGE: frozenset(
        {".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
    ),
    Modality.AUDIO: frozenset({".aif", ".aifc", ".aiff", ".au", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav"}),
}
"""Suffixes by which files of a modality are known."""

_LONGEST_PATH = 4096


@dataclass(frozen=True, slots=True)
class Text:
    """A text, whatever it looks like."""

    value: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image in any form that an image embedder takes: path, URL, bytes, file, PIL image, array."""

    value: ImageInput


@dataclass(frozen=True, slots=True)
class Audio:
    """A recording in any form that an audio embedder takes; `sample_rate` in Hz is that of a bare array."""

    value: AudioInput
    sample_rate: float | None = None


def suffix_modality(path: str | os.PathLike[str]) -> Modality | None:
    """The modality that a file's suffix names, if any."""
    suffix = Path(os.fspath(path)).suffix.lower()
    return next((modality for modality, known in SUFFIXES.items() if suffix in known), None)


def mixed_item(value: Any, policy: SourcePolicy, sample_rate: int | None = None) -> Item:
    """One input of any modality as an item.

    Args:
        value: a `Text`, `Image` or `Audio`; an item; a string, which is the path of media if it has
            such a suffix and the file exists, else a text; a path; a PIL image; an array `(frames,)`
            of samples or `(height, width, channels)` of pixels; a pair of samples and their rate.
        policy: what references may lead to.
        sample_rate: the rate in Hz of bare arrays of samples.

    Raises:
        InvalidInputError: if it is none of these, cannot be told, or cannot be read.
    """
    if isinstance(value, Item):
        return value
    if isinstance(value, Text):
        return text_item(value.value)
    if isinstance(value, Image):
        return image_item(value.value, policy)
    if isinstance(value, Audio):
        content = value.value
        if value.sample_rate is not None and isinstance(content, np.ndarray):
            content = (content, value.sample_rate)
        return audio_item(content, sample_rate, policy)
    modality = _modality_of(value)
    if modality is Modality.TEXT:
        return text_item(value)
    return image_item(value, policy) if modality is Modality.IMAGE else audio_item(value, sample_rate, policy)


def _modality_of(value: Any) -> Modality:
    if isinstance(value, str):
        found = suffix_modality(value) if len(value) < _LONGEST_PATH and "\0" not in value else None
        return found if found is not None and _is_file(value) else Modality.TEXT
    if isinstance(value, os.PathLike):
        found = suffix_modality(value)
        if found is None:
            raise InvalidInputError(
                f"{os.fspath(value)!r} has no suffix of an image or a recording; wrap it: Image(path) or Audio(path)"
            )
        return found
    if is_pil(value):
        return Modality.IMAGE
    if isinstance(value, np.ndarray):
        return _modality_of_array(value)
    if isinstance(value, tuple) and len(value) == 2 and is_number(value[1]):
        return Modality.AUDIO
    if isinstance(value, bytes | bytearray | memoryview) or callable(getattr(value, "read", None)):
        raise InvalidInputError("bytes and files do not say what they hold; wrap them: Image(data) or Audio(data)")
    raise InvalidInputError(f"{type(value).__name__} is no text, image or recording")


def _modality_of_array(array: np.ndarray[Any, Any]) -> Modality:
    if array.ndim == 1:
        return Modality.AUDIO
    if array.ndim == 3:
        return Modality.IMAGE
    raise InvalidInputError(
        f"an array of shape {array.shape} may be pixels or samples; wrap it: Image(array) or Audio(array, rate)"
    )


def _is_file(name: str) -> bool:
    try:
        return Path(name).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):  # a name that no file can have; the home of an unknown user
        return False
