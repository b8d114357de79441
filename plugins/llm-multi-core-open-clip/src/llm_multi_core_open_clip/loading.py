"""Building a model and filling it with its weights, by open_clip's own classes and without its downloads."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_open_clip.finding import ClipFiles
from llm_multi_core_torch import Precision

if TYPE_CHECKING:
    import torch


def load_clip(found: ClipFiles, device: str, precision: Precision) -> torch.nn.Module:
    """The model with its weights, on its device; an engine is yet to prepare it for its precision.

    The text tower is a module of its own (`model.text`), whatever the layout of the weights.

    Args:
        found: the model's files.
        device: where it goes.
        precision: what its weights are cast to.

    Raises:
        ModelLoadError: if it cannot be built, or the weights are those of another architecture.
    """
    from open_clip import load_checkpoint

    path = found.weights_path()
    try:
        model = _build(deepcopy(dict(found.config)))
        load_checkpoint(model, str(path), strict=True, weights_only=True)
    except Exception as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
        raise ModelLoadError(
            f"model {found.label!r} could not be loaded from {found.weights} ({type(error).__name__}: {reason})"
        ) from error
    return model.to(device, precision.weights_dtype).eval().requires_grad_(False)


def suit_cpu(tower: torch.nn.Module, precision: Precision) -> None:
    """Let attention run as CPUs run it well in torch; the vectors stay the same.

    With the batch in front, torch's attention multiplies a transposed input, for which it copies the weights once for
    every position: in bfloat16 ten times slower than with the positions in front. open_clip's transformers take both.
    """
    from open_clip.transformer import ResidualAttentionBlock, Transformer

    transformer: Any
    for transformer in tower.modules():
        blocks = getattr(transformer, "resblocks", ())
        if type(transformer) is Transformer and all(type(block) is ResidualAttentionBlock for block in blocks):
            transformer.batch_first = False
            for block in blocks:
                block.attn.batch_first = False
                if precision.autocast:  # what autocast would cast at every call
                    block.attn.to(precision.compute_dtype)


def _build(config: dict[str, Any]) -> torch.nn.Module:
    """The model that `open_clip.create_model` would build, which logs and downloads as it goes."""
    from open_clip import CoCa, CustomTextCLIP

    config.pop("custom_text", None)
    config["vision_cfg"]["timm_model_pretrained"] = False
    config["text_cfg"]["hf_model_pretrained"] = False
    kind = CoCa if "multimodal_cfg" in config else CustomTextCLIP
    model: torch.nn.Module = kind(**config)
    return model


def image_transform(found: ClipFiles) -> Any:
    """open_clip's own preprocessing: from a PIL image to a tensor `(3, height, width)`.

    Raises:
        ModelLoadError: if the configuration asks for something that open_clip does not know.
    """
    from open_clip.transform import PreprocessCfg, image_transform_v2

    try:
        return image_transform_v2(PreprocessCfg(**found.image), is_train=False)
    except (AssertionError, TypeError, ValueError) as error:
        raise ModelLoadError(f"the preprocessing of model {found.label!r} cannot be set up ({error})") from error
