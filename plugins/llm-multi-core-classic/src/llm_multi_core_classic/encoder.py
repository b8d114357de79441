"""What the three encoders share: no weights, one algorithm each, on the CPU in full precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder import (
    InvalidOptionError,
    Item,
    LocalEncoder,
    Modality,
    ModelLoadError,
    Space,
    Task,
    UnsupportedDimensionsError,
)

Vector = npt.NDArray[np.float32]


class ClassicEncoder(LocalEncoder):
    """A descriptor that is computed, not learned.

    Attributes:
        model: its name, which is all that `model=` takes.
        version: raised when the algorithm begins to give other vectors; part of the space.
        modality: what it describes.
        libraries: the distributions whose code computes it.
    """

    model: ClassVar[str]
    version: ClassVar[int] = 1
    modality: ClassVar[Modality]
    libraries: ClassVar[tuple[str, ...]]

    def check(self) -> None:
        """Refuse settings that a descriptor does not have.

        Raises:
            ModelLoadError: for another model.
            InvalidOptionError: for a device other than the CPU, or reduced precision.
        """
        config = self.config
        if config.model != self.model:
            raise ModelLoadError(
                f"framework 'classic' has one model for {self.modality}, {self.model!r}, and no weights"
            )
        if config.device not in {None, "cpu"}:
            raise InvalidOptionError(f"device={config.device!r}: framework 'classic' computes on the CPU")
        if config.precision not in {"auto", "float32"}:
            raise InvalidOptionError(f"precision={config.precision!r}: framework 'classic' computes in float32")

    def space(self, dimension: int) -> Space:
        """Its space: of this modality alone, and of this version of the algorithm."""
        return Space(
            name=f"llm-multi-core-classic/{self.model}",
            revision=str(self.version),
            dimension=dimension,
            options=self.config.space_options,
            modalities=frozenset({self.modality}),
            label=f"classic {self.model}",
        )

    def require_dimension(self, dimension: int) -> None:
        """Refuse any other number of dimensions.

        Raises:
            UnsupportedDimensionsError: if another one is asked for.
        """
        wanted = self.config.dimensions
        if wanted is not None and wanted != dimension:
            raise UnsupportedDimensionsError(
                f"classic {self.model} gives {dimension} dimensions and cannot give {wanted} itself"
            )

    def identity(self) -> Mapping[str, str]:
        """The libraries that compute it: here they are what a model's weights are elsewhere."""
        return {name: metadata.version(name) for name in self.libraries}

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """The item itself, where none is too long."""
        return [item]

    def prepare(self, items: Sequence[Item], task: Task, state: Sequence[Any] | None = None) -> list[Any]:
        """The decoded payloads."""
        return [item.parts[0].payload for item in items]
