"""Building a model: without weights to see what it gives, and with them to run it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_timm.finding import TORCHVISION, Checkpoint

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)


def outline(checkpoint: Checkpoint, probe: Any) -> Any:
    """What `probe` says of a model that has its shape and no weights.

    Args:
        checkpoint: the model.
        probe: called with the model, and a function that makes an input of a given shape for it.

    Raises:
        ModelLoadError: if it cannot be built.
    """
    import torch

    try:
        with torch.device("meta"), torch.inference_mode():
            return probe(_build(checkpoint, weights=None), torch.zeros)
    except ModelLoadError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever an architecture does that needs real numbers
        _log.debug("%s is outlined with memory: %s", checkpoint.label, error)
    with torch.inference_mode():
        return probe(_build(checkpoint, weights=None), torch.zeros)


def load(checkpoint: Checkpoint) -> torch.nn.Module:
    """The model with its weights in float32 on the CPU, ready for inference.

    Raises:
        ModelLoadError: if its weights cannot be had, or do not fit it.
    """
    return _build(checkpoint, weights=str(checkpoint.fetch()))


def memory_layout(model: torch.nn.Module) -> torch.memory_format:
    """How images and weights of a model are best laid out in memory.

    Convolutional networks are 1.2 to 4 times faster on CPUs with their channels last (ResNet-50 1.3,
    EfficientNet-B0 1.9, ConvNeXt-T 4.8), and on GPUs with tensor cores as well. Transformers have but
    the one convolution that makes their patches.
    """
    import torch

    convolutions = sum(isinstance(module, torch.nn.Conv2d) for module in model.modules())
    return torch.channels_last if convolutions > 1 else torch.contiguous_format


def _build(checkpoint: Checkpoint, weights: str | None) -> torch.nn.Module:
    try:
        if checkpoint.architecture.startswith(TORCHVISION):
            model = _torchvision(checkpoint, weights)
        else:
            model = _timm(checkpoint, weights)
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), "no reason given").strip()
        raise ModelLoadError(
            f"model {checkpoint.label!r} could not be loaded ({type(error).__name__}: {reason})"
        ) from error
    return model.eval().requires_grad_(False)


def _timm(checkpoint: Checkpoint, weights: str | None) -> torch.nn.Module:
    import timm

    # The file that was checked is loaded, whatever else the configuration points to.
    overlay = {"file": weights, "source": "", "custom_load": False} if weights is not None else None
    model: torch.nn.Module = timm.create_model(
        checkpoint.create_name, pretrained=weights is not None, pretrained_cfg_overlay=overlay
    )
    return model


def _torchvision(checkpoint: Checkpoint, weights: str | None) -> torch.nn.Module:
    from llm_multi_core_timm.alexnet import ALEXNET, AlexNetFeatures

    if checkpoint.architecture != ALEXNET:
        raise ModelLoadError(f"of torchvision's architectures only {ALEXNET!r} is taken")
    config = checkpoint.files.read_object("config.json")
    model = AlexNetFeatures(num_classes=int(config.get("num_classes", 1000)))
    model.pretrained_cfg = {**model.pretrained_cfg, **config.get("pretrained_cfg", {})}
    if weights is not None:
        from timm.models import load_state_dict

        model.load_state_dict(load_state_dict(weights))
    return model
