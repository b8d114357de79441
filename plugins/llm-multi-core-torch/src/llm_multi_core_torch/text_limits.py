"""How much text makes a batch, and how much of one text is taken."""

from __future__ import annotations

from dataclasses import replace

from llm_multi_core.embedder import InvalidOptionError, Limits

CPU_TEXT_LIMITS = Limits(items_per_batch=128, units_per_batch=2048, truncates=True)
"""About what stays in a CPU core's cache: MiniLM is fastest at 1,000 to 4,000 padded tokens a batch,
in float32 and in bfloat16, and slower beyond."""
GPU_TEXT_LIMITS = replace(CPU_TEXT_LIMITS, items_per_batch=512, units_per_batch=32_768)
"""Enough work to fill a large GPU; what does not fit into memory is halved by the pipeline."""


def check_max_length(chosen: int, position_limit: int | None, label: str) -> int:
    """The longest text that a user chose, in tokens.

    Args:
        chosen: the option `max_length`.
        position_limit: the longest that the model has positions for; `None` if it has no limit.
        label: the model's name, for messages.

    Raises:
        InvalidOptionError: if the model cannot take so much, or nothing is left of a text.
    """
    if chosen < 1:
        raise InvalidOptionError(f"max_length={chosen} is not a positive number of tokens")
    if position_limit is not None and chosen > position_limit:
        raise InvalidOptionError(
            f"max_length={chosen} is beyond model {label!r}, which has positions for {position_limit} tokens"
        )
    return chosen
