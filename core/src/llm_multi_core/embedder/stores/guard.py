"""Stamping an index, and checking its stamp when it is opened."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

from llm_multi_core.embedder.errors import EmbedderWarning, IncompatibleSpacesError, InvalidOptionError
from llm_multi_core.embedder.stamps import Stamp
from llm_multi_core.embedder.stores.keepers import StampKeeper

if TYPE_CHECKING:
    from llm_multi_core.embedder.embedders import BaseEmbedder
    from llm_multi_core.embedder.multimodal import MultiModalEmbedder

MissingStamp = Literal["warn", "raise", "ignore"]
"""What becomes of an index without a stamp."""


class UnstampedIndexWarning(EmbedderWarning):
    """An index has no stamp, so that nothing tells whether this embedder filled it."""


def stamp_of(keeper: StampKeeper) -> Stamp | None:
    """The stamp of an index, if it has one.

    Raises:
        IncompatibleSpacesError: if what it has is no stamp, or was altered.
    """
    text = keeper.read()
    return None if text is None else Stamp.from_json(text)


def stamp_store(
    keeper: StampKeeper, embedder: BaseEmbedder[Any] | MultiModalEmbedder, *, replace: bool = False
) -> Stamp:
    """Keep with an index the stamp of the embedder that fills it; what it holds of other modalities stays.

    Args:
        keeper: the index.
        embedder: what fills it.
        replace: also over the stamp of another space, for an index whose entries were all embedded again.

    Returns:
        The stamp that the index has now.

    Raises:
        IncompatibleSpacesError: if it has the stamp of another space, or vectors of another dimension; or the
            embedder has no joint one.
        InvalidOptionError: if the index does not keep it.
    """
    present = None if replace else stamp_of(keeper)
    _require_dimension(keeper, embedder)
    if present is not None:
        present.check(embedder)
    stamp = Stamp.take(embedder)
    if present is not None:
        stamp = present.extended_by(stamp)
    text = stamp.to_json()
    keeper.write(text)
    if keeper.read() != text:  # such as a server that ignores what it does not know
        raise InvalidOptionError(f"{keeper.where} does not keep a stamp; its server may be too old for metadata")
    return stamp


def check_store(
    keeper: StampKeeper,
    embedder: BaseEmbedder[Any] | MultiModalEmbedder,
    *,
    missing: MissingStamp = "warn",
    stacklevel: int = 3,
) -> float | None:
    """Raise unless `embedder` makes the vectors that an index holds.

    Args:
        keeper: the index.
        embedder: what queries it, or adds to it.
        missing: what becomes of an index without a stamp: `"warn"`, `"raise"` or `"ignore"`.
        stacklevel: of that warning, as in `warnings.warn`: 2 is who calls this, and 3 who called that.

    Returns:
        The lowest cosine between the probes' vectors then and now; `None` if the index has no stamp.

    Raises:
        IncompatibleSpacesError: if the vectors are others, or of another dimension, the stamp was altered, or
            there is none and `missing="raise"`.
    """
    _require_dimension(keeper, embedder)
    stamp = stamp_of(keeper)
    if stamp is not None:
        try:
            return stamp.check(embedder)
        except IncompatibleSpacesError as error:
            raise IncompatibleSpacesError(f"{keeper.where}: {error}") from error
    message = (
        f"{keeper.where} has no stamp, so nothing tells whether this model filled it; stamp it once with the model "
        "that did"
    )
    if missing == "raise":
        raise IncompatibleSpacesError(message)
    if missing == "warn":
        warnings.warn(message, UnstampedIndexWarning, stacklevel=stacklevel)
    elif missing != "ignore":
        raise InvalidOptionError(f"missing={missing!r} does not exist; use 'warn', 'raise' or 'ignore'")
    return None


def _require_dimension(keeper: StampKeeper, embedder: BaseEmbedder[Any] | MultiModalEmbedder) -> None:
    held, made = keeper.dimension(), embedder.space
    if held is not None and held != made.dimension:
        raise IncompatibleSpacesError(
            f"{keeper.where} holds vectors of {held} dimensions, and {made} makes {made.dimension}. Open it with the "
            "model and dimensions= that filled it, or embed its documents again."
        )
