"""From paired vectors, or paired inputs of two embedders, to an alignment."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.analysis.alignment.pairs import groups_of, held_out_pairs
from llm_multi_core.embedder.analysis.alignment.solvers import DEFAULT_ALPHAS, LinearMap, cca, procrustes, ridge
from llm_multi_core.embedder.analysis.alignment.value import Alignment, AlignmentMethod
from llm_multi_core.embedder.analysis.vectors import DoubleArray, unit_rows
from llm_multi_core.embedder.errors import InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.rows import IndexArray
from llm_multi_core.embedder.spaces import Space

if TYPE_CHECKING:
    from llm_multi_core.embedder.embedders import BaseEmbedder


def fit_alignment(
    source_vectors: npt.ArrayLike,
    target_vectors: npt.ArrayLike,
    source: Space,
    target: Space,
    method: AlignmentMethod = "ridge",
    *,
    alphas: Sequence[float] | None = None,
    components: int | None = None,
    groups: Sequence[Hashable] | None = None,
    held_out: float = 0.0,
    seed: int = 0,
) -> Alignment:
    """Fit a linear map from one space into another, from paired vectors.

    Rows of both sides are brought to length 1 and centred; the computation is in float64.

    - `"ridge"`: regularised least squares, the strength found by cross-validation. The default, and
      the one to take unless there is a reason not to.
    - `"procrustes"`: an orthogonal map and one scale. It cannot overfit by stretching, keeps angles
      where the dimensions are equal, and suits spaces of the same kind (two text models).
    - `"cca"`: ridge through the directions that the two sides share best; it may be better where much
      of the source says nothing about the target.

    Args:
        source_vectors: `(n, d_s)`, at least 2 rows.
        target_vectors: `(n, d_t)`: row `i` is the partner of the source's row `i`.
        source: the space of the source vectors.
        target: the space to carry them into.
        method: as above.
        alphas: for ridge and cca, the strengths to choose from, above 0; one is taken as it is.
        components: for cca, the number of canonical variates; by default cross-validated.
        groups: `(n,)` labels of pairs that belong together (renderings of one caption, chunks of one
            recording) and must not be parted in cross-validation or holding out. By default pairs
            that share a vector on either side.
        held_out: share of the groups that is kept from the fit and then scored, from 0 to below 1.
        seed: of the draw of those.

    Raises:
        InvalidInputError: if the sides do not fit together, are too few, all alike, not finite or zero.
        InvalidOptionError: for a setting that does not exist or does not go with the method.
        IncompatibleSpacesError: if vectors do not have their space's dimension.
        FrameworkUnavailableError: if scikit-learn or scipy is missing.
    """
    _check_options(method, alphas, components, held_out)
    left = unit_rows(source_vectors, "source vector", source)
    right = unit_rows(target_vectors, "target vector", target)
    if len(left) != len(right):
        raise InvalidInputError(f"{len(left)} source vectors and {len(right)} target vectors are not pairs")
    if len(left) < 2:
        raise InvalidInputError(
            f"an alignment takes at least 2 pairs to fit, and better some hundreds; got {len(left)}"
        )
    members = groups_of(left, right, groups)
    if held_out:
        fitted, judged = held_out_pairs(members, held_out, seed)
    else:
        fitted, judged = np.arange(len(left)), np.arange(0)
    found = _solve(left[fitted], right[fitted], members[fitted], method, alphas, components)
    alignment = Alignment(
        source=source,
        target=target,
        matrix=found.matrix.astype(np.float32),
        source_offset=found.source_mean.astype(np.float32),
        target_offset=found.target_mean.astype(np.float32),
        method=method,
        pairs=len(fitted),
        alpha=found.alpha,
        components=found.components,
    )
    return alignment.with_score(left[judged], right[judged]) if len(judged) else alignment


def fit_from_inputs(
    source_embedder: BaseEmbedder[Any],
    target_embedder: BaseEmbedder[Any],
    pairs: Iterable[tuple[Any, Any]],
    method: AlignmentMethod,
    *,
    held_out: float,
    show_progress: bool,
    **settings: Any,
) -> Alignment:
    """`Alignment.fit`."""
    _check_options(method, settings.get("alphas"), settings.get("components"), held_out)
    sources, targets = _sides(pairs)
    return fit_alignment(
        source_embedder.embed_batch(sources, "document", show_progress),
        target_embedder.embed_batch(targets, "document", show_progress),
        source_embedder.space,
        target_embedder.space,
        method,
        held_out=held_out,
        **settings,
    )


def _sides(pairs: Iterable[tuple[Any, Any]]) -> tuple[list[Any], list[Any]]:
    sources, targets = [], []
    for index, pair in enumerate(pairs):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InvalidInputError(f"{type(pair).__name__} is not a pair (source, target)", index=index)
        sources.append(pair[0])
        targets.append(pair[1])
    if len(sources) < 2:
        raise InvalidInputError(f"an alignment takes at least 2 pairs to fit; got {len(sources)}")
    return sources, targets


def _solve(
    source: DoubleArray,
    target: DoubleArray,
    groups: IndexArray,
    method: AlignmentMethod,
    alphas: Sequence[float] | None,
    components: int | None,
) -> LinearMap:
    for rows, side in ((source, "source"), (target, "target")):
        if (rows == rows[0]).all():
            raise InvalidInputError(f"all {len(rows)} {side} vectors to fit on are equal, so there is nothing to learn")
    _, groups = np.unique(groups, return_inverse=True)  # numbered anew, since some are held out
    strengths = DEFAULT_ALPHAS if alphas is None else [float(alpha) for alpha in alphas]
    if method == "ridge":
        return ridge(source, target, groups, strengths)
    if method == "procrustes":
        return procrustes(source, target)
    return cca(source, target, groups, strengths, components)


def _check_options(method: str, alphas: Sequence[float] | None, components: int | None, held_out: float) -> None:
    if method not in get_args(AlignmentMethod):
        known = ", ".join(repr(name) for name in get_args(AlignmentMethod))
        raise InvalidOptionError(f"method={method!r} does not exist; use one of {known}")
    if not isinstance(held_out, int | float) or isinstance(held_out, bool) or not 0 <= held_out < 1:
        raise InvalidOptionError(f"held_out={held_out!r} is not a share from 0 to below 1")
    if alphas is not None:
        if method == "procrustes":
            raise InvalidOptionError("method='procrustes' has no alphas")
        if not len(alphas) or not all(np.isfinite(alpha) and alpha > 0 for alpha in alphas):
            raise InvalidOptionError(f"alphas={alphas!r} are not numbers above 0")
    if components is not None:
        if method != "cca":
            raise InvalidOptionError(f"method={method!r} has no components")
        if isinstance(components, bool) or not isinstance(components, int) or components < 1:
            raise InvalidOptionError(f"components={components!r} is not a positive whole number")
