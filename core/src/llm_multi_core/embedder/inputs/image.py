"""Image inputs: every form that people have, to one upright RGB picture.

Nothing here resizes for a model: that is its own preprocessing. Decoding is left for later, since it
is slow and can run beside the model; what is done at once is the digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.inputs.sources import Source, SourcePolicy, find_source
from llm_multi_core.embedder.items import DIGEST_SIZE, Item, Modality, Part

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 89_478_485
"""The largest picture that is decoded, Pillow's own threshold against decompression bombs."""

REDUCING_GAP = 2.0
"""A large JPEG is decoded at 1/2, 1/4 or 1/8 of its size if what remains is still at least this many
times the size that the model wants; the model's own filter then has enough to work with."""

_DIGEST = b"image"


@dataclass(frozen=True, slots=True)
class ImageSource:
    """An image that is not decoded yet."""

    source: Source

    def decode(self, shortest_side: int | None = None) -> Image:
        """The picture, upright, in RGB.

        Args:
            shortest_side: what the model will shrink the shorter side to, if it is known; allows a
                large JPEG to be decoded at reduced scale.

        Raises:
            InvalidInputError: if it is not an image, is damaged, or has too many pixels.
        """
        from PIL import Image as Pillow
        from PIL import UnidentifiedImageError

        with self.source.open() as file:
            try:
                with Pillow.open(file) as image:
                    _check_size(image.size, self.source.name)
                    if shortest_side is not None and image.format == "JPEG":
                        _draft(image, shortest_side)
                    return to_rgb(image)
            except InvalidInputError:
                raise
            except UnidentifiedImageError:
                raise InvalidInputError(f"{self.source.name} is not an image in a known format") from None
            except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
                raise InvalidInputError(f"{self.source.name} has more than {MAX_PIXELS} pixels") from None
            # Pillow's format readers raise whatever a damaged file makes them stumble over.
            except Exception as error:
                raise InvalidInputError(f"{self.source.name} is a damaged image ({error})") from error

    def read(self) -> bytes:
        """The file as it is, for a provider that decodes it itself."""
        with self.source.open() as file:
            return file.read()


def image_item(value: Any, policy: SourcePolicy | None = None) -> Item:
    """One image as an item.

    Args:
        value: a PIL image, a path, a `file:`, `data:` or (if allowed) `http(s):` URL, bytes, a binary
            file object, or an array `(height, width)` or `(height, width, 1 | 3 | 4)`: integers over
            their full range, or floats from 0 to 1.
        policy: what references may lead to.

    Raises:
        InvalidInputError: if it is none of these, is empty, missing or not allowed.
    """
    policy = policy or SourcePolicy()
    if isinstance(value, np.ndarray):
        picture = _from_array(value)
        return _picture_item(picture)
    if _is_pil(value):
        _check_size(value.size, "the image")
        try:
            return _picture_item(to_rgb(value))
        except (OSError, SyntaxError, ValueError) as error:
            raise InvalidInputError(f"the image cannot be decoded ({error})") from error
    source = find_source(value, policy, "image")
    if source is None:
        raise InvalidInputError(
            f"an image is a PIL image, a path, a URL, bytes, a file object or an array, not {type(value).__name__}"
        )
    return Item((Part(Modality.IMAGE, ImageSource(source), source.digest(_DIGEST, policy.max_bytes)),))


def to_rgb(image: Image) -> Image:
    """The first frame of a picture, upright, in 8-bit RGB, with transparency composed on white."""
    from PIL import Image as Pillow
    from PIL import ImageOps

    if getattr(image, "n_frames", 1) > 1:
        image.seek(0)
    upright = ImageOps.exif_transpose(image)
    if upright.mode in {"I;16", "I;16B", "I;16L", "I;16N", "I", "F"}:
        return Pillow.fromarray(_to_bytes(np.asarray(upright))).convert("RGB")
    if upright.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in upright.info:
        opaque = upright.convert("RGBA")
        white = Pillow.new("RGBA", opaque.size, (255, 255, 255, 255))
        return Pillow.alpha_composite(white, opaque).convert("RGB")
    if upright.mode == "RGB":
        upright.load()
        return upright if upright is not image else upright.copy()
    return upright.convert("RGB")


def _picture_item(picture: Image) -> Item:
    state = blake2b(f"{picture.width}x{picture.height}".encode(), digest_size=DIGEST_SIZE, person=_DIGEST)
    state.update(np.ascontiguousarray(np.asarray(picture)).data)
    return Item((Part(Modality.IMAGE, picture, state.digest()),))


def _from_array(array: Any) -> Image:
    from PIL import Image as Pillow

    if array.size == 0:
        raise InvalidInputError(f"the array has no pixels: its shape is {array.shape}")
    if array.ndim == 3 and array.shape[2] not in {1, 3, 4} and array.shape[0] in {1, 3, 4}:
        raise InvalidInputError(f"the array has its channels first, {array.shape}; pass array.transpose(1, 2, 0)")
    if array.ndim not in {2, 3} or (array.ndim == 3 and array.shape[2] not in {1, 3, 4}):
        raise InvalidInputError(f"an image array is (height, width) or (height, width, 1 | 3 | 4), not {array.shape}")
    _check_size((array.shape[1], array.shape[0]), "the array")
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise InvalidInputError("the array holds values that are not finite")
    pixels = _to_bytes(array)
    return to_rgb(Pillow.fromarray(pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels))


def _to_bytes(array: Any) -> Any:
    """Pixel values as 8-bit ones: integers by their range, floats from 0 to 1."""
    kind = array.dtype
    if kind == np.uint8:
        return np.ascontiguousarray(array)
    if kind == np.bool_:
        return array.astype(np.uint8) * 255
    if np.issubdtype(kind, np.floating):
        low, high = float(array.min()), float(array.max())
        if low < 0 or high > 1:
            raise InvalidInputError(f"a float image has values from 0 to 1, not {low:.4g} to {high:.4g}")
        return np.round(array * 255).astype(np.uint8)
    if kind == np.uint16 or (kind == np.int32 and array.min() >= 0 and array.max() <= 65535):
        return np.round(array / 257).astype(np.uint8)  # 65,535 becomes 255
    raise InvalidInputError(f"an image array holds uint8, uint16, bool or floats from 0 to 1, not {kind}")


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise InvalidInputError(f"{name} has {width} x {height} pixels; at most {MAX_PIXELS} are decoded")


def _draft(image: Any, shortest_side: int) -> None:
    """Ask the JPEG decoder for the smallest of its scales that is still large enough."""
    scale = shortest_side * REDUCING_GAP / min(image.size)
    if scale < 1:
        image.draft("RGB", (int(image.width * scale), int(image.height * scale)))


def _is_pil(value: Any) -> bool:
    return any(base.__module__ == "PIL.Image" and base.__name__ == "Image" for base in type(value).__mro__)
