"""AlexNet, which timm lacks: torchvision's, with the parts of timm's interface that are used here.

A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014,
https://arxiv.org/abs/1404.5997.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torchvision.models import AlexNet, AlexNet_Weights

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_torch import file_sha256

ALEXNET = "torchvision:alexnet"

INPUT = {
    "input_size": (3, 224, 224),
    "interpolation": "bilinear",
    "crop_pct": 0.875,
    "crop_mode": "center",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}
"""Torchvision's own preprocessing of these weights, `AlexNet_Weights.IMAGENET1K_V1.transforms`."""

_LEVELS = (2, 5, 12)
"""The layers of `features` that end a resolution: the three poolings."""


class AlexNetFeatures(AlexNet):  # type: ignore[misc] # torchvision ships no types
    """AlexNet with features of its own, as timm's models have them."""

    num_features = 256
    pretrained_cfg: Mapping[str, Any] = INPUT

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        """The last feature map, `(n, 256, height, width)`."""
        maps: torch.Tensor = self.features(images)
        return maps

    def forward_head(self, maps: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """The last hidden layer `(n, 4096)`, or the classes."""
        hidden = torch.flatten(self.avgpool(maps), 1)
        layers = self.classifier[:-1] if pre_logits else self.classifier
        rows: torch.Tensor = layers(hidden)
        return rows

    def forward_intermediates(
        self, images: torch.Tensor, indices: int = 3, intermediates_only: bool = True, **_: Any
    ) -> Sequence[torch.Tensor]:
        """The feature maps after the last `indices` of the three poolings.

        Raises:
            ValueError: if there are not so many.
        """
        if not 1 <= indices <= len(_LEVELS) or not intermediates_only:
            raise ValueError(f"AlexNet has {len(_LEVELS)} levels")
        maps, levels = images, []
        for place, layer in enumerate(self.features):
            maps = layer(maps)
            if place in _LEVELS:
                levels.append(maps)
        return levels[-indices:]


def published_weights(*, local_files_only: bool) -> Path:
    """The file of torchvision's weights, downloaded into torch's cache if it is not there.

    Raises:
        ModelLoadError: if it cannot be had, or does not have the hash in its name.
    """
    url: str = AlexNet_Weights.IMAGENET1K_V1.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        if local_files_only:
            raise ModelLoadError(f"{path.name} of torchvision is not in torch's cache, and nothing is to be downloaded")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), progress=False)
        except Exception as error:
            raise ModelLoadError(
                f"{path.name} of torchvision could not be downloaded ({type(error).__name__}: {error})"
            ) from error
    prefix = path.stem.rpartition("-")[2]
    if not file_sha256(path).startswith(prefix):
        raise ModelLoadError(
            f"{path} is not the file that torchvision publishes (its hash does not begin with {prefix})"
        )
    return path
