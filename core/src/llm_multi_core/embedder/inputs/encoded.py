"""Media for providers that decode it themselves: a file as it is where they take it, else written anew.

What is sent shows what a local model would see: upright, without transparency, within the size that
the provider takes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.inputs.audio import AudioSource
from llm_multi_core.embedder.inputs.image import ImageSource
from llm_multi_core.embedder.inputs.libraries import require
from llm_multi_core.embedder.inputs.sources import Source

if TYPE_CHECKING:
    from PIL.Image import Image

_IMAGE_TYPES = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}
_AUDIO_TYPES = {"WAV": "audio/wav", "FLAC": "audio/flac", "OGG": "audio/ogg", "MP3": "audio/mpeg"}
_WRITTEN_IMAGES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
_WRITTEN_AUDIO = {"audio/wav": ("WAV", "PCM_16"), "audio/flac": ("FLAC", "PCM_16")}
_JPEG_QUALITY = 92
_SHRINK = 0.75
"""By how much the sides of a picture are shrunk at a time until its file is small enough."""
_SMALLEST_SIDE = 32
"""In pixels, of the longer side."""


@dataclass(frozen=True, slots=True)
class EncodedMedia:
    """A picture or recording as a file's bytes, with its media type (`"image/jpeg"`)."""

    data: bytes
    media_type: str

    @property
    def nbytes(self) -> int:
        """Size of the file."""
        return len(self.data)

    @property
    def base64(self) -> str:
        """The bytes in base64."""
        return base64.b64encode(self.data).decode()

    @property
    def data_url(self) -> str:
        """The bytes as a `data:` URL (RFC 2397)."""
        return f"data:{self.media_type};base64,{self.base64}"


def encode_media(payload: Any, formats: Sequence[str], max_bytes: int | None = None) -> EncodedMedia:
    """An image's or recording's payload in one of the media types `formats`.

    Args:
        payload: an `ImageSource`, an upright PIL image, or an `AudioSource`.
        formats: the media types that are taken; of each modality the first that can be written is
            used for what must be written anew.
        max_bytes: the largest file. A larger picture is shrunk, a larger recording written anew in mono.

    Raises:
        InvalidInputError: if it is damaged, cannot be written in any of the formats, or is a
            recording that is larger than `max_bytes` even in mono.
        FrameworkUnavailableError: if a library for its format is not installed.
    """
    if isinstance(payload, AudioSource):
        return _encode_audio(payload, formats, max_bytes)
    return _encode_image(payload, formats, max_bytes)


def _encode_image(payload: ImageSource | Image, formats: Sequence[str], max_bytes: int | None) -> EncodedMedia:
    if isinstance(payload, ImageSource):
        media_type = _IMAGE_TYPES.get(payload.format, "")
        if media_type in formats and payload.is_plain():
            data = payload.read()
            if max_bytes is None or len(data) <= max_bytes:
                return EncodedMedia(data, media_type)
        picture = payload.decode()
    else:
        picture = payload
    media_type = next((name for name in formats if name in _WRITTEN_IMAGES), "")
    if not media_type:
        raise InvalidInputError(f"the image cannot be written as {' or '.join(formats) or 'anything'}")
    shrunk, scale = picture, 1.0
    while True:
        data = _write_image(shrunk, _WRITTEN_IMAGES[media_type])
        if max_bytes is None or len(data) <= max_bytes:
            return EncodedMedia(data, media_type)
        scale *= _SHRINK
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        if max(size) < _SMALLEST_SIDE:
            raise InvalidInputError(f"the image takes more than {max_bytes} bytes however it is shrunk")
        shrunk = picture.resize(size, resample=3, reducing_gap=2.0)  # bicubic


def _write_image(picture: Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    options: dict[str, Any] = {} if kind == "PNG" else {"quality": _JPEG_QUALITY}
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _encode_audio(payload: AudioSource, formats: Sequence[str], max_bytes: int | None) -> EncodedMedia:
    encoded = _as_it_is(payload, formats)
    if encoded is None or (max_bytes is not None and encoded.nbytes > max_bytes):
        encoded = _written_audio(payload, formats)  # in one channel, and maybe without loss but smaller
    if max_bytes is not None and encoded.nbytes > max_bytes:
        raise InvalidInputError(f"the recording takes {encoded.nbytes} bytes, and {max_bytes} are taken at most")
    return encoded


def _as_it_is(payload: AudioSource, formats: Sequence[str]) -> EncodedMedia | None:
    if not (payload.whole and isinstance(payload.source, Source)):
        return None
    media_type = _AUDIO_TYPES.get(payload.format, "")
    if media_type not in formats:
        return None
    payload.decode()  # a damaged file is named here, and not by a provider that refuses the whole request
    return EncodedMedia(payload.source.read(), media_type)


def _written_audio(payload: AudioSource, formats: Sequence[str]) -> EncodedMedia:
    require("soundfile", "audio")
    import soundfile

    media_type = next((name for name in formats if name in _WRITTEN_AUDIO), "")
    if not media_type:
        raise InvalidInputError(f"the recording cannot be written as {' or '.join(formats) or 'anything'}")
    sound = payload.decode()
    kind, subtype = _WRITTEN_AUDIO[media_type]
    buffer = io.BytesIO()
    soundfile.write(buffer, sound.samples.clip(-1, 1), sound.sample_rate, format=kind, subtype=subtype)
    return EncodedMedia(buffer.getvalue(), media_type)
