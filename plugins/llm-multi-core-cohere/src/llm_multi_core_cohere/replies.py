"""From a reply to rows, usage and pace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from llm_multi_core.embedder.encoders import Pace, Usage
from llm_multi_core.embedder.errors import InvalidOutputError
from llm_multi_core.embedder.hosted import read_pace, rows_of
from llm_multi_core.embedder.rows import FloatArray
from llm_multi_core_cohere.catalogue import CohereModel

BITS = frozenset({"binary", "ubinary"})
"""The types of one bit a component. They differ in how eight of them are written as a number, which is
documented for `ubinary` only: so that is what is asked for."""


def wire_type(embedding_type: str, encoding: str) -> str:
    """The one entry of a request's `embedding_types`."""
    if embedding_type == "float":
        return encoding
    return "ubinary" if embedding_type in BITS else embedding_type


def read_rows(data: Any, wanted: str) -> FloatArray:
    """The vectors `(n, d)` of the type asked for: floats, whole numbers, or bits as -1 and 1.

    `data` is the reply as the SDK gives it, unchecked: what is missing in the reply is missing there.

    Raises:
        InvalidOutputError: if there are none of that type, or they cannot be read.
    """
    values = getattr(getattr(data, "embeddings", None), "float_" if wanted == "float" else wanted, None)
    if values is None:
        hint = "; encoding_format='float' is for servers without base64" if wanted == "base64" else ""
        raise InvalidOutputError(f"a reply holds no vectors of type {wanted!r}{hint}")
    return _unpacked(values) if wanted == "ubinary" else rows_of(values)


def read_usage(data: Any, model: CohereModel, own_price: float | None) -> Usage:
    """What was billed: tokens of text and of pictures, or a count of pictures.

    Args:
        data: the reply as the SDK gives it.
        model: for its prices.
        own_price: the user's price a million units, which then holds for everything.
    """
    billed = getattr(getattr(data, "meta", None), "billed_units", None)
    text, seen, images = (int(getattr(billed, name, None) or 0) for name in ("input_tokens", "image_tokens", "images"))
    cost = None if own_price is not None else model.cost(text, seen, images)
    return Usage(text + (seen or images), cost=cost)


def read_limits(headers: Mapping[str, str]) -> Pace | None:
    """The calls a minute that a trial key is told of; a production key is told of none."""
    lowered = {name.lower(): value for name, value in headers.items()}
    limit, left = (lowered.get(f"x-trial-endpoint-call-{name}", "") for name in ("limit", "remaining"))
    if limit.isdecimal():
        return Pace(requests_per_minute=int(limit), requests_left=int(left) if left.isdecimal() else None)
    return read_pace(lowered)


def _unpacked(values: Any) -> FloatArray:
    try:
        packed = np.asarray(values, np.uint8)
        bits = np.unpackbits(packed, axis=1)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidOutputError(f"a reply holds bits that cannot be read ({error})") from None
    return bits.astype(np.float32) * 2 - 1
