"""From decoded images to a model's pixels, by the model's own image processor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import InvalidOptionError, ModelLoadError
from llm_multi_core_torch import ModelFiles, without
from llm_multi_core_transformers.checkpoints import load_part

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

_PROCESSOR_NOISE = frozenset(
    {
        "_processor_class",
        "_valid_processor_keys",
        "auto_map",
        "backend",
        "feature_extractor_type",
        "image_processor_type",
        "processor_class",
        "use_fast",
    }
)
"""Keys that say which class read a configuration, not what it does to an image."""


def processor_config(files: ModelFiles) -> dict[str, Any]:
    """How a model wants its images, from the file that says so.

    Raises:
        ModelLoadError: if there is none.
    """
    config = files.read_object("preprocessor_config.json")
    if not config:
        config = files.read_object("processor_config.json").get("image_processor") or {}
    if not config:
        raise ModelLoadError(
            f"model {files.label!r} does not say how it wants its images: it has no preprocessor_config.json"
        )
    return without(config, _PROCESSOR_NOISE)  # type: ignore[no-any-return]


def shorter_side(config: Mapping[str, Any]) -> int | None:
    """What an image's shorter side is brought to before the model sees it; `None` if nothing says so.

    With `crop_pct` (ConvNeXt, CvT) an image is resized to more than is cropped from it.
    """
    size = config.get("size")
    if not config.get("do_resize", True) or size is None:
        return None
    if isinstance(size, Mapping):
        sides = [size.get("shortest_edge"), *(size.get(name) for name in ("height", "width"))]
    else:
        sides = list(size) if isinstance(size, Sequence) else [size]
    known = [int(side) for side in sides if isinstance(side, int | float)]
    if not known:
        return None
    cropped = config.get("crop_pct")
    return int(max(known) / cropped) if isinstance(cropped, float) and 0 < cropped <= 1 else max(known)


def fixed_size(config: Mapping[str, Any]) -> bool:
    """Whether all images reach the model in one size, as far as the file says so."""
    size = config.get("size")
    sides = isinstance(size, Mapping) and {"height", "width"} <= size.keys() and config.get("do_resize", True)
    cropped = config.get("do_center_crop") and isinstance(config.get("crop_size"), Mapping)
    return bool(sides or cropped)


def example_images() -> list[Image]:
    """Two images, to show an engine what is to come."""
    from PIL import Image as Pillow

    return [Pillow.linear_gradient("L").convert("RGB"), Pillow.radial_gradient("L").convert("RGB")]


class ImageInputs:
    """An image processor. It keeps no state between calls and so is safe in several threads."""

    def __init__(self, files: ModelFiles, options: Mapping[str, Any]) -> None:
        """Load it.

        Raises:
            ModelLoadError: if the model has none, or none for the backend that was asked for.
            InvalidOptionError: if that backend is not installed.
        """
        from transformers import AutoImageProcessor

        backend = options["processor_backend"]
        if backend == "torchvision" and not _has_torchvision():
            raise InvalidOptionError("processor_backend='torchvision' needs that package: pip install torchvision")
        self._processor = load_part(AutoImageProcessor, files, options, backend=backend)
        found = getattr(self._processor, "backend", backend)
        if found != backend:
            raise ModelLoadError(
                f"the image processor of model {files.label!r} does not come for {backend!r} but for {found!r}; pass "
                f"processor_backend={found!r}"
            )

    def __call__(self, images: Sequence[Image]) -> dict[str, torch.Tensor]:
        """`pixel_values` `(n, channels, height, width)`, and what else the model takes with them.

        Args:
            images: RGB images of any sizes.
        """
        return dict(self._processor(images=list(images), return_tensors="pt"))


def _has_torchvision() -> bool:
    from importlib.util import find_spec

    return find_spec("torchvision") is not None
