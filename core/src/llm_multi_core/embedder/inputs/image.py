"""Image inputs: every form that people have, to one upright RGB picture.

Nothing here resizes for a model: that is its own preprocessing. Decoding is left for later, since it
is slow and can run beside the model; what is done at once is the digest and a look at the header.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.inputs.libraries import require
from llm_multi_core.embedder.inputs.pixels import check_size, from_array, to_rgb, turned
from llm_multi_core.embedder.inputs.sources import Source, SourcePolicy, find_source
from llm_multi_core.embedder.items import DIGEST_SIZE, Item, Modality, Part

if TYPE_CHECKING:
    from PIL.Image import Image

REDUCING_GAP = 2
"""A large JPEG is decoded at 1/2, 1/4 or 1/8 of its size if what remains is still at least this many
times the size that the model wants; the model's own filter then has enough to work with."""

_DIGEST = b"image"
_PLAIN = {"RGB", "L"}
_JPEG = {"JPEG", "MPO"}  # MPO: what cameras and phones write with previews or depth beside the picture
_REFUSED = {"EPS": "it would be run by Ghostscript"}


@dataclass(frozen=True, slots=True)
class ImageSource:
    """An image that is not decoded yet.

    Attributes:
        source: where its bytes are.
        size: width and height as the header gives them, before any rotation.
        format: what Pillow calls the file's format.
    """

    source: Source
    size: tuple[int, int] = (0, 0)
    format: str = ""

    def decode(self, shortest_side: int | None = None) -> Image:
        """The picture, upright, in RGB.

        Args:
            shortest_side: what the model will shrink the shorter side to, if it is known; allows a
                large JPEG to be decoded at reduced scale.

        Raises:
            InvalidInputError: if it is not an image, is damaged, or has too many pixels.
        """
        with _opened(self.source) as image:
            scale = 1
            if shortest_side is not None and image.format in _JPEG:
                scale = _reduction(image.size, shortest_side)
            if scale == 1:
                return to_rgb(image)
            size = _reduced(image.size, scale)
            image.draft(None, (image.width // scale, image.height // scale))
            # The decoder rounds up. A last row that is mostly padding would stretch all others.
            return to_rgb(image if image.size == size else image.crop((0, 0, *size)))

    def decoded_size(self, shortest_side: int | None = None) -> tuple[int, int]:
        """The size that `decode` will give, before any rotation."""
        if shortest_side is None or self.format not in _JPEG:
            return self.size
        return _reduced(self.size, _reduction(self.size, shortest_side))

    def is_plain(self) -> bool:
        """Whether any decoder shows what `decode` gives: upright, opaque, 8 bits a channel, one frame.

        Raises:
            InvalidInputError: as `decode`; the whole file is decoded, a JPEG at reduced scale.
        """
        with _opened(self.source) as image:
            plain = (
                image.mode in _PLAIN
                and "transparency" not in image.info
                and getattr(image, "n_frames", 1) == 1
                and not turned(image)
            )
            if image.format in _JPEG:
                image.draft(None, (image.width // 8, image.height // 8))
            image.load()
            return plain

    def read(self) -> bytes:
        """The file as it is, for a provider that decodes it itself."""
        return self.source.read()

    @property
    def nbytes(self) -> int:
        """Size of the file."""
        return self.source.size


def image_item(value: Any, policy: SourcePolicy | None = None) -> Item:
    """One image as an item.

    The digest is that of the file's bytes, whatever it is called and however it was passed; pictures
    that were decoded already are told apart by their pixels.

    Args:
        value: a PIL image, a path, a `file:`, `data:` or (if allowed) `http(s):` URL, bytes, a binary
            file object, or an array `(height, width)` or `(height, width, 1 | 3 | 4)`: uint8, uint16
            or bool over the full range, or floats from 0 to 1. A PIL image is taken at the frame that
            it stands at, a file at its first.
        policy: what references may lead to.

    Raises:
        InvalidInputError: if it is none of these, is empty, missing, not allowed, no image by its
            header, or too large.
        FrameworkUnavailableError: if Pillow is not installed.
    """
    policy = policy or SourcePolicy()
    require("PIL.Image", "image")
    if isinstance(value, np.ndarray):
        return _picture_item(from_array(value))
    if is_pil(value):
        return _from_pil(value, policy)
    source = find_source(value, policy, "image")
    if source is None:
        raise InvalidInputError(
            f"an image is a PIL image, a path, a URL, bytes, a file object or an array, not {type(value).__name__}"
        )
    with _opened(source) as image:
        return _source_item(image, source, policy)


def is_pil(value: Any) -> bool:
    """Whether a value is a PIL image; imports nothing."""
    return any(base.__module__ == "PIL.Image" and base.__name__ == "Image" for base in type(value).__mro__)


@contextmanager
def _opened(source: Source) -> Iterator[Image]:
    """The image of a source, its header read and found acceptable; what goes wrong inside is a bad input."""
    require("PIL.Image", "image")
    from PIL import Image as Pillow

    with source.open() as file, _faults_named(source.name), Pillow.open(file) as image:
        check_size(image.size, source.name)
        if image.format in _REFUSED:
            raise InvalidInputError(f"{source.name} is {image.format}, which is not read: {_REFUSED[image.format]}")
        yield image


@contextmanager
def _faults_named(name: str) -> Iterator[None]:
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        yield
    except (InvalidInputError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise InvalidInputError(f"{name} is not an image in a known format") from None
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
        raise InvalidInputError(f"{name} has too many pixels to be decoded") from None
    # Pillow's format readers raise whatever a damaged file makes them stumble over.
    except Exception as error:
        raise InvalidInputError(f"{name} is a damaged image ({error})") from error


def _source_item(image: Image, source: Source, policy: SourcePolicy) -> Item:
    payload = ImageSource(source, image.size, image.format or "")
    return Item((Part(Modality.IMAGE, payload, source.digest(_DIGEST, policy)),))


def _from_pil(image: Any, policy: SourcePolicy) -> Item:
    check_size(image.size, "the image")
    source = _unread_source(image)
    if source is not None:
        with _opened(source) as found:
            if (found.size, found.mode) == (image.size, image.mode):
                return _source_item(found, source, policy)
    with _faults_named("the image"):
        picture = to_rgb(image)
        # The caller may go on to change what was passed.
        return _picture_item(picture.copy() if picture is image else picture)


def _unread_source(image: Any) -> Source | None:
    """The file behind a picture that was opened and not looked into since, so that the file still says it all."""
    file = getattr(image, "fp", None)
    untouched = getattr(image, "tile", None) and not getattr(image, "decoderconfig", None) and image.tell() == 0
    if file is None or not untouched:
        return None
    if isinstance(file, io.BytesIO):
        return Source("the image", data=file.getvalue())
    name = getattr(image, "filename", "")
    try:
        same = bool(name) and os.path.samestat(os.stat(name), os.fstat(file.fileno()))  # noqa: PTH116
    except (OSError, ValueError, TypeError):  # moved away, closed, or no real file
        return None
    return find_source(os.fsdecode(name), SourcePolicy(), "image") if same else None


def _picture_item(picture: Image) -> Item:
    state = blake2b(f"{picture.width}x{picture.height}".encode(), digest_size=DIGEST_SIZE, person=_DIGEST)
    state.update(picture.tobytes())
    return Item((Part(Modality.IMAGE, picture, state.digest()),))


def _reduction(size: tuple[int, int], shortest_side: int) -> int:
    """The largest of the JPEG decoder's reductions that leaves enough: 8, 4, 2 or 1."""
    wanted = max(1, shortest_side * REDUCING_GAP)
    return next((scale for scale in (8, 4, 2) if min(_reduced(size, scale)) >= wanted and min(size) >= scale), 1)


def _reduced(size: tuple[int, int], scale: int) -> tuple[int, int]:
    """The nearest whole size, so that the picture is stretched by half a pixel of the result at most."""
    return (size[0] + scale // 2) // scale, (size[1] + scale // 2) // scale
