"""Stamping an index, and refusing one that another model filled."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

from llm_multi_core.embedder.embedders import BaseEmbedder
from llm_multi_core.embedder.errors import EmbedderWarning, IncompatibleSpacesError, InvalidOptionError
from llm_multi_core.embedder.multimodal import MultiModalEmbedder
from llm_multi_core.embedder.stamping.places import StampPlace
from llm_multi_core.embedder.stamps import Stamp


class UnstampedIndexWarning(EmbedderWarning):
    """An index holds no stamp, so that nothing tells which model filled it."""


def stamp_index(
    place: StampPlace, embedder: BaseEmbedder[Any] | MultiModalEmbedder, *, overwrite: bool = False
) -> Stamp:
    """Keep an embedder's stamp with an index; modalities that its stamp does not know yet are added.

    An index without a stamp is taken at the caller's word: stamp it with the model that filled it.

    Args:
        place: where the index has a place for it.
        embedder: what fills the index.
        overwrite: replace a stamp whatever it says, once the index was filled anew.

    Returns:
        The stamp that the index has now.

    Raises:
        IncompatibleSpacesError: if the index has the stamp of another model, or vectors of another dimension.
        InvalidOptionError: if the index did not keep it.
    """
    known = None if overwrite else place.read()
    _require_dimension(place, embedder)
    stamp = Stamp.take(embedder)
    if known is not None:
        old = Stamp.from_json(known)
        old.check(embedder)
        if stamp.canaries.keys() <= old.canaries.keys():
            return old
        stamp = replace(stamp, canaries={**stamp.canaries, **old.canaries}, ways={**old.ways, **stamp.ways})
    text = stamp.to_json()
    place.write(text)
    if place.read() != text:
        raise InvalidOptionError(f"{place.name} did not keep its stamp; keep it in a file (FilePlace) instead")
    return stamp


def check_index(
    place: StampPlace, embedder: BaseEmbedder[Any] | MultiModalEmbedder, *, stacklevel: int = 2
) -> float | None:
    """Raise unless an index may be used with an embedder.

    Args:
        place: where the index has its stamp.
        embedder: what is to be used with it.
        stacklevel: of the warning, as in `warnings.warn`: 2 is who calls this.

    Returns:
        The lowest cosine of the probes, or `None` with an `UnstampedIndexWarning` if there is no stamp.

    Raises:
        IncompatibleSpacesError: if another model filled it, or its vectors have another dimension.
    """
    _require_dimension(place, embedder)
    known = place.read()
    if known is not None:
        return Stamp.from_json(known).check(embedder)
    warnings.warn(
        f"{place.name} holds no stamp, so nothing tells whether {embedder.space} filled it. If it did, stamp the "
        "index; from then on another model is refused.",
        UnstampedIndexWarning,
        stacklevel=stacklevel,
    )
    return None


def _require_dimension(place: StampPlace, embedder: BaseEmbedder[Any] | MultiModalEmbedder) -> None:
    held, made = place.dimension(), embedder.space
    if held is not None and held != made.dimension:
        raise IncompatibleSpacesError(
            f"{place.name} holds vectors of {held} dimensions, and {made} makes {made.dimension}. Open it with the "
            "model and dimensions= that filled it, or embed its documents again."
        )
