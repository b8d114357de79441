"""From the hidden states of a vision model to one vector an image.

| extraction | the vector |
|---|---|
| `cls` | the state of the CLS token |
| `mean` | the mean of the states of all patches, CLS and register tokens left out |
| `attention` | the mean of the patches, each with the attention that the CLS token pays it in the last layer, averaged over heads (the maps of DINO, https://arxiv.org/abs/2104.14294, section 4.2.2) |
| `multi-layer` | the CLS states after the last four layers, through the final normalisation, one after the other, as DINO is evaluated (same paper, appendix); of models with stages, the mean of each of the last four |
"""  # noqa: E501 - a table

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import InvalidOptionError, ModelLoadError

if TYPE_CHECKING:
    import torch

LAYERS = 4
"""How many layers or stages `multi-layer` takes, the last ones."""

_PREFIX_TOKENS = {
    "beit": 1,
    "data2vec-vision": 1,
    "deit": 2,  # CLS and distillation
    "dinov2": 1,
    "dinov2_with_registers": 1,
    "dinov3_vit": 1,
    "vit": 1,
    "vit_mae": 1,
    "vit_msn": 1,
}
"""Tokens before those of the patches, by model type; the first is CLS. Registers are counted in."""

_STAGED = frozenset({"swin", "swinv2", "cvt"})


@dataclass(frozen=True, slots=True)
class Extraction:
    """What is taken from one model.

    Attributes:
        mode: `"cls"`, `"mean"`, `"attention"` or `"multi-layer"`.
        kind: the model type.
        prefix: tokens before those of the patches; 0 for a model without a CLS token.
        dimension: components of the vector.
        own_pooling: whether the mean is the model's own, normalised one (BEiT fine-tuned for it).
    """

    mode: str
    kind: str
    prefix: int
    dimension: int
    own_pooling: bool = False

    @property
    def needs_attention(self) -> bool:
        """Whether the model must give its attention."""
        return self.mode == "attention"


def choose_extraction(config: Any, wanted: str | None, label: str) -> Extraction:
    """What to take from a model.

    Args:
        config: its transformers configuration.
        wanted: the user's choice; `None` is `cls` where there is a CLS token that was trained, else `mean`.
        label: the model's name.

    Raises:
        InvalidOptionError: if the model has no such thing.
        ModelLoadError: if it does not say how wide its states are.
    """
    kind = str(config.model_type)
    prefix = _PREFIX_TOKENS.get(kind, 0)
    if prefix:
        prefix += int(getattr(config, "num_register_tokens", 0) or 0)
    has_cls = prefix > 0 or (kind == "cvt" and bool(config.cls_token[-1]))
    pooled = bool(prefix) and bool(getattr(config, "use_mean_pooling", False))
    mode = wanted or ("cls" if has_cls and not pooled else "mean")
    possible = {"mean"}
    if has_cls:
        possible.add("cls")
    if prefix:
        possible |= {"attention", "multi-layer"}
    if kind in _STAGED:
        possible.add("multi-layer")
    if mode not in possible:
        raise InvalidOptionError(
            f"extraction={mode!r} is not possible with model {label!r} of type {kind!r}, which has "
            f"{'a' if has_cls else 'no'} CLS token; use one of {', '.join(sorted(map(repr, possible)))}"
        )
    return Extraction(mode, kind, prefix, _dimension(config, kind, mode, label), pooled and mode == "mean")


def _dimension(config: Any, kind: str, mode: str, label: str) -> int:
    if kind == "cvt":
        widths = list(config.embed_dim)
        return sum(widths[-LAYERS:]) if mode == "multi-layer" else widths[-1]
    if kind in {"swin", "swinv2"} and mode == "multi-layer":
        stages = len(config.depths)
        # All stages but the last are followed by a merging of patches, which doubles the width.
        widths = [config.embed_dim * 2 ** min(stage + 1, stages - 1) for stage in range(stages)]
        return int(sum(widths[-LAYERS:]))
    width = getattr(config, "hidden_size", None)
    if not isinstance(width, int):
        widths = getattr(config, "hidden_sizes", None) or [None]
        width = widths[-1]
    if not isinstance(width, int):
        raise ModelLoadError(f"model {label!r} of type {kind!r} does not say how wide its hidden states are")
    return width * min(LAYERS, config.num_hidden_layers) if mode == "multi-layer" else width


def image_features(model: torch.nn.Module, extraction: Extraction) -> torch.nn.Module:
    """A module from `pixel_values` `(n, channels, height, width)` to the vectors `(n, d)`.

    Nothing is masked by MAE: its configuration is to have `mask_ratio=0`, and the "noise" by which it
    shuffles patches leaves them in order.
    """
    import torch

    class ImageFeatures(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            arguments: dict[str, Any] = {}
            if extraction.mode == "attention":
                arguments["output_attentions"] = True
            if extraction.mode == "multi-layer":
                arguments["output_hidden_states"] = True
            if extraction.kind == "vit_mae":
                patches = int(self.model.embeddings.patch_embeddings.num_patches)  # type: ignore[union-attr, arg-type]
                order = torch.arange(patches, dtype=torch.float32, device=pixel_values.device)
                arguments["noise"] = order.expand(pixel_values.shape[0], -1)
            return extract(self.model, self.model(pixel_values, **arguments), extraction)

    return ImageFeatures().eval()


def extract(model: torch.nn.Module, output: Any, extraction: Extraction) -> torch.Tensor:
    """The vectors `(n, d)` from what a model gave.

    Args:
        model: the model, for its final normalisation.
        output: what it returned.
        extraction: what is wanted of it.
    """
    states, prefix, mode = output.last_hidden_state, extraction.prefix, extraction.mode
    if mode == "multi-layer":
        return _staged(output) if extraction.kind in _STAGED else _layered(model, output, prefix)
    if mode == "cls":
        token = getattr(output, "cls_token_value", None)
        return (states if token is None else token)[:, 0]  # type: ignore[no-any-return]
    if mode == "attention":
        weights = output.attentions[-1].float().mean(1)[:, 0, prefix:]
        weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-9)
        return (states[:, prefix:].float() * weights.unsqueeze(-1)).sum(1)  # type: ignore[no-any-return]
    return _mean(output, extraction)


def _mean(output: Any, extraction: Extraction) -> torch.Tensor:
    states: torch.Tensor = output.last_hidden_state
    own: torch.Tensor | None = getattr(output, "pooler_output", None)
    if own is not None and (extraction.own_pooling or states.ndim == 4):
        return own.flatten(1)
    return _mean_of(states if states.ndim == 4 else states[:, extraction.prefix :])


def _mean_of(states: torch.Tensor) -> torch.Tensor:
    """The mean of `(n, tokens, d)` over tokens, or of `(n, d, height, width)` over places."""
    return states.float().mean(1) if states.ndim == 3 else states.float().mean((2, 3))


def _layered(model: torch.nn.Module, output: Any, prefix: int) -> torch.Tensor:
    import torch

    norm = getattr(model, "layernorm", None) or getattr(model, "norm", None) or torch.nn.Identity()
    inner = output.hidden_states[1:][-LAYERS:-1]  # the first are embeddings, the last may be normalised already
    return torch.cat([*(norm(states)[:, 0] for states in inner), output.last_hidden_state[:, 0]], dim=-1)


def _staged(output: Any) -> torch.Tensor:
    import torch

    stages = output.hidden_states
    if getattr(output, "reshaped_hidden_states", None) is not None:  # Swin, whose first are embeddings
        stages = stages[1:]
    inner = stages[-LAYERS:-1]
    return torch.cat([*(_mean_of(states) for states in inner), _mean_of(output.last_hidden_state)], dim=-1)
