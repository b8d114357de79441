"""The encoder: a model of timm's, with its own preprocessing, and the features that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import (
    Description,
    EncoderConfig,
    Intake,
    Item,
    Limits,
    Measure,
    Modality,
    ModelLoadError,
    Space,
    Task,
)
from llm_multi_core_timm.finding import Checkpoint, find_checkpoint
from llm_multi_core_timm.plugin import TIMM
from llm_multi_core_torch import TorchEncoder, model_identity

if TYPE_CHECKING:
    import torch

CPU_LIMITS = Limits(unit="image", items_per_batch=16, padded=False)
GPU_LIMITS = replace(CPU_LIMITS, items_per_batch=128)


@dataclass(frozen=True, slots=True)
class Outline:
    """What a model takes and gives, known before its weights are read.

    Attributes:
        dimension: of its vectors under the options.
        data: its data configuration, as `timm.data.resolve_data_config` gives it.
    """

    dimension: int
    data: dict[str, Any]

    @property
    def shortest_side(self) -> int:
        """What the preprocessing shrinks the shorter side of an image to."""
        return int(max(self.data["input_size"][1:]) / self.data["crop_pct"])


class TimmEncoder(TorchEncoder):
    """Any image model of timm's, and torchvision's AlexNet."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self._options: Mapping[str, Any] = TIMM.check_options(config.options)
        self._features: Callable[..., Any] | None = None
        self._transform: Callable[[Any], torch.Tensor] | None = None
        self._layout: Any = None  # of images in memory

    @cached_property
    def _checkpoint(self) -> Checkpoint:
        return find_checkpoint(self.config.model, self._options)

    @cached_property
    def _outline(self) -> Outline:
        from llm_multi_core_timm.building import outline

        described: Outline = outline(self._checkpoint, self._probe)
        return described

    def _probe(self, model: Any, zeros: Callable[..., torch.Tensor]) -> Outline:
        from timm.data.config import resolve_data_config

        data = resolve_data_config({}, pretrained_cfg=model.pretrained_cfg, model=model)  # type: ignore[no-untyped-call]
        channels = data["input_size"][0]
        if channels not in {1, 3}:
            raise ModelLoadError(f"model {self._checkpoint.label!r} takes images of {channels} channels")
        from llm_multi_core_timm.extraction import extract

        rows = extract(model, zeros((1, *data["input_size"])), self._options["extraction"], self._options["levels"])
        return Outline(rows.shape[1], data)

    def describe(self) -> Description:
        """From the model's configuration and its shape; its weights are hashed, not read."""
        checkpoint, found = self._checkpoint, self._outline
        self.require_dimension(found.dimension, checkpoint.label)
        arguments = checkpoint.files.read_object("config.json").get("model_args", {})
        identity = {
            "architecture": checkpoint.architecture,
            "arguments": arguments,
            "input": found.data,
            "weights": checkpoint.sha256,
        }
        space = Space(
            name=model_identity(identity),
            dimension=found.dimension,
            options=self.config.space_options,
            modalities=frozenset({Modality.IMAGE}),
            label=checkpoint.label,
        )
        return Description(
            space=space,
            limits=GPU_LIMITS if self.on_gpu else CPU_LIMITS,
            native_dimension=found.dimension,
            intake=Intake(image_side=found.shortest_side),
        )

    def load_model(self) -> None:
        """Load the weights, and make the model's own preprocessing."""
        import torch
        from timm.data.transforms_factory import create_transform

        from llm_multi_core_timm.building import load, memory_layout
        from llm_multi_core_timm.features import Features

        checkpoint, data = self._checkpoint, self._outline.data
        model = load(checkpoint).to(self.device, self.precision.weights_dtype)
        if self.engine == "torch":
            self._layout = memory_layout(model)
            model.to(memory_format=self._layout)
        else:
            self._layout = torch.contiguous_format
        features = Features(model, self._options["extraction"], self._options["levels"]).eval()
        example = torch.zeros((2, *data["input_size"]), dtype=self.precision.weights_dtype, device=self.device)
        self._features = self.accelerate(features, example, key=f"{checkpoint.architecture} {data['input_size']}")
        self._transform = create_transform(**data, is_training=False)

    def unload(self) -> None:
        """Drop the model."""
        self._features = self._transform = None

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """One unit an image: all are brought to one size."""
        return Measure([1] * len(items))

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """The image itself; none is too large."""
        return [item]

    def prepare(self, items: Sequence[Item], task: Task, state: Sequence[Any] | None = None) -> torch.Tensor:
        """The preprocessed images, `(n, channels, height, width)` float32."""
        import torch

        assert self._transform is not None  # noqa: S101 - load comes before
        grey = self._outline.data["input_size"][0] == 1
        pictures = (item.parts[0].payload for item in items)
        return torch.stack([self._transform(picture.convert("L") if grey else picture) for picture in pictures])

    def compute(self, batch: torch.Tensor) -> torch.Tensor:
        """The features `(n, d)`."""
        assert self._features is not None  # noqa: S101 - load comes before
        images = batch.to(self.device, self.precision.weights_dtype, memory_format=self._layout)
        rows: torch.Tensor = self._features(images)
        return rows
