"""Reading the embeddings endpoint's replies: plain JSON to rows, without a model of each vector in between."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder import InvalidOutputError
from llm_multi_core.embedder.hosted import in_order, rows_of


class Vectors(NamedTuple):
    """The rows `(n, d)` of a reply, and the tokens that it says it counted; 0 where it does not say."""

    rows: npt.NDArray[np.float32]
    tokens: int


def read_vectors(content: bytes, count: int) -> Vectors:
    """The vectors of a reply, in the order of the inputs.

    Raises:
        json.JSONDecodeError: if it was cut.
        InvalidOutputError: if it is not one vector for each of `count` inputs.
    """
    body: Any = json.loads(content)
    try:
        entries = [(entry["index"], entry["embedding"]) for entry in body["data"]]
    except (KeyError, TypeError):
        raise InvalidOutputError(f"the server's reply holds no embeddings: {content[:200]!r}") from None
    usage = body.get("usage") or {}
    return Vectors(rows_of(in_order(entries, count)), int(usage.get("prompt_tokens") or usage.get("total_tokens") or 0))
