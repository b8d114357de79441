"""Comparing an embedder with its library: alone, in a batch, in another order."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
from packaging.requirements import Requirement

from llm_multi_core.embedder.embedders import BaseEmbedder
from llm_multi_core.embedder.testing.conformance.compare import (
    CONTROL_COSINE,
    Agreement,
    Tolerance,
    assert_same,
)
from llm_multi_core.embedder.testing.parity.results import ParityResult, ParityResults

PARITY = Tolerance(cosine=0.9999, error=2e-5)
"""How far an embedder's vector in float32 may lie from the library's own."""


def assert_same_vectors(
    actual: npt.NDArray[Any], expected: npt.ArrayLike, tolerance: Tolerance = PARITY, claim: str = "the vectors"
) -> Agreement:
    """Fail unless an embedder's vectors `(n, d)` are those expected, row by row, lengths included.

    Returns:
        How alike they are at worst.
    """
    due = np.asarray(expected, np.float64)
    assert actual.dtype == np.float32, f"{claim}: {actual.dtype} where float32 is due"
    assert actual.shape == due.shape, f"{claim}: shape {actual.shape} where {due.shape} is due"
    return assert_same(_vectors(actual), _vectors(due), tolerance, claim)


class Parity:
    """Compares embedders with their libraries and keeps what it finds; the fixture `parity`."""

    def __init__(self, test: str, found: ParityResults) -> None:
        self._test = test
        self._found = found

    def check(
        self,
        embedder: BaseEmbedder[Any],
        inputs: Sequence[Any],
        expected: npt.ArrayLike,
        *,
        architecture: str,
        variant: str = "",
        role: str | None = None,
        instruction: str | None = None,
        tolerance: Tolerance = PARITY,
        alone: int = 8,
    ) -> None:
        """Fail unless the embedder gives the library's vectors in one call, in another order, and one by one.

        Args:
            embedder: one in `precision="float32"`, if it is local.
            inputs: of mixed lengths or sizes, so that batches are padded; some of them so different
                that their vectors are too.
            expected: the library's own vectors `(n, d)`, each computed by itself. They are brought to
                length 1 if the embedder's are.
            architecture: what the model is, for the table.
            variant: what else tells this comparison from others of the architecture.
            role: as in `embed_batch`.
            instruction: as in `embed_batch`.
            tolerance: how far vectors may lie apart.
            alone: how many of the inputs are also embedded by themselves.
        """
        settings = embedder._settings
        spec = settings.offer.spec
        assert spec.hosted or settings.precision == "float32", (
            f"parity is measured in float32; make the embedder with precision='float32', not {settings.precision!r}"
        )
        due = np.asarray(expected, np.float64)
        if settings.normalize:
            due = due / np.linalg.norm(due, axis=1, keepdims=True)
        control = lowest_cosine(due)
        assert control < CONTROL_COSINE, (
            f"no two of the library's own vectors are further apart than a cosine of {control:.6f}; a control pair "
            f"below {CONTROL_COSINE} is due, so give inputs that differ more, or draw random weights wider"
        )
        places = list(range(len(inputs)))
        shuffled = random.Random(3).sample(places, len(places))  # noqa: S311 - a fixed order
        single = [place * len(places) // alone for place in range(alone)] if alone < len(places) else places

        def batch(order: list[int]) -> npt.NDArray[Any]:
            return embedder.embed_batch([inputs[place] for place in order], role, instruction=instruction)

        def by_itself(place: int) -> npt.NDArray[Any]:
            return embedder.embed(inputs[place], role, instruction=instruction)

        ways = (
            ("in one call", places, batch(places)),
            ("in another order", shuffled, batch(shuffled)),
            ("one by one", single, np.stack([by_itself(place) for place in single])),
        )
        worst = Agreement.worst(assert_same_vectors(ours, due[order], tolerance, way) for way, order, ours in ways)
        self._found.versions.update(_versions(spec.requires))
        self._found.results.append(
            ParityResult(
                test=self._test,
                modality=str(embedder.modality),
                framework=embedder.framework,
                architecture=architecture,
                variant=variant,
                inputs=len(inputs),
                cosine=worst.cosine,
                error=worst.relative,
                control=control,
            )
        )


def lowest_cosine(vectors: npt.NDArray[np.float64]) -> float:
    """The lowest cosine of two rows of `(n, d)`."""
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return float((units @ units.T).min())


def _vectors(rows: npt.NDArray[Any]) -> list[npt.NDArray[np.float64]]:
    return [row[None].astype(np.float64) for row in rows]


def _versions(requires: Iterable[str]) -> dict[str, str]:
    """Versions of what is asked for here, by distribution."""
    asked = map(Requirement, requires)
    return {one.name: version(one.name) for one in asked if one.marker is None or one.marker.evaluate()}
