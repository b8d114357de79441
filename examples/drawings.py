"""Captioned drawings, made by arithmetic: a shape in a colour and a size on a pale ground.

A small world in which what is shown can be said in a sentence, for trying out alignment without any
data set. It says nothing about photographs.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw

Colour: TypeAlias = tuple[int, int, int]
Point: TypeAlias = tuple[float, float]

SIDE = 160
"""Width and height in pixels."""

COLOURS: dict[str, Colour] = {
    "red": (214, 40, 40),
    "orange": (245, 140, 20),
    "yellow": (240, 210, 40),
    "green": (40, 150, 70),
    "blue": (40, 90, 200),
    "purple": (130, 60, 170),
    "brown": (120, 75, 40),
    "black": (30, 30, 30),
}
SIZES = {"small": 0.18, "large": 0.38}
"""Radii as shares of the side."""


@dataclass(frozen=True)
class Drawing:
    """What a drawing shows."""

    colour: str
    shape: str
    size: str

    @property
    def caption(self) -> str:
        """It in words."""
        return f"a {self.size} {self.colour} {self.shape}"

    def draw(self, seed: int = 0) -> Image.Image:
        """A picture `(160, 160)` of it; the seed chooses its place, its exact size and the ground."""
        chance = np.random.default_rng(zlib.crc32(f"{self.caption} {seed}".encode()))
        red, green, blue = chance.integers(225, 256, 3).tolist()
        side = 2 * SIDE  # drawn at twice the size, for smooth edges
        radius = SIZES[self.size] * side * chance.uniform(0.9, 1.1)
        room = side - 2 * radius - 8
        x, y = (radius + 4 + chance.uniform(0.3, 0.7, 2) * room).tolist()
        image = Image.new("RGB", (side, side), (red, green, blue))
        _PAINTERS[self.shape](_Brush(ImageDraw.Draw(image), x, y, radius, COLOURS[self.colour], (red, green, blue)))
        return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def all_drawings() -> list[Drawing]:
    """Every combination of colour, shape and size: 128."""
    return [Drawing(colour, shape, size) for colour, shape, size in product(COLOURS, SHAPES, SIZES)]


@dataclass(frozen=True)
class _Brush:
    """Paints about a centre, in units of a radius."""

    canvas: ImageDraw.ImageDraw
    x: float
    y: float
    radius: float
    colour: Colour
    ground: Colour

    def rectangle(self, width: float, height: float) -> None:
        """One of half `width` and half `height`."""
        self.canvas.rectangle(self._box(width, height), fill=self.colour)

    def disc(self, radius: float, colour: Colour | None = None) -> None:
        self.canvas.ellipse(self._box(radius, radius), fill=colour or self.colour)

    def polygon(self, points: Iterable[Point]) -> None:
        self.canvas.polygon([(self.x + dx * self.radius, self.y + dy * self.radius) for dx, dy in points], self.colour)

    def _box(self, width: float, height: float) -> tuple[float, float, float, float]:
        wide, high = width * self.radius, height * self.radius
        return self.x - wide, self.y - high, self.x + wide, self.y + high


def _corners(radii: list[float]) -> list[Point]:
    """Corners at even angles from the top, each at its own distance from the centre."""
    angles = [2 * math.pi * number / len(radii) - math.pi / 2 for number in range(len(radii))]
    return [(radius * math.cos(angle), radius * math.sin(angle)) for radius, angle in zip(radii, angles, strict=True)]


def _circle(brush: _Brush) -> None:
    brush.disc(1.0)


def _square(brush: _Brush) -> None:
    brush.rectangle(0.85, 0.85)


def _triangle(brush: _Brush) -> None:
    brush.polygon((dx, dy + 0.2) for dx, dy in _corners([1.0] * 3))


def _star(brush: _Brush) -> None:
    brush.polygon(_corners([1.0, 0.42] * 5))


def _cross(brush: _Brush) -> None:
    brush.rectangle(1.0, 0.3)
    brush.rectangle(0.3, 1.0)


def _ring(brush: _Brush) -> None:
    brush.disc(1.0)
    brush.disc(0.55, brush.ground)


def _stripe(brush: _Brush) -> None:
    brush.rectangle(1.1, 0.28)


def _heart(brush: _Brush) -> None:
    turns = [2 * math.pi * number / 60 for number in range(60)]
    brush.polygon(
        (
            math.sin(t) ** 3,
            -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16,
        )
        for t in turns
    )


_PAINTERS: dict[str, Callable[[_Brush], None]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "ring": _ring,
    "stripe": _stripe,
    "heart": _heart,
}
SHAPES = tuple(_PAINTERS)
