"""Inputs of any modality: which one a value is. For multimodal embedders only; elsewhere a string is always text.

`Text`, `Image` and `Audio` always decide. Without them, the type of a value does, and for a string
whether it names a media file that exists.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
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

_IMAGE_SUFFIXES = ".avif .bmp .dib .gif .ico .jfif .jp2 .jpe .jpeg .jpg .pgm .png .pnm .ppm .tga .tif .tiff .webp"
_AUDIO_SUFFIXES = ".aif .aifc .aiff .au .caf .flac .mp3 .oga .ogg .opus .w64 .wav"

SUFFIXES = {
    Modality.IMAGE: frozenset(_IMAGE_SUFFIXES.split()),
    Modality.AUDIO: frozenset(_AUDIO_SUFFIXES.split()),
}
"""Suffixes by which files of a modality are known."""

_UNREAD = {Modality.IMAGE: frozenset({".heic", ".heif"}), Modality.AUDIO: frozenset({".aac", ".m4a", ".wma"})}
"""Suffixes of formats that are not read without more libraries: refused by name, not embedded as the text of a path."""

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
    return _named_by_suffix(path, SUFFIXES)


def mixed_item(value: Any, policy: SourcePolicy, own_rate: Callable[[], int | None] | None = None) -> Item:
    """One input of any modality as an item.

    Args:
        value: a `Text`, `Image` or `Audio`; an item; a string, which is the path of media if it has
            such a suffix and the file exists, else a text; a path; a PIL image; an array `(frames,)`
            of samples or `(height, width, channels)` of pixels; a pair of samples and their rate.
        policy: what references may lead to.
        own_rate: asked for the rate in Hz of a bare array of samples.

    Raises:
        InvalidInputError: if it is none of these, cannot be told, or cannot be read.
    """
    if isinstance(value, Item):
        return value
    modality, content = modality_of(value), unwrapped(value)
    if modality is Modality.TEXT:
        return text_item(content)
    if modality is Modality.IMAGE:
        return image_item(content, policy)
    bare = isinstance(content, np.ndarray)
    return audio_item(content, own_rate() if bare and own_rate is not None else None, policy)


def unwrapped(value: Any) -> Any:
    """What is in a `Text`, `Image` or `Audio`, a bare array paired with its rate; any other value as it is."""
    if isinstance(value, Audio) and value.sample_rate is not None and isinstance(value.value, np.ndarray):
        return value.value, value.sample_rate
    return value.value if isinstance(value, Text | Image | Audio) else value


def modality_of(value: Any) -> Modality:
    """The modality of an input that is no item.

    Raises:
        InvalidInputError: if it is none, or cannot be told.
    """
    for kind, modality in ((Text, Modality.TEXT), (Image, Modality.IMAGE), (Audio, Modality.AUDIO)):
        if isinstance(value, kind):
            return modality
    if isinstance(value, str):
        return _modality_of_string(value)
    if isinstance(value, os.PathLike):
        return _modality_of_path(value)
    if is_pil(value):
        return Modality.IMAGE
    if isinstance(value, np.ndarray):
        return _modality_of_array(value)
    if _is_pair(value):
        return Modality.AUDIO
    if isinstance(value, bytes | bytearray | memoryview) or callable(getattr(value, "read", None)):
        raise InvalidInputError("bytes and files do not say what they hold; wrap them: Image(data) or Audio(data)")
    if isinstance(value, list | tuple):
        raise InvalidInputError(
            f"a {type(value).__name__} is no one input; pass samples as an array, several parts as interleaved(...)"
        )
    raise InvalidInputError(f"{type(value).__name__} is no text, image or recording")


def is_one_input(value: Any) -> bool:
    """Whether a value that could be iterated over is one input of a multimodal embedder rather than several."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind not in "OUS" and value.ndim < 4
    kinds = (str, bytes, bytearray, memoryview, os.PathLike, Text, Image, Audio, Item)
    return isinstance(value, kinds) or is_pil(value) or _is_pair(value) or callable(getattr(value, "read", None))


def names_a_file(value: Any) -> bool:
    """Whether an input is a reference to media, which takes its time to be read; a string is looked at, not opened."""
    if isinstance(value, Image | Audio):
        return isinstance(value.value, str | os.PathLike)
    if isinstance(value, str):
        return _suffix_of_string(value) is not None
    return isinstance(value, os.PathLike)


def is_pdf(path: str | os.PathLike[str]) -> bool:
    """Whether a string or path names a PDF file that exists."""
    name = os.fspath(path)
    return isinstance(name, str) and _may_be_path(name) and name.lower().endswith(".pdf") and _is_file(name)


def _modality_of_string(text: str) -> Modality:
    if is_pdf(text):
        raise InvalidInputError(
            f"{text!r} is a PDF, which is many inputs: pass segments({text!r}) of the embedder, or Text(...) if the "
            "name itself is meant"
        )
    found = _suffix_of_string(text)
    return found if found is not None and _is_file(text) else Modality.TEXT


def _modality_of_path(path: os.PathLike[Any]) -> Modality:
    name = os.fsdecode(path)
    found = _suffix_of_path(name)
    if found is None:
        hint = "segments(path) of the embedder gives its pages" if name.lower().endswith(".pdf") else ""
        raise InvalidInputError(
            f"{name!r} has no suffix of an image or a recording; {hint or 'wrap it: Image(path) or Audio(path)'}"
        )
    return found


def _modality_of_array(array: np.ndarray[Any, Any]) -> Modality:
    if array.ndim == 1:
        return Modality.AUDIO
    if array.ndim == 3:
        return Modality.IMAGE
    raise InvalidInputError(
        f"an array of shape {array.shape} may be pixels or samples; wrap it: Image(array) or Audio(array, rate)"
    )


def _is_pair(value: Any) -> bool:
    """Whether a value is samples and their rate, if need be in the wrong order, which is then refused as that."""
    return isinstance(value, tuple) and len(value) == 2 and any(is_number(part) for part in value)


def _suffix_of_string(text: str) -> Modality | None:
    return _suffix_of_path(text) if _may_be_path(text) else None


def _suffix_of_path(path: str) -> Modality | None:
    return suffix_modality(path) or _named_by_suffix(path, _UNREAD)


def _named_by_suffix(path: str | os.PathLike[str], suffixes: Mapping[Modality, frozenset[str]]) -> Modality | None:
    suffix = Path(os.fspath(path)).suffix.lower()
    return next((modality for modality, known in suffixes.items() if suffix in known), None)


def _may_be_path(text: str) -> bool:
    return len(text) < _LONGEST_PATH and "\0" not in text


def _is_file(name: str) -> bool:
    try:
        return Path(name).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):  # a name that no file can have; the home of an unknown user
        return False
