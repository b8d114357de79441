"""Pixels of every kind to upright 8-bit RGB. Knows arrays and PIL images, no files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.errors import InvalidInputError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 89_478_485
"""The largest picture that is decoded, Pillow's own threshold against decompression bombs."""

OVERSHOOT = 0.01
"""How far floats may lie outside 0 to 1, as they do after a resize with a sharp filter; they are clipped."""

_ORIENTATION = 0x0112
_BLENDED = {"RGBA", "LA", "PA", "La", "RGBa"}
_DEEP = {"I", "I;16", "I;16B", "I;16L", "I;16N", "F"}


def check_size(size: tuple[int, int], name: str) -> None:
    """Refuse what would take too much memory once decoded.

    Raises:
        InvalidInputError: if `(width, height)` is more than `MAX_PIXELS` pixels.
    """
    width, height = size
    if width * height > MAX_PIXELS:
        raise InvalidInputError(f"{name} has {width} x {height} pixels; at most {MAX_PIXELS} are decoded")


def to_rgb(image: Image) -> Image:
    """The frame that a picture stands at, upright, in 8-bit RGB, with transparency composed on white.

    Grey values of 16 bits are scaled to 8, floats are taken from 0 to 1. The result is `image` itself
    if nothing was to be done.

    Raises:
        InvalidInputError: for values out of range.
    """
    from PIL import Image as Pillow

    image.load()
    upright = _upright(image)
    if upright.mode in _DEEP:
        array = np.asarray(upright)
        if upright.mode == "I":  # how Pillow reads some files of 16 bits
            array = _from_wide(array)
        return Pillow.fromarray(to_bytes(array)).convert("RGB")
    if upright.mode == "La":
        upright = upright.convert("LA")
    if upright.mode in _BLENDED or "transparency" in upright.info:
        opaque = upright.convert("RGBA")
        white = Pillow.new("RGBA", opaque.size, (255, 255, 255, 255))
        return Pillow.alpha_composite(white, opaque).convert("RGB")
    return upright if upright.mode == "RGB" else upright.convert("RGB")


def from_array(array: npt.NDArray[Any]) -> Image:
    """An array `(height, width)` or `(height, width, 1 | 3 | 4)` as an RGB picture of its own memory.

    Raises:
        InvalidInputError: for another shape, other values, or no pixels.
    """
    from PIL import Image as Pillow

    shape = array.shape
    if array.size == 0:
        raise InvalidInputError(f"the array has no pixels: its shape is {shape}")
    if array.ndim == 3 and shape[2] not in {1, 3, 4} and shape[0] in {1, 3, 4}:
        raise InvalidInputError(f"the array has its channels first, {shape}; pass array.transpose(1, 2, 0)")
    if array.ndim not in {2, 3} or (array.ndim == 3 and shape[2] not in {1, 3, 4}):
        raise InvalidInputError(f"an image array is (height, width) or (height, width, 1 | 3 | 4), not {shape}")
    check_size((shape[1], shape[0]), "the array")
    pixels = to_bytes(np.asarray(array))
    picture = Pillow.fromarray(pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
    return to_rgb(picture)


def to_bytes(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Pixel values as 8-bit ones: integers by their range, floats from 0 to 1.

    Raises:
        InvalidInputError: for values out of range or not finite, or of another type.
    """
    kind = array.dtype
    if kind == np.uint8:
        return np.ascontiguousarray(array)
    if kind == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if kind.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not np.isfinite(low) or not np.isfinite(high):  # also for NaN, which the extremes take over
            raise InvalidInputError("the image holds values that are not finite")
        if low < -OVERSHOOT or high > 1 + OVERSHOOT:
            raise InvalidInputError(f"a float image has values from 0 to 1, not {low:.4g} to {high:.4g}")
        return np.round(np.clip(array.astype(np.float32), 0, 1) * 255).astype(np.uint8)
    if kind.kind == "u" and kind.itemsize == 2:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)  # rounded; 65,535 becomes 255
    hint = "; pass array.astype(np.uint8) if the values are from 0 to 255" if kind.kind in "iu" else ""
    raise InvalidInputError(f"an image array holds uint8, uint16, bool or floats from 0 to 1, not {kind}{hint}")


def _from_wide(array: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 65_535:
        raise InvalidInputError(f"an image of 32-bit integers has values from 0 to 65535, not {low} to {high}")
    return array.astype(np.uint16)


def turned(image: Image) -> bool:
    """Whether a picture's EXIF orientation says that it is not upright.

    Metadata that is damaged is taken away from the picture.
    """
    try:
        return image.getexif().get(_ORIENTATION, 1) in range(2, 9)
    # Damaged metadata makes Pillow stumble in many ways, and is no reason to refuse sound pixels.
    except Exception:  # noqa: BLE001
        image.info.pop("exif", None)
        return False


def _upright(image: Image) -> Image:
    from PIL import ImageOps

    return ImageOps.exif_transpose(image) if turned(image) else image
