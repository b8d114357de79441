"""Names under which vectors can be kept so that those of two models, roles or settings never mix."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from llm_multi_core.embedder import Role, TextEmbedder

_TREATMENT = {"warn": "cut", "truncate": "cut"}  # they differ in what they say, not in the vectors


def cache_namespace(embedder: TextEmbedder, role: Role, normalize: bool, truncation: str) -> str:
    """A namespace for the vectors that `embedder` makes of texts in `role`.

    It changes with all that can change a vector. Letters, digits and hyphens, with a hyphen at the
    end, which suits file names and prefixes of keys. The model is looked at, but not loaded.

    Args:
        embedder: the embedder.
        role: what the texts are.
        normalize: whether it brings vectors to length 1.
        truncation: its policy for over-long texts.
    """
    treatment = _TREATMENT.get(truncation, truncation)
    return namespace(embedder.framework, role, [embedder.encoder_id, embedder.space.dimension, normalize, treatment])


def namespace(label: str, role: Role, identity: Sequence[Any]) -> str:
    """A namespace for what `identity`, plain data, tells apart; `label` is for people."""
    digest = sha256(json.dumps(identity).encode()).hexdigest()[:32]
    return f"{label}-{role}-{digest}-"
