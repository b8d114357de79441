"""Building a model and filling it with its weights, by open_clip's own classes and without its downloads."""

from __future__ import annotations

import warnings
from copy import deepcopy
from importlib import metadata
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_open_clip.finding import ClipFiles
from llm_multi_core_torch import Precision

if TYPE_CHECKING:
    import torch

_WITHOUT_WEIGHTS = ("spectrogram_extractor.", "logmel_extractor.", "tscam_conv.", "audio.encoder.head.", ".attn_mask")
"""In names of what a `ClapModel` of transformers has no weights for: constants, and a classifier of no use here."""


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
    if found.audio_config is not None:
        _check_audio_support(found)
    path = found.weights_path()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.meshgrid", UserWarning)  # of open_clip's HTSAT
            model = _build(deepcopy(dict(found.config)))
        _fill(model, found, str(path))
    except Exception as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
        raise ModelLoadError(
            f"model {found.label!r} could not be loaded from {found.weights} ({type(error).__name__}: {reason})"
        ) from error
    return model.to(device, precision.weights_dtype).eval().requires_grad_(False)


def suit_cpu(tower: torch.nn.Module, precision: Precision) -> None:
    """Let attention run as CPUs run it well in torch; the vectors stay the same.

    With the batch in front, torch's attention multiplies a transposed input, for which it copies the weights once for
    every position: in bfloat16 ten times slower than with the positions in front. The transformers of open_clip 3 take
    both; those of open_clip 4 have an attention of their own, which is well as it is.
    """
    import torch
    from open_clip.transformer import ResidualAttentionBlock, Transformer

    transformer: Any
    for transformer in tower.modules():
        blocks = getattr(transformer, "resblocks", ())
        if type(transformer) is Transformer and all(type(block) is ResidualAttentionBlock for block in blocks):
            for block in blocks:
                if isinstance(block.attn, torch.nn.MultiheadAttention):
                    transformer.batch_first = block.attn.batch_first = False
                if precision.autocast:  # what autocast would cast at every call
                    block.attn.to(precision.compute_dtype)


def _check_audio_support(found: ClipFiles) -> None:
    """Raise if this open_clip has no audio towers."""
    import open_clip

    if not hasattr(open_clip, "CLAP"):
        raise ModelLoadError(
            f"model {found.label!r} has an audio tower, which needs open_clip 4; installed is "
            f"{metadata.version('open_clip_torch')}"
        )


def _fill(model: torch.nn.Module, found: ClipFiles, path: str) -> None:
    if not found.from_transformers:
        from open_clip import load_checkpoint

        load_checkpoint(model, path, strict=True, weights_only=True)
        return
    from open_clip.audio.convert import load_hf_clap_state_dict

    loaded = model.load_state_dict(load_hf_clap_state_dict(path), strict=False)
    missing = [name for name in loaded.missing_keys if not any(part in name for part in _WITHOUT_WEIGHTS)]
    if odd := missing or loaded.unexpected_keys:
        raise ValueError(f"{odd[0]} is {'missing' if missing else 'not known'}")


def _build(config: dict[str, Any]) -> torch.nn.Module:
    """The model that `open_clip.create_model` would build, which logs and downloads as it goes."""
    import open_clip

    config.pop("custom_text", None)
    config["text_cfg"]["hf_model_pretrained"] = False
    if "audio_cfg" in config:
        config["audio_cfg"]["pretrained"] = False
        kind = open_clip.CLAP
    else:
        config["vision_cfg"]["timm_model_pretrained"] = False
        kind = open_clip.CoCa if "multimodal_cfg" in config else open_clip.CustomTextCLIP
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
