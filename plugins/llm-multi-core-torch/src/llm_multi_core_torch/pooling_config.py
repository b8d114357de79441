"""How tokens become one vector, as the configuration of a model says it. Computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_multi_core_torch.model_files import ModelFiles, within

_LEGACY_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True, slots=True)
class PoolingConfig:
    """How tokens become one vector.

    Attributes:
        modes: `"mean"`, `"cls"` and the like; the vectors of several are concatenated.
        include_prompt: whether the tokens of a prompt are pooled.
        width: components of the vector of a token, if that is said.
        by_default: whether a folder without a pooling of its own is pooled like this.
    """

    modes: tuple[str, ...]
    include_prompt: bool = True
    width: int | None = None
    by_default: bool = False

    @property
    def identity(self) -> dict[str, Any]:
        """JSON data that identifies it, in one form whether the configuration is old or new."""
        if self.by_default:
            return {"kind": "Pooling", "modes": "default"}
        return {"kind": "Pooling", "modes": list(self.modes), "include_prompt": self.include_prompt}


def read_pooling(files: ModelFiles, folder: str) -> PoolingConfig:
    """The pooling module of a sentence-transformers folder, from its sub-folder."""
    config = files.read_object(within(folder, "config.json"))
    mode = config.get("pooling_mode")
    if mode is None:
        mode = [name for key, name in _LEGACY_POOLING.items() if config.get(key)] or ["mean"]
    width = config.get("embedding_dimension", config.get("word_embedding_dimension"))
    return PoolingConfig(
        modes=(mode,) if isinstance(mode, str) else tuple(mode),
        include_prompt=bool(config.get("include_prompt", True)),
        width=None if width is None else int(width),
    )


def default_pooling(config: Mapping[str, Any]) -> PoolingConfig:
    """What sentence-transformers takes for a plain transformer, by the model's `config.json`.

    The last token for a model that was made to generate text, the mean for all others.
    """
    architectures = config.get("architectures") or [""]
    generates = str(architectures[0]).endswith("ForCausalLM") and config.get("is_causal", True)
    return PoolingConfig(("lasttoken" if generates else "mean",), by_default=True)
