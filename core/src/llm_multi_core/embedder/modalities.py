"""The embedders of one modality each: text, images, audio."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sized
from os import PathLike
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np

from llm_multi_core.embedder.embedders import BaseEmbedder, InputT
from llm_multi_core.embedder.inputs.audio import audio_item
from llm_multi_core.embedder.inputs.image import image_item, is_pil
from llm_multi_core.embedder.inputs.samples import is_number
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.items import Item, Modality
from llm_multi_core.embedder.pipeline.call import Call
from llm_multi_core.embedder.pipeline.reading import Reading, read_ahead
from llm_multi_core.embedder.rows import FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image

Reference: TypeAlias = "str | PathLike[str] | bytes | BinaryIO"
"""A path, a `file:` or `data:` URL (or, where allowed, an `http(s):` one), bytes, or a binary file."""
ImageInput: TypeAlias = "Reference | Image | np.ndarray[Any, Any]"
AudioInput: TypeAlias = "Reference | np.ndarray[Any, Any] | tuple[np.ndarray[Any, Any], float]"

MEDIA_WINDOW = 256
"""Inputs that a stream of media holds at a time; pictures and arrays are large where texts are small."""


class TextEmbedder(BaseEmbedder[str]):
    """Embeds text. A string is always text, never a path or URL to open."""

    modality = Modality.TEXT

    def _item(self, value: Any) -> Item:
        return text_item(value)

    def _is_single(self, value: Any) -> bool:
        return isinstance(value, str | bytes | bytearray)


class MediaEmbedder(BaseEmbedder[InputT]):
    """What images and audio have in common: inputs that may be references to something large."""

    def embed_stream(
        self,
        iterable: Iterable[InputT],
        role: str | None = None,
        window: int = MEDIA_WINDOW,
        *,
        instruction: str | None = None,
    ) -> Iterator[FloatArray]:
        """The vectors of any number of inputs in bounded memory.

        Files stay on disk until their batch comes; pictures, arrays, bytes and downloads lie in memory
        for the length of a window.

        Yields:
            `(m, d)` float32 for the next `m` inputs, in order; `m` is `window` but for the last.
        """
        return super().embed_stream(iterable, role, window, instruction=instruction)

    def aembed_stream(
        self,
        iterable: Iterable[InputT] | AsyncIterable[InputT],
        role: str | None = None,
        window: int = MEDIA_WINDOW,
        *,
        instruction: str | None = None,
    ) -> AsyncIterator[FloatArray]:
        """`embed_stream` without blocking the event loop; takes asynchronous iterables as well."""
        return super().aembed_stream(iterable, role, window, instruction=instruction)

    @abstractmethod
    def _read(self, value: Any) -> Item:
        """One input as an item, its file looked into.

        Raises:
            InvalidInputError: without an index.
        """

    def _items(self, call: Call, xs: Iterable[Any]) -> Iterator[Item | None]:
        # From a generator nothing is taken before its time: it may be a camera, or reuse its memory.
        several = isinstance(xs, Sized) and len(xs) > 1
        return super()._items(call, read_ahead(xs, self._read, _is_path) if several else xs)

    def _item(self, value: Any) -> Item:
        return value.item() if isinstance(value, Reading) else self._read(value)


class ImageEmbedder(MediaEmbedder[ImageInput]):
    """Embeds images: PIL images, paths, URLs, bytes, files and arrays, in any mixture.

    Files are decoded in threads of their own while the model computes. EXIF orientation is applied,
    transparency is composed on white, and the first frame of an animation is taken.
    """

    modality = Modality.IMAGE

    def _read(self, value: Any) -> Item:
        return image_item(value, self._settings.sources)

    def _is_single(self, value: Any) -> bool:
        if isinstance(value, np.ndarray):
            return value.ndim < 4 and not _holds_objects(value)
        return is_pil(value) or _is_reference(value)


class AudioEmbedder(MediaEmbedder[AudioInput]):
    """Embeds sound: paths, URLs, bytes, files, arrays, and pairs of an array and its sample rate.

    A bare array is taken at the model's own rate unless `sample_rate=` says otherwise. Sound is mixed
    down and resampled in threads of their own while the model computes. A list is always one of
    recordings: samples come as an array.
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
        return super().embed_batch(self._with_rates(xs, sample_rate), role, show_progress, instruction=instruction)

    async def aembed(
        self,
        x: AudioInput,
        role: str | None = None,
        *,
        instruction: str | None = None,
        sample_rate: float | None = None,
    ) -> FloatArray:
        """`embed` without blocking the event loop."""
        return await super().aembed(_with_rate(x, sample_rate), role, instruction=instruction)

    async def aembed_batch(
        self,
        xs: Iterable[AudioInput],
        role: str | None = None,
        show_progress: bool = False,
        *,
        instruction: str | None = None,
        sample_rate: float | None = None,
    ) -> FloatArray:
        """`embed_batch` without blocking the event loop."""
        xs = self._with_rates(xs, sample_rate)
        return await super().aembed_batch(xs, role, show_progress, instruction=instruction)

    def _read(self, value: Any) -> Item:
        intake = self._resolve().description.intake
        return audio_item(value, None if intake is None else intake.sample_rate, self._settings.sources)

    def _with_rates(self, xs: Iterable[AudioInput], sample_rate: float | None) -> Iterable[AudioInput]:
        self._refuse_single(xs)
        if sample_rate is None:
            return xs
        paired = (_with_rate(x, sample_rate) for x in xs)
        return list(paired) if isinstance(xs, Sized) else paired

    def _is_single(self, value: Any) -> bool:
        if isinstance(value, np.ndarray):
            return value.ndim < 3 and not _holds_objects(value)
        if isinstance(value, tuple) and len(value) == 2 and is_number(value[1]):
            return True
        if isinstance(value, list) and value and is_number(value[0]):
            return True
        return _is_reference(value)


def _is_path(value: Any) -> bool:
    """Whether a value refers to a file or a download."""
    return isinstance(value, str | PathLike)


def _with_rate(x: Any, sample_rate: float | None) -> Any:
    return (x, sample_rate) if sample_rate is not None and isinstance(x, np.ndarray) else x


def _holds_objects(array: np.ndarray[Any, Any]) -> bool:
    """Whether an array is a list of paths or of other inputs rather than one input."""
    return array.dtype.kind in "OUS"


def _is_reference(value: Any) -> bool:
    return isinstance(value, str | PathLike | bytes | bytearray | memoryview) or callable(getattr(value, "read", None))
