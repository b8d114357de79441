"""Tiny models with random weights as timm saves them, and pictures to try them with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SPREAD = 0.2
"""Standard deviation of random weights: wide, so that different images get different vectors."""

# Architecture, arguments of its own, and the side of its images.
MODELS: dict[str, tuple[str, dict[str, Any], int]] = {
    "resnet": ("test_resnet", {}, 64),
    "vit": ("test_vit", {"img_size": 64}, 64),
    "efficientnet": ("test_efficientnet", {}, 64),
    "convnext": ("test_convnext", {}, 64),
    "vgg": ("vgg11_bn", {"mlp_ratio": 0.01, "num_classes": 10}, 64),
    "swin": (
        "swin_tiny_patch4_window7_224",
        {"img_size": 64, "embed_dim": 24, "depths": (1, 1, 2, 1), "num_heads": (1, 2, 2, 4), "window_size": 2},
        64,
    ),
    "registers": (
        "vit_small_patch14_reg4_dinov2",
        {"img_size": 56, "embed_dim": 48, "depth": 3, "num_heads": 3},
        56,
    ),
    "grey": ("test_resnet", {"in_chans": 1}, 64),
    "resnet18": ("resnet18", {}, 64),
    "resnet50": ("resnet50", {}, 64),
    "vgg16": ("vgg16", {"mlp_ratio": 0.01, "num_classes": 10}, 64),
    "inception_v3": ("inception_v3", {}, 128),
    "inception_v4": ("inception_v4", {"num_classes": 10}, 128),
    "inception_resnet_v2": ("inception_resnet_v2", {"num_classes": 10}, 128),
    "efficientnet_b0": ("efficientnet_b0", {}, 96),
    "efficientnetv2": ("efficientnetv2_rw_t", {"num_classes": 10}, 96),
    "mobilenetv3": ("mobilenetv3_small_100", {}, 96),
    "convnext_atto": ("convnext_atto", {}, 96),
    "densenet": ("densenet121", {"num_classes": 10}, 64),
    "vit_tiny": ("vit_tiny_patch16_224", {"img_size": 96}, 96),
    "deit": ("deit_tiny_distilled_patch16_224", {"img_size": 96}, 96),
    "beit": ("beit_base_patch16_224", {"img_size": 64, "embed_dim": 48, "depth": 3, "num_heads": 3}, 64),
    "eva02": ("eva02_tiny_patch14_224", {"img_size": 56}, 56),
}


@pytest.fixture(autouse=True, scope="session")
def _no_hub() -> Iterator[None]:
    """Nothing here may reach the network."""
    from huggingface_hub import constants

    patch = pytest.MonkeyPatch()
    patch.setattr(constants, "HF_HUB_OFFLINE", True)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes are not to be remembered beyond the tests."""
    monkeypatch.setenv("LLM_MULTI_CORE_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a model by its name in `MODELS`; made when first asked for."""
    root = tmp_path_factory.mktemp("models")

    @cache
    def build(name: str) -> Path:
        import timm
        from timm.models import save_for_hf

        architecture, arguments, side = MODELS[name]
        channels = arguments.get("in_chans", 3)
        overlay = {"input_size": (channels, side, side), "pool_size": None}
        if channels == 1:
            overlay |= {"mean": (0.5,), "std": (0.25,)}
        model = timm.create_model(architecture, pretrained_cfg_overlay=overlay, **arguments)
        draw_weights(model, (channels, side, side))
        save_for_hf(model, root / name, safe_serialization=True)
        return root / name

    return build


@pytest.fixture(scope="session")
def alexnet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AlexNet with random weights; its layers have the sizes that they have."""
    from safetensors.torch import save_file
    from torchvision.models import alexnet

    folder = tmp_path_factory.mktemp("alexnet")
    model = alexnet(num_classes=5)
    draw_weights(model, (3, 224, 224))
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architecture": "torchvision:alexnet", "num_classes": 5}))
    return folder


def draw_weights(model: Any, shape: tuple[int, ...]) -> None:
    """Random weights, and statistics of batch normalisation that keep what flows through them in bounds."""
    import torch

    torch.manual_seed(5)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.ndim > 1:
                weights.normal_(std=SPREAD)
            elif name.endswith("bias"):
                weights.normal_(std=0.3)
            else:
                weights.uniform_(0.5, 1.5)
        norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        if not norms:
            return
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
        coarse = torch.randn(16, shape[0], 6, 6) * torch.linspace(0.3, 2, 16)[:, None, None, None]
        images = torch.nn.functional.interpolate(coarse, shape[1:]) + 0.3 * torch.randn(16, *shape)
        model.train()
        model(images)
        model.eval()
        for norm in norms:  # channels that hardly vary would blow rounding errors up
            norm.running_var.clamp_(min=0.2 * float(norm.running_var.mean()))


@pytest.fixture(scope="session")
def pictures() -> list[Any]:
    """Twelve pictures of many sizes and contents, as PIL images in RGB."""
    from PIL import Image

    draw = np.random.default_rng(3)
    made = []
    for place, (width, height) in enumerate([(64, 64), (300, 200), (97, 211), (33, 40), (500, 90), (128, 512)]):
        noise = draw.integers(0, 256, (height, width, 3), np.uint8)
        made.append(Image.fromarray(noise))
        down, across = np.mgrid[0:height, 0:width]
        ramp = np.stack([255 * down / height, 255 * across / width, np.full_like(down, 40 * place)], axis=-1)
        stripes = np.where((across // (7 + place) + down // 11) % 2 == 0, 250, 20)
        ramp[..., place % 3] = stripes
        made.append(Image.fromarray(ramp.astype(np.uint8)))
    return made
