"""The encoder of images and text in one space: CLIP, SigLIP and FLAVA checkpoints of transformers.

Both towers are one model here, loaded once: the image and the text embedder of a checkpoint share it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

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
from llm_multi_core_torch import (
    CONFIG_NOISE,
    ModelFiles,
    TorchEncoder,
    cast_ahead,
    json_sha256,
    model_identity,
    tokenizer_sha256,
    without,
)
from llm_multi_core_transformers.checkpoints import (
    code_of,
    find_checkpoint,
    load_part,
    load_weights,
    weights_of,
)
from llm_multi_core_transformers.image_inputs import (
    ImageInputs,
    example_images,
    fixed_size,
    processor_config,
    shorter_side,
)
from llm_multi_core_transformers.image_specs import CLIP_TRANSFORMERS
from llm_multi_core_transformers.tokens import Inputs, TextTokens, text_tokens

if TYPE_CHECKING:
    import torch

_FIXED_LENGTH = frozenset({"siglip", "siglip2"})
"""Trained on text that is padded to full length without a mask, so that padding is part of the text
(https://huggingface.co/docs/transformers/model_doc/siglip)."""
_UNBOUNDED = 10**9
_VOCABULARY_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "spiece.model", "tokenizer.model")
_PROBES = ("A probe", "A longer probe, of words")
_CPU_UNITS, _GPU_UNITS = 2048, 32_768


@dataclass(frozen=True, slots=True)
class TowerBatch:
    """A batch for one of the towers."""

    modality: Modality
    inputs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tower:
    """One tower as an engine runs it, with the names of its inputs."""

    accepted: tuple[str, ...]
    run: Callable[..., Any]


def tower_module(model: torch.nn.Module, method: str) -> torch.nn.Module:
    """A module that computes what `get_text_features` or `get_image_features` of a model does, `(n, d)`."""
    import torch

    class Features(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
            found = getattr(self.model, method)(**inputs)
            vectors: torch.Tensor = found if isinstance(found, torch.Tensor) else found.pooler_output
            # FLAVA projects the states of all tokens; its contrastive embedding is that of CLS.
            return vectors[:, 0] if vectors.ndim == 3 else vectors

    return Features().eval()


class TowersEncoder(TorchEncoder):
    """Any model of transformers with `get_image_features` and `get_text_features`."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self._options: Mapping[str, Any] = CLIP_TRANSFORMERS.check_options(config.options)
        self._towers: Mapping[Modality, Tower] = {}
        self._images: ImageInputs | None = None
        self._tokens: TextTokens | None = None
        self._pad_id = 0

    @cached_property
    def _files(self) -> ModelFiles:
        known = [model.name for model in CLIP_TRANSFORMERS.models]
        return find_checkpoint(self.config.model, self._options, known)

    @cached_property
    def _model_config(self) -> Any:
        from transformers import AutoConfig

        config = load_part(AutoConfig, self._files, self._options)
        sides = {"text_config"} | ({"image_config"} if hasattr(config, "image_config") else {"vision_config"})
        if not all(hasattr(config, side) for side in sides):
            raise ModelLoadError(
                f"model {self._files.label!r} of type {config.model_type!r} is not of text and images; use framework "
                "'vit' for images, 'huggingface' for text"
            )
        return config

    @property
    def _dimension(self) -> int:
        config = self._model_config
        text = config.text_config
        # SigLIP has no projection of both towers; its text head has the width of the image tower.
        candidates = (getattr(config, "projection_dim", None), getattr(text, "projection_size", None), text.hidden_size)
        return next(candidate for candidate in candidates if isinstance(candidate, int))

    @property
    def _max_tokens(self) -> int | None:
        own = self._files.read_object("tokenizer_config.json").get("model_max_length")
        limits = (own, getattr(self._model_config.text_config, "max_position_embeddings", None))
        known = [int(limit) for limit in limits if isinstance(limit, int | float) and 0 < limit < _UNBOUNDED]
        return min(known, default=None)

    def describe(self) -> Description:
        """What the model's files say."""
        dimension = self._dimension
        self.require_dimension(dimension, self._files.label)
        preprocessing = processor_config(self._files)
        parts = [
            {
                "kind": "Towers",
                "config": without(self._files.read_object("config.json"), CONFIG_NOISE),
                "weights": weights_of(self._files, self._options),
                "vocabulary": self._vocabulary(),
            },
            preprocessing,
            *code_of(self._files, self._options),
        ]
        return Description(
            space=Space(
                name=model_identity(parts),
                dimension=dimension,
                modalities=frozenset({Modality.TEXT, Modality.IMAGE}),
                label=self._files.short_label,
            ),
            limits=Limits(
                units_per_item=self._max_tokens,
                items_per_batch=512 if self.on_gpu else 64,
                units_per_batch=_GPU_UNITS if self.on_gpu else _CPU_UNITS,
                truncates=True,
            ),
            native_dimension=dimension,
            intake=Intake(image_side=shorter_side(preprocessing)),
        )

    def _vocabulary(self) -> Any:
        if "tokenizer.json" in self._files:
            return tokenizer_sha256(self._files.read_object("tokenizer.json"))
        return {name: self._files.sha256(name) for name in _VOCABULARY_FILES if name in self._files}

    def identity(self) -> Mapping[str, str]:
        """Engine and precision, what resizes images, truncation and tokenisation."""
        tokenizer = without(self._files.read_object("tokenizer_config.json"), frozenset({"name_or_path", "backend"}))
        return {
            **super().identity(),
            "processor_backend": self._options["processor_backend"],
            "max_tokens": str(self._max_tokens),
            "preprocessing": json_sha256(tokenizer),
        }

    def load_model(self) -> None:
        """Load tokenizer, image processor and both towers."""
        from transformers import AutoModel, AutoTokenizer

        self._images = ImageInputs(self._files, self._options)
        tokenizer = load_part(AutoTokenizer, self._files, self._options)
        tokenizer.padding_side = "right"
        self._tokens = text_tokens(tokenizer, self._max_tokens)
        self._pad_id = int(tokenizer.pad_token_id)
        model = load_weights(AutoModel, self._files, self._options, self.device, self.precision, cast=False)
        if not hasattr(model, "get_text_features") or not hasattr(model, "get_image_features"):
            raise ModelLoadError(f"model {self._files.label!r} has no joint features of text and images")
        texts = self._padded(self._tokens.inputs(_PROBES))
        self._towers = {
            Modality.TEXT: self._tower(model.get_text_features, model, texts),
            Modality.IMAGE: self._tower(model.get_image_features, model, self._images(example_images())),
        }

    def _tower(self, features: Any, model: torch.nn.Module, example: Mapping[str, torch.Tensor]) -> Tower:
        accepted = tuple(name for name in example if name in inspect.signature(features).parameters)
        module = tower_module(model, features.__name__)
        inputs = self._on_device(example, accepted)
        if features.__name__ == "get_text_features" or fixed_size(processor_config(self._files)):
            padded = self._model_config.model_type in _FIXED_LENGTH
            dynamic: dict[str | int, Sequence[int]] | None = {"input_ids": (0,)} if padded else None
            return Tower(accepted, self.accelerate(module, inputs, key=features.__name__, dynamic=dynamic))
        cast_ahead(module, self.precision)
        return Tower(accepted, module)

    def _on_device(self, inputs: Mapping[str, torch.Tensor], accepted: Sequence[str]) -> dict[str, torch.Tensor]:
        dtype = self.precision.weights_dtype
        return {
            name: inputs[name].to(self.device, dtype if inputs[name].is_floating_point() else inputs[name].dtype)
            for name in accepted
        }

    def _padded(self, inputs: Inputs) -> dict[str, torch.Tensor]:
        import torch

        if self._model_config.model_type in _FIXED_LENGTH:
            ids = inputs["input_ids"]
            room = (self._max_tokens or ids.shape[1]) - ids.shape[1]
            inputs = {"input_ids": np.pad(ids, ((0, 0), (0, room)), constant_values=self._pad_id)}
        return {name: torch.from_numpy(value) for name, value in inputs.items()}

    def unload(self) -> None:
        """Drop model, tokenizer and image processor."""
        self._towers = {}
        self._images = self._tokens = None

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """Tokens of each text; an image counts as much as the longest text."""
        found = [1] * len(items)
        state: list[Any] = [None] * len(items)
        places = [place for place, item in enumerate(items) if item.signature == (Modality.TEXT,)]
        for place in set(range(len(items))) - set(places):
            found[place] = self._max_tokens or 1
        if places:
            measured = self._text_tokens.measure([items[place].text for place in places])
            for number, place in enumerate(places):
                found[place] = measured.units[number]
                state[place] = None if measured.state is None else measured.state[number]
        return Measure(found, exact=True, state=state)

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """Pieces of a text that end at white space where possible; an image is never too large."""
        from llm_multi_core.embedder.inputs.text import text_item

        if item.signature != (Modality.TEXT,):
            return [item]
        return [text_item(piece) for piece in self._text_tokens.split(item.text, max_units)]

    def prepare(self, items: Sequence[Item], task: Task, state: Sequence[Any] | None = None) -> TowerBatch:
        """Padded tokens, or resized and normalised pixels."""
        tokens = self._text_tokens
        if items[0].signature == (Modality.TEXT,):
            kept = state if state is not None and all(row is not None for row in state) else None
            inputs = tokens.inputs([item.text for item in items], kept)
            return TowerBatch(Modality.TEXT, self._padded(inputs))
        assert self._images is not None  # noqa: S101 - loaded with the tokens
        return TowerBatch(Modality.IMAGE, self._images([item.parts[0].payload for item in items]))

    def compute(self, batch: TowerBatch) -> torch.Tensor:
        """The vectors `(n, d)` of one tower."""
        self.load()
        tower = self._towers[batch.modality]
        vectors: torch.Tensor = tower.run(**self._on_device(batch.inputs, tower.accepted))
        return vectors

    @property
    def _text_tokens(self) -> TextTokens:
        self.load()
        assert self._tokens is not None  # noqa: S101 - load sets it or raises
        return self._tokens
