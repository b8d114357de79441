"""Early fusion: the vectors of a document's text, picture and sound become one vector.

It is made before indexing, so that one index and one search are enough. Queries go through the same
fusion, with the parts that they have.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.analysis.fusion.projection import Projection, gaussian_projection, pca_projection
from llm_multi_core.embedder.analysis.records import digest_of, load_record, save_record
from llm_multi_core.embedder.analysis.vectors import DoubleArray, unit_rows, with_length_one
from llm_multi_core.embedder.errors import InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.frameworks import nearest
from llm_multi_core.embedder.rows import FloatArray
from llm_multi_core.embedder.spaces import Space

_KIND = "early fusion"


@dataclass(frozen=True, slots=True)
class FusedPart:
    """One of the vectors that are joined.

    Attributes:
        name: what it is called in calls, such as `"text"`.
        space: where its vectors lie.
        weight: its share of the joined vector's cosine; above 0.
    """

    name: str
    space: Space
    weight: float


@dataclass(frozen=True, slots=True)
class EarlyFusion:
    """Joins vectors of several spaces into one, by weighted concatenation and, if wanted, a projection.

    Each part is brought to length 1 and multiplied by `sqrt(w)`, the weights summing to 1. The cosine
    of two joined vectors is then the weighted mean of the parts' cosines: `sum(w_i cos_i)`. Where parts
    are missing, their place is zero and the rest is brought to length 1, so that the cosine is
    `sum(w_i cos_i) / sqrt(W_a W_b)`, the sum running over the parts that both have, and `W` being the
    sum of the weights that one has.

    Attributes:
        parts: what is joined, in order.
        projection: what the joined vectors go through, if anything. With it the above holds only
            approximately.
    """

    parts: tuple[FusedPart, ...]
    projection: Projection | None = None

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if not names or len(set(names)) != len(names):
            raise InvalidOptionError(f"the parts {names!r} are not one or more parts of different names")
        for part in self.parts:
            if part.space.output != "dense":
                raise InvalidOptionError(f"part {part.name!r} in {part.space} has no dense vectors, which fusion joins")
            if not np.isfinite(part.weight) or part.weight <= 0:
                raise InvalidOptionError(f"the weight {part.weight!r} of part {part.name!r} is not a number above 0")
        if self.projection is not None and len(self.projection.matrix) != self._width:
            raise InvalidOptionError(
                f"the projection takes {len(self.projection.matrix)} dimensions; the parts have {self._width}"
            )

    @classmethod
    def of(cls, spaces: Mapping[str, Space], weights: Mapping[str, float] | None = None) -> EarlyFusion:
        """A fusion of the spaces of these parts, such as `{"text": texts.space, "image": images.space}`.

        Args:
            spaces: by name, in the order of concatenation.
            weights: by name, above 0; those not given are 1.

        Raises:
            InvalidOptionError: for a weight that is not above 0 or belongs to no part, or no parts at all.
        """
        given = weights or {}
        for name in given:
            _check_name(name, list(spaces), "weights")
        return cls(tuple(FusedPart(name, space, float(given.get(name, 1.0))) for name, space in spaces.items()))

    @property
    def dimension(self) -> int:
        """Components of a joined vector."""
        return self._width if self.projection is None else self.projection.dimension

    @property
    def space(self) -> Space:
        """The space of the joined vectors: another for other parts, weights or projections."""
        identity = [[part.name, part.space.fingerprint, share] for part, share in self._shares()]
        arrays = {} if self.projection is None else _arrays(self.projection)
        return Space(
            name=f"fusion/{digest_of(_KIND, repr(identity), arrays)}",
            dimension=self.dimension,
            modalities=reduce(frozenset.union, (part.space.modalities for part in self.parts), frozenset()),
            label="fusion of " + " + ".join(part.name for part in self.parts),
        )

    def fuse(
        self, vectors: Mapping[str, npt.ArrayLike], present: Mapping[str, npt.ArrayLike] | None = None
    ) -> FloatArray:
        """Join the vectors of `n` documents or queries.

        Args:
            vectors: by part, `(n, d_part)`; a part that none of them has may be left out.
            present: by part, `(n,)` of booleans: which of them have it. Rows of those that do not may
                hold anything. By default all have every part that is given.

        Returns:
            `(n, d)` float32, of length 1.

        Raises:
            InvalidInputError: naming the first row that is not finite, is zero, or has no part at all.
            InvalidOptionError: for a name that is no part's.
            IncompatibleSpacesError: if vectors do not have their part's dimension.
        """
        joined = self._joined(vectors, present)
        if self.projection is None:
            return joined.astype(np.float32)
        projected = self.projection.apply(joined)
        some = projected.any(axis=1)
        if not some.all():
            raise InvalidInputError("the joined vector is projected to zero", index=int(np.argmin(some)))
        return with_length_one(projected).astype(np.float32)

    def with_pca(
        self,
        dimension: int,
        vectors: Mapping[str, npt.ArrayLike],
        present: Mapping[str, npt.ArrayLike] | None = None,
    ) -> EarlyFusion:
        """This fusion followed by the principal components of these documents.

        Args:
            dimension: components to keep.
            vectors: as in `fuse`, of a sample of the documents.
            present: as in `fuse`.

        Raises:
            InvalidOptionError: if the documents do not span so many dimensions.
            InvalidInputError: as in `fuse`.
        """
        return replace(self, projection=pca_projection(self._joined(vectors, present), dimension))

    def with_random_projection(self, dimension: int, seed: int = 0) -> EarlyFusion:
        """This fusion followed by a Gaussian random projection, which needs no documents."""
        return replace(self, projection=gaussian_projection(self._width, dimension, seed))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parts, weights and projection to a safetensors file; `load` reads it back.

        Raises:
            FrameworkUnavailableError: if safetensors is missing.
            OSError: if the file cannot be written.
        """
        parts = [{"name": part.name, "space": part.space.to_dict(), "weight": part.weight} for part in self.parts]
        method = None if self.projection is None else self.projection.method
        arrays = {} if self.projection is None else _arrays(self.projection)
        save_record(path, _KIND, {"parts": parts, "projection": method}, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> EarlyFusion:
        """A fusion from a file that `save` wrote.

        Raises:
            ModelLoadError: if there is no such file, it holds something else, or it was damaged or altered.
            FrameworkUnavailableError: if safetensors is missing.
        """
        return load_record(path, _KIND, cls._built)

    @classmethod
    def _built(cls, record: dict[str, Any], arrays: dict[str, FloatArray]) -> EarlyFusion:
        parts = [FusedPart(part["name"], Space.from_dict(part["space"]), part["weight"]) for part in record["parts"]]
        method = record["projection"]
        projection = None if method is None else Projection(arrays["matrix"], arrays["offset"], method)
        return cls(tuple(parts), projection)

    @property
    def _width(self) -> int:
        return sum(part.space.dimension for part in self.parts)

    def _shares(self) -> list[tuple[FusedPart, float]]:
        total = sum(part.weight for part in self.parts)
        return [(part, part.weight / total) for part in self.parts]

    def _joined(self, vectors: Mapping[str, npt.ArrayLike], present: Mapping[str, npt.ArrayLike] | None) -> DoubleArray:
        """`(n, sum of d_part)` of length 1."""
        names = [part.name for part in self.parts]
        for given, argument in ((vectors, "vectors"), (present or {}, "present")):
            for name in given:
                _check_name(name, names, argument)
        if not vectors:
            raise InvalidInputError(f"no vectors to join; give some of {', '.join(map(repr, names))}")
        arrays = {name: np.asarray(values) for name, values in vectors.items()}
        for name, array in arrays.items():
            if array.ndim != 2:
                raise InvalidInputError(f"an array of shape {array.shape} is not a matrix of {name} vectors, one a row")
        counts = {name: len(array) for name, array in arrays.items()}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{count} of {name!r}" for name, count in counts.items())
            raise InvalidInputError(f"the parts differ in number: {listed}; mark what is missing with present=")
        count = next(iter(counts.values()))
        blocks, anything = [], np.zeros(count, np.bool_)
        for part, share in self._shares():
            block = np.zeros((count, part.space.dimension))
            if part.name in arrays:
                there = _flags(present, part.name, count)
                block[there] = share**0.5 * _rows_at(arrays[part.name], there, part)
                anything |= there
            blocks.append(block)
        if not anything.all():
            raise InvalidInputError("no part is present, so there is nothing to join", index=int(np.argmin(anything)))
        return with_length_one(np.concatenate(blocks, axis=1))


def _rows_at(values: npt.NDArray[Any], there: npt.NDArray[np.bool_], part: FusedPart) -> DoubleArray:
    try:
        return unit_rows(values[there], f"{part.name} vector", part.space)
    except InvalidInputError as error:
        if error.index is None:
            raise
        raise error.at(int(np.flatnonzero(there)[error.index])) from None


def _flags(present: Mapping[str, npt.ArrayLike] | None, name: str, count: int) -> npt.NDArray[np.bool_]:
    if present is None or name not in present:
        return np.ones(count, np.bool_)
    flags = np.asarray(present[name])
    if flags.dtype != np.bool_ or flags.shape != (count,):
        raise InvalidInputError(f"present[{name!r}] is not {count} booleans, one a row of vectors[{name!r}]")
    return flags


def _arrays(projection: Projection) -> dict[str, FloatArray]:
    return {"matrix": projection.matrix, "offset": projection.offset}


def _check_name(name: str, known: Sequence[str], argument: str) -> None:
    if name not in known:
        raise InvalidOptionError(f"{argument} names {name!r}, which is no part{nearest(str(name), known)}")
