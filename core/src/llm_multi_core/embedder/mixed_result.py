"""What comes of inputs of several modalities: vectors in their order, and similarities that say where they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.errors import IncompatibleSpacesError
from llm_multi_core.embedder.items import Modality
from llm_multi_core.embedder.pipeline.report import Failure, Report
from llm_multi_core.embedder.rows import FloatArray
from llm_multi_core.embedder.spaces import Space


@dataclass(frozen=True, slots=True, eq=False)
class MixedResult:
    """The vectors of inputs of several modalities.

    Attributes:
        vectors: one `(d,)` float32 an input, in order; of a failed input NaN.
        spaces: where each lies; `None` for a failed input.
        modalities: what each input was; `None` for one that was refused, and for one of several modalities.
        via: how each came there where not directly: `"caption"`, `"transcript"`, `"alignment"`.
        failures: the inputs that have no vector, in order of index.
        reports: what was done, by modality; of items of several parts by `"text + image"`.
        space: where all of them lie, if that was asked for.
    """

    vectors: list[FloatArray]
    spaces: list[Space | None]
    modalities: list[Modality | None]
    via: list[str | None]
    failures: list[Failure]
    reports: Mapping[str, Report]
    space: Space | None = None

    @property
    def ok(self) -> npt.NDArray[np.bool_]:
        """`(n,)`: whether each input has a vector."""
        return np.asarray([bool(len(vector)) and bool(np.isfinite(vector).all()) for vector in self.vectors], np.bool_)

    def joined(self) -> FloatArray:
        """`(n, d)`: all vectors, where they lie in one space.

        Raises:
            IncompatibleSpacesError: if they lie in several.
        """
        spaces = {space.fingerprint: space for space in (*self.spaces, self.space) if space is not None}
        if len(spaces) > 1:
            several = ", ".join(map(str, spaces.values()))
            raise IncompatibleSpacesError(
                f"vectors of several spaces do not make one array: {several}. embed_joint and run_joint put all inputs "
                "into one space"
            )
        dimension = next((space.dimension for space in spaces.values()), 0)
        stacked: FloatArray = np.stack(self.vectors) if self.vectors else np.empty((0, dimension), np.float32)
        return stacked

    def __len__(self) -> int:
        return len(self.vectors)


class Similarity(float):
    """A cosine from -1 to 1, which also says where it was taken.

    Attributes:
        space: the space that both vectors lie in.
        via: how they came there where not directly: `"caption"`, `"alignment"`; else `None`.
    """

    space: Space
    via: str | None

    def __new__(cls, value: float, space: Space, via: str | None = None) -> Self:
        """A float with its origin."""
        made = super().__new__(cls, value)
        made.space, made.via = space, via
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Similarity, (float(self), self.space, self.via)


def join_via(steps: Sequence[str | None]) -> str | None:
    """The distinct ways of several vectors, in one label."""
    return " + ".join(dict.fromkeys(step for step in steps if step)) or None
