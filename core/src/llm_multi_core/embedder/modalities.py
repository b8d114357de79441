"""The embedders of one modality each: text, images, audio."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np

from llm_multi_core.embedder.embedders import BaseEmbedder
from llm_multi_core.embedder.inputs.audio import audio_item
from llm_multi_core.embedder.inputs.image import image_item
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.items import Item, Modality
from llm_multi_core.embedder.rows import FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image

Reference: TypeAlias = "str | PathLike[str] | bytes | BinaryIO"
"""A path, a `file:` or `data:` URL (or, where allowed, an `http(s):` one), bytes, or a binary file."""
ImageInput: TypeAlias = "Reference | Image | np.ndarray[Any, Any]"
AudioInput: TypeAlias = "Reference | np.ndarray[Any, Any] | tuple[np.ndarray[Any, Any], float]"


class TextEmbedder(BaseEmbedder[str]):
    """Embeds text. A string is always text, never a path or URL to open."""

    modality = Modality.TEXT

    def _item(self, value: Any) -> Item:
        return text_item(value)

    def _is_single(self, value: Any) -> bool:
        return isinstance(value, str | bytes | bytearray)


class ImageEmbedder(BaseEmbedder[ImageInput]):
    """Embeds images: PIL images, paths, URLs, bytes, files and arrays, in any mixture.

    Files are decoded in threads of their own while the model computes. EXIF orientation is applied,
    transparency is composed on white, and the first frame of an animation is taken.
    """

    modality = Modality.IMAGE

    def _item(self, value: Any) -> Item:
        return image_item(value, self._settings.sources)

    def _is_single(self, value: Any) -> bool:
        if isinstance(value, np.ndarray):
            return value.ndim < 4
        return _is_reference(value)


class AudioEmbedder(BaseEmbedder[AudioInput]):
    """Embeds sound: paths, URLs, bytes, files, arrays, and pairs of an array and its sample rate.

    A bare array is taken at the model's own rate unless `sample_rate=` says otherwise. Sound is mixed
    down and resampled in threads of their own while the model computes.
    """

    modality = Modality.AUDIO

    def embed(
        self,
        x: AudioInput,
        role: str | None = None,
        *,
        instruction: str | None = None,
        sample_rate: float | None = None,
    ) -> FloatArray:
        """The vector of one recording.

        Args:
            x: the recording; an array is `(frames,)` or `(frames, channels)`.
            role: as for every embedder.
            instruction: as for every embedder.
            sample_rate: the rate in Hz of a bare array; by default the model's own.

        Returns:
            `(d,)` float32.
        """
        return super().embed(_with_rate(x, sample_rate), role, instruction=instruction)

    def embed_batch(
        self,
        xs: Iterable[AudioInput],
        role: str | None = None,
        show_progress: bool = False,
        *,
        instruction: str | None = None,
        sample_rate: float | None = None,
    ) -> FloatArray:
        """The vectors of many recordings, in their order.

        Args:
            xs: the recordings; arrays are `(frames,)` or `(frames, channels)`.
            role: as for every embedder.
            show_progress: draw a progress bar on standard error.
            instruction: as for every embedder.
            sample_rate: the rate in Hz of bare arrays; by default the model's own.

        Returns:
            `(n, d)` float32.
        """
        if sample_rate is not None and not self._is_single(xs):
            xs = (_with_rate(x, sample_rate) for x in xs)
        return super().embed_batch(xs, role, show_progress, instruction=instruction)

    def _item(self, value: Any) -> Item:
        intake = self._resolve().description.intake
        return audio_item(value, None if intake is None else intake.sample_rate, self._settings.sources)

    def _is_single(self, value: Any) -> bool:
        if isinstance(value, np.ndarray):
            return value.ndim < 3
        pair = isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], int | float | np.number)
        return pair or _is_reference(value)


def _with_rate(x: Any, sample_rate: float | None) -> Any:
    return (x, sample_rate) if sample_rate is not None and isinstance(x, np.ndarray | list) else x


def _is_reference(value: Any) -> bool:
    return isinstance(value, str | PathLike | bytes | bytearray | memoryview) or callable(getattr(value, "read", None))
