"""From the hidden states of tokens to one vector a text.

Padding may be on either side. Sums are taken in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_multi_core.embedder import ModelLoadError

if TYPE_CHECKING:
    import torch


def pool(
    states: torch.Tensor,
    mask: torch.Tensor,
    modes: tuple[str, ...],
    *,
    attention: torch.Tensor | None = None,
    skipped: int = 0,
) -> torch.Tensor:
    """The pooled states, `(n, d)` for one mode, `(n, k * d)` for `k` modes.

    - `cls`: the first token's state.
    - `lasttoken`: the last token's state.
    - `mean`, `max`: over all tokens. `mean_sqrt_len_tokens`: their sum by the root of their number.
    - `weightedmean`: the mean with weights 1, 2, 3, ... along the text, for models in which a token
      sees only those before it (SGPT, https://arxiv.org/abs/2202.08904).
    - `attention`: the mean with each token's weight the attention that it receives in the last layer,
      summed over heads and over all tokens that look at it: the significance score of PoWER-BERT
      (https://arxiv.org/abs/2001.08950, section 3.2). It needs no training and has no randomness.

    Args:
        states: `(n, tokens, d)`.
        mask: `(n, tokens)`, 1 where there is a token.
        modes: as above.
        attention: `(n, heads, tokens, tokens)`, the last layer's, for `attention`.
        skipped: tokens at the start of each text that are left out: those of a prompt.

    Raises:
        ModelLoadError: if a mode is not known, or the model has no attention to weigh with.
    """
    import torch

    states, present = states.float(), mask.bool()
    positions = present.cumsum(1)
    # A text that is nothing but its prompt keeps its tokens, rather than having none.
    kept = present & (positions > skipped)
    kept = torch.where(kept.any(1, keepdim=True), kept, present)
    return torch.cat([_pool(mode, states, kept, present, positions, attention) for mode in modes], dim=-1)


def _pool(
    mode: str,
    states: torch.Tensor,
    kept: torch.Tensor,
    present: torch.Tensor,
    positions: torch.Tensor,
    attention: torch.Tensor | None,
) -> torch.Tensor:
    import torch

    weights = kept.float()
    if mode in {"cls", "lasttoken"}:
        order = torch.arange(kept.shape[1], device=kept.device)
        last = torch.where(kept, order, -1).argmax(1)
        place = kept.int().argmax(1) if mode == "cls" else last
        return states[torch.arange(len(states), device=states.device), place]
    if mode == "max":
        return states.masked_fill(~kept.unsqueeze(-1), float("-inf")).amax(1)
    if mode == "mean_sqrt_len_tokens":
        return _weighted_sum(states, weights) / weights.sum(1, keepdim=True).sqrt()
    if mode == "weightedmean":
        weights = weights * positions
    elif mode == "attention":
        weights = weights * _attention_received(present, attention)
    elif mode != "mean":
        raise ModelLoadError(f"pooling {mode!r} is not known")
    return _weighted_sum(states, weights) / weights.sum(1, keepdim=True).clamp(min=1e-9)


def _attention_received(present: torch.Tensor, attention: torch.Tensor | None) -> torch.Tensor:
    """How much the tokens of a text look at each one, `(n, tokens)`, summed over heads and lookers.

    Raises:
        ModelLoadError: if the model gave no attention of every token for every token.
    """
    tokens = present.shape[1]
    if attention is None or attention.ndim != 4 or attention.shape[-2:] != (tokens, tokens):
        raise ModelLoadError("pooling='attention' needs a model with attention between all tokens; use 'mean'")
    looking = attention.float() * present[:, None, :, None]
    return looking.sum(dim=(1, 2))


def _weighted_sum(states: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (states * weights.unsqueeze(-1)).sum(1)
