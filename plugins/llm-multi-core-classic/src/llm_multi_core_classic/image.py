"""Images by their colours and outlines.

Every image is brought to 128 x 128 pixels, whatever its proportions. Two descriptors follow, each of
length 1, weighted so that the cosine of two vectors is `colour_weight` times the cosine of the first
plus the rest times that of the second:

- **Colours** (125): how much of the image has which colour, over the cone of hue, chroma (saturation
  times value) and value, with five steps of value, and for each one grey and twelve hues in two steps
  of chroma. A pixel counts for the nearest steps in proportion (hue is a circle; grey has no hue), so
  that a small change of colour is a small change of the vector. Square roots of the shares make the
  cosine the Bhattacharyya coefficient.
- **Outlines** (324): histograms of oriented gradients (Dalal and Triggs, "Histograms of oriented
  gradients for human detection", CVPR 2005) of the grey image: 9 orientations in 4 x 4 cells, blocks of
  2 x 2 cells. An image without any outline has zeros here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder import (
    Description,
    Intake,
    InvalidOptionError,
    Item,
    Limits,
    Measure,
    Modality,
    Task,
)
from llm_multi_core_classic.encoder import ClassicEncoder, Vector
from llm_multi_core_classic.plugin import IMAGE, IMAGE_MODEL

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 128
"""Pixels of the side of the square that is described."""
VALUES, HUES, CHROMAS = 5, 12, 2
"""Steps of value; hues; steps of chroma beside that of no chroma."""
COLOURS = VALUES * (1 + HUES * CHROMAS)
ORIENTATIONS, CELL, BLOCK = 9, 32, 2
"""Of the gradients: orientations, pixels of a cell's side, cells of a block's side."""
OUTLINES = (SIDE // CELL - BLOCK + 1) ** 2 * BLOCK**2 * ORIENTATIONS

Floats = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]


class ClassicImageEncoder(ClassicEncoder):
    """Colour histogram and histograms of oriented gradients."""

    model = IMAGE_MODEL
    modality = Modality.IMAGE
    libraries = ("pillow", "scikit-image")

    @property
    def _colour_weight(self) -> float:
        weight: float = IMAGE.check_options(self.config.options)["colour_weight"]
        if not 0 < weight <= 1:  # an image without outlines has colours at least
            raise InvalidOptionError(f"colour_weight={weight} is not above 0 and at most 1")
        return weight

    def describe(self) -> Description:
        """Fixed, whatever the image."""
        self.check()
        _ = self._colour_weight
        dimension = COLOURS + OUTLINES
        self.require_dimension(dimension)
        limits = Limits(unit="image", items_per_batch=32, padded=False)
        return Description(self.space(dimension), limits, dimension, intake=Intake(image_side=SIDE))

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """One unit an image: all are brought to one size."""
        return Measure([1] * len(items))

    def prepare(self, items: Sequence[Item], task: Task, state: Sequence[Any] | None = None) -> list[Any]:
        """The images at their fixed size."""
        from PIL.Image import Resampling

        pictures = super().prepare(items, task, state)
        return [picture.resize((SIDE, SIDE), Resampling.BILINEAR, reducing_gap=3.0) for picture in pictures]

    def forward(self, batch: list[Image]) -> Vector:
        """Rows `(n, 449)`."""
        weight = self._colour_weight
        rows = [np.r_[colours(picture) * weight**0.5, outlines(picture) * (1 - weight) ** 0.5] for picture in batch]
        return np.stack(rows).astype(np.float32)


def colours(picture: Image) -> Floats:
    """The colour descriptor of an RGB image, `(125,)`, of length 1."""
    from skimage.color import rgb2hsv

    hue, saturation, value = rgb2hsv(np.asarray(picture)).reshape(-1, 3).T
    chroma = saturation * value
    histogram = np.zeros((VALUES, 1 + HUES * CHROMAS))
    for value_step, value_share in _nearest(value * (VALUES - 1), VALUES - 1):
        for chroma_step, chroma_share in _nearest(chroma * CHROMAS, CHROMAS):
            share = value_share * chroma_share
            for hue_step, hue_share in _around(hue * HUES):
                colour = np.where(chroma_step > 0, 1 + (chroma_step - 1) * HUES + hue_step, 0)
                np.add.at(histogram, (value_step, colour), share * hue_share)
    return np.sqrt(histogram.ravel() / len(hue))


def outlines(picture: Image) -> Floats:
    """The outline descriptor of an RGB image, `(324,)`, of length 1, or zeros if there is no outline."""
    from skimage.feature import hog

    described: Floats = hog(
        np.asarray(picture.convert("L")),
        orientations=ORIENTATIONS,
        pixels_per_cell=(CELL, CELL),
        cells_per_block=(BLOCK, BLOCK),
        block_norm="L2-Hys",
    )
    length = float(np.linalg.norm(described))
    return described / length if length > 0 else described


def _nearest(position: Floats, last: int) -> tuple[tuple[Steps, Floats], ...]:
    """The two steps around each position on a line from 0 to `last`, and its share in each."""
    lower = np.minimum(position.astype(np.int64), last - 1)
    above = position - lower
    return (lower, 1 - above), (lower + 1, above)


def _around(position: Floats) -> tuple[tuple[Steps, Floats], ...]:
    """The two hues around each position on the circle, and its share in each."""
    lower = position.astype(np.int64)
    above = position - lower
    return (lower % HUES, 1 - above), ((lower + 1) % HUES, above)
