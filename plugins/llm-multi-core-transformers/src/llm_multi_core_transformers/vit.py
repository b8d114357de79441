"""The encoder of images: any vision model of transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import (
    Description,
    EncoderConfig,
    Intake,
    InvalidOptionError,
    Item,
    Limits,
    Measure,
    Modality,
    Space,
    Task,
)
from llm_multi_core_torch import CONFIG_NOISE, ModelFiles, TorchEncoder, cast_ahead, model_identity, without
from llm_multi_core_transformers.checkpoints import (
    code_of,
    find_checkpoint,
    load_part,
    load_weights,
    weights_of,
)
from llm_multi_core_transformers.extraction import Extraction, choose_extraction, image_features
from llm_multi_core_transformers.image_inputs import (
    ImageInputs,
    example_images,
    fixed_size,
    processor_config,
    shorter_side,
)
from llm_multi_core_transformers.image_specs import VIT

if TYPE_CHECKING:
    import torch

CPU_BATCH = 16
GPU_BATCH = 128


class ViTEncoder(TorchEncoder):
    """Any vision model that `AutoModel` loads."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self._options: Mapping[str, Any] = VIT.check_options(config.options)
        self._features: Callable[..., Any] | None = None
        self._inputs: ImageInputs | None = None

    @cached_property
    def _files(self) -> ModelFiles:
        return find_checkpoint(self.config.model, self._options, [model.name for model in VIT.models])

    @cached_property
    def _model_config(self) -> Any:
        from transformers import AutoConfig

        config = load_part(AutoConfig, self._files, self._options)
        if hasattr(config, "text_config"):
            raise InvalidOptionError(
                f"model {self._files.label!r} of type {config.model_type!r} is of text and images; use framework "
                "'clip-transformers'"
            )
        return config

    @cached_property
    def _extraction(self) -> Extraction:
        return choose_extraction(self._model_config, self._options["extraction"], self._files.label)

    def describe(self) -> Description:
        """What the model's files say."""
        dimension = self._extraction.dimension
        self.require_dimension(dimension, self._files.label)
        preprocessing = processor_config(self._files)
        parts = [
            {
                "kind": "VisionModel",
                "config": without(self._files.read_object("config.json"), CONFIG_NOISE),
                "weights": weights_of(self._files, self._options),
            },
            {"kind": "Extraction", "mode": self._extraction.mode},
            preprocessing,
            *code_of(self._files, self._options),
        ]
        return Description(
            space=Space(
                name=model_identity(parts),
                dimension=dimension,
                modalities=frozenset({Modality.IMAGE}),
                label=self._files.short_label,
            ),
            limits=Limits(unit="image", items_per_batch=GPU_BATCH if self.on_gpu else CPU_BATCH, padded=False),
            native_dimension=dimension,
            intake=Intake(image_side=shorter_side(preprocessing)),
        )

    def identity(self) -> Mapping[str, str]:
        """Engine and precision, and what resizes images."""
        return {**super().identity(), "processor_backend": self._options["processor_backend"]}

    def load_model(self) -> None:
        """Load image processor and model."""
        from transformers import AutoModel

        extraction = self._extraction
        self._inputs = ImageInputs(self._files, self._options)
        arguments: dict[str, Any] = {"attn_implementation": "eager"} if extraction.needs_attention else {}
        if extraction.kind == "vit_mae":
            arguments["mask_ratio"] = 0.0
        unused = ("decoder.",) if extraction.own_pooling else ("pooler.", "decoder.")
        model = load_weights(
            AutoModel, self._files, self._options, self.device, self.precision, unused=unused, cast=False, **arguments
        )
        features = image_features(model, extraction)
        if fixed_size(processor_config(self._files)):
            example = {"pixel_values": self._pixels(self._inputs(example_images()))}
            self._features = self.accelerate(features, example, key=repr(extraction))
        else:
            cast_ahead(features, self.precision)
            self._features = features

    def unload(self) -> None:
        """Drop the model and its image processor."""
        self._features = self._inputs = None

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """One unit an image, since all are brought to one size."""
        return Measure([1] * len(items))

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """The image itself: it is never too large."""
        return [item]

    def prepare(self, items: Sequence[Item], task: Task, state: Sequence[Any] | None = None) -> dict[str, Any]:
        """Resized and normalised pixels."""
        self.load()
        assert self._inputs is not None  # noqa: S101 - load sets it or raises
        return self._inputs([item.parts[0].payload for item in items])

    def compute(self, batch: Mapping[str, Any]) -> torch.Tensor:
        """The vectors `(n, d)`."""
        self.load()
        assert self._features is not None  # noqa: S101 - load sets it or raises
        vectors: torch.Tensor = self._features(pixel_values=self._pixels(batch))
        return vectors

    def _pixels(self, batch: Mapping[str, Any]) -> torch.Tensor:
        pixels: torch.Tensor = batch["pixel_values"].to(self.device, self.precision.weights_dtype)
        return pixels
