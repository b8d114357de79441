"""The identity of a local model: a hash over its weights and over the configuration that shapes its output.

Never a path, a name or a date, so that copies of one model agree wherever they come from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

CONFIG_NOISE = frozenset(
    {
        "_attn_implementation",
        "_attn_implementation_autoset",
        "_commit_hash",
        "_name_or_path",
        "attn_implementation",
        "dtype",
        "gradient_checkpointing",
        "torch_dtype",
        "transformers_version",
        "use_cache",
    }
)
"""Keys of a transformers configuration that say where a model comes from or how it is run, not what
it computes. The number format in which weights are loaded is part of an encoder's precision."""

_SET_BY_USERS = frozenset({"padding", "truncation"})


def without(value: Any, noise: frozenset[str]) -> Any:
    """JSON data without the keys in `noise`, at any depth."""
    if isinstance(value, Mapping):
        return {key: without(entry, noise) for key, entry in value.items() if key not in noise}
    if isinstance(value, list):
        return [without(entry, noise) for entry in value]
    return value


def json_sha256(value: Any) -> str:
    """A hash of JSON data that does not depend on the order of keys or on white space."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def tokenizer_sha256(tokenizer: Mapping[str, Any]) -> str:
    """A hash of the content of a `tokenizer.json`, less what whoever uses the tokenizer sets anew."""
    return json_sha256({key: value for key, value in tokenizer.items() if key not in _SET_BY_USERS})


def model_identity(parts: Any) -> str:
    """The name of a vector space, `"sha256:..."`, from hashes and settings as JSON data."""
    return f"sha256:{json_sha256(parts)}"
