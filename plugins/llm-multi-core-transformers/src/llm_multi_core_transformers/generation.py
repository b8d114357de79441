"""What is the same for all models that write: how they are kept from sampling, and what of that identifies them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_multi_core.embedder import InvalidOptionError
from llm_multi_core_torch import CONFIG_NOISE, ModelFiles, without

_FILE = "generation_config.json"


def require_counts(options: Mapping[str, Any]) -> None:
    """Refuse lengths and beams that are none.

    Raises:
        InvalidOptionError: naming the option.
    """
    for name in ("max_new_tokens", "num_beams"):
        if options[name] is not None and options[name] < 1:
            raise InvalidOptionError(f"{name}={options[name]} is not a number from 1 on")


def prepare_generation(*models: Any) -> None:
    """Let only the arguments of `generate` say how long a text may become."""
    for model in models:
        model.generation_config.max_length = None


def generation_identity(files: ModelFiles) -> Any:
    """JSON data on how a model writes, as far as its own folder says."""
    return without(files.read_object(_FILE), CONFIG_NOISE)
