"""Which of a model's features become the vector.

| extraction | vector |
|---|---|
| `auto` | what the classifier sees: `forward_head(forward_features(x), pre_logits=True)` |
| `cls` | the class token after the last layer |
| `gap` | mean over the places of the last feature map, or over the patch tokens |
| `gmp` | maximum over them |
| `multi-level` | means over the maps of the last stages (or layers), one after the other |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import InvalidOptionError

if TYPE_CHECKING:
    import torch


def extract(model: Any, images: torch.Tensor, extraction: str, levels: int) -> torch.Tensor:
    """The vectors of a batch, `(n, d)`.

    Args:
        model: a model of timm's.
        images: `(n, channels, height, width)`, preprocessed.
        extraction: one of the table above.
        levels: how many stages `multi-level` takes.

    Raises:
        InvalidOptionError: if the model lacks what is to be extracted.
    """
    if extraction == "multi-level":
        return _multi_level(model, images, levels)
    features = model.forward_features(images)
    if extraction != "auto" and not hasattr(features, "ndim"):
        raise InvalidOptionError(f"{_kind(model)} has features of several scales; use extraction='auto'")
    if extraction == "auto":
        rows = model.forward_head(features, pre_logits=True)
    elif extraction == "cls":
        rows = _class_token(model, features)
    else:
        places = _places(model, features)
        rows = places.mean(dim=1) if extraction == "gap" else places.amax(dim=1)
    if rows.ndim != 2:
        raise InvalidOptionError(
            f"extraction={extraction!r}: {_kind(model)} gives features of shape {tuple(rows.shape[1:])}, not a vector; "
            "try extraction='gap'"
        )
    return rows  # type: ignore[no-any-return]


def _multi_level(model: Any, images: torch.Tensor, levels: int) -> torch.Tensor:
    import torch

    if levels < 1:
        raise InvalidOptionError(f"levels={levels} is not a positive number of stages")
    forward = getattr(model, "forward_intermediates", None)
    if forward is None:
        raise InvalidOptionError(f"extraction='multi-level': {_kind(model)} does not give the features of its stages")
    try:
        maps = _levels(forward, images, levels)
    except (AssertionError, ValueError) as error:
        raise InvalidOptionError(f"levels={levels} is more than {_kind(model)} has ({error})") from error
    return torch.cat([level.mean(dim=(2, 3)) for level in maps], dim=1)


def _levels(forward: Any, images: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """The maps `(n, d, height, width)`, under the model's last norm where it can be had."""
    wanted = {"indices": levels, "output_fmt": "NCHW", "intermediates_only": True}
    try:
        return forward(images, norm=True, **wanted)  # type: ignore[no-any-return]
    except AssertionError:  # a few architectures refuse norm=True
        return forward(images, norm=False, **wanted)  # type: ignore[no-any-return]


def _class_token(model: Any, features: torch.Tensor) -> torch.Tensor:
    if not _has_class_token(model) or features.ndim != 3:
        raise InvalidOptionError(f"extraction='cls': {_kind(model)} has no class token; use 'auto' or 'gap'")
    return features[:, 0]


def _places(model: Any, features: torch.Tensor) -> torch.Tensor:
    """Features by place, `(n, places, d)`, without class and register tokens."""
    if features.ndim == 3:
        return features[:, getattr(model, "num_prefix_tokens", int(_has_class_token(model))) :]
    if features.ndim == 4:
        channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"
        return (features if channels_last else features.permute(0, 2, 3, 1)).flatten(1, 2)
    raise InvalidOptionError(f"{_kind(model)} gives no features by place; use extraction='auto'")


def _has_class_token(model: Any) -> bool:
    # One attribute of this name, or in CoaT one a stage; other models have it set to None.
    return any(name.startswith("cls_token") for name, _ in model.named_parameters(recurse=False))


def _kind(model: Any) -> str:
    return type(model).__name__
