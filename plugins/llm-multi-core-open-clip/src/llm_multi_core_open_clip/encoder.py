"""The encoder: a CLIP model of open_clip, one for images and texts.

What it leaves to open_clip: building, preprocessing, everything from pixels and tokens to vectors.
What it does itself: find the model, tell its identity without loading it, count tokens, leave out
padding that the text tower cannot see.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import (
    Description,
    EncoderConfig,
    Intake,
    InvalidInputError,
    Item,
    Limits,
    Measure,
    Modality,
    Space,
    Task,
    UnsupportedDimensionsError,
)
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core_open_clip.finding import ClipFiles, find_clip
from llm_multi_core_open_clip.loading import image_transform, load_clip, suit_cpu
from llm_multi_core_open_clip.plugin import CLIP
from llm_multi_core_open_clip.texts import Ids, Texts, TokenizerSource
from llm_multi_core_open_clip.towers import image_tower, sees_no_padding, text_tower
from llm_multi_core_torch import TorchEncoder, model_identity, without

if TYPE_CHECKING:
    import torch

CPU_LIMITS = Limits(items_per_batch=16, truncates=True)
"""Enough images to keep the decoding threads busy while the batch before is computed."""
GPU_LIMITS = replace(CPU_LIMITS, items_per_batch=256)

_NOT_SHAPING = frozenset(
    {
        "custom_text",
        "hf_model_pretrained",
        "hf_tokenizer_name",
        "multimodal_cfg",
        "patch_dropout",
        "timm_model_pretrained",
        "tokenizer_kwargs",
        "tokenizer_mode",
    }
)
"""What of a configuration does not change what the two towers compute: layout of the weights, training,
CoCa's captioner; the tokenizer is identified by its content."""

_PROBES = ("a photo", "a photo of a dog in the harbour")


@dataclass(frozen=True, slots=True)
class ClipBatch:
    """A batch of one modality: pixels `(n, 3, height, width)` or token ids `(n, tokens)`."""

    modality: Modality
    tensor: torch.Tensor


class OpenClipEncoder(TorchEncoder):
    """Any CLIP model of open_clip: its image tower and its text tower, loaded once."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self._options: Mapping[str, Any] = CLIP.check_options(config.options)
        self._towers: Mapping[Modality, Callable[..., Any]] = {}
        self._transform: Any = None
        self._texts: Texts | None = None
        self._trims = False

    # What its files say.

    @cached_property
    def _found(self) -> ClipFiles:
        return find_clip(self.config.model, self._options)

    @cached_property
    def _tokenizer(self) -> TokenizerSource:
        return TokenizerSource(self._found, self._options)

    @cached_property
    def _space_name(self) -> str:
        found = self._found
        stated = {key: value for key, value in found.config.items() if value is not None and value is not False}
        return model_identity(
            {
                "framework": "open_clip",
                "weights": found.files.sha256(found.weights),
                "model": without(stated, _NOT_SHAPING),
                "image": dict(found.image),
                "text": self._tokenizer.identity(),
            }
        )

    def describe(self) -> Description:
        """What the model's files say."""
        found = self._found
        wanted = self.config.dimensions
        if wanted is not None and wanted != found.dimension:
            raise UnsupportedDimensionsError(
                f"model {found.label!r} gives {found.dimension} dimensions and cannot give {wanted} itself"
            )
        return Description(
            space=Space(
                name=self._space_name,
                dimension=found.dimension,
                options=self.config.space_options,
                modalities=frozenset({Modality.IMAGE, Modality.TEXT}),
                label=found.label,
            ),
            limits=replace(GPU_LIMITS if self.on_gpu else CPU_LIMITS, units_per_item=self._tokenizer.context_length),
            native_dimension=found.dimension,
            intake=Intake(image_side=max(found.image["size"])),
        )

    def identity(self) -> Mapping[str, str]:
        """Engine, precision, and how images are prepared."""
        return {**super().identity(), "image": json.dumps(dict(self._found.image), sort_keys=True)}

    # What it does.

    def load_model(self) -> None:
        """Load both towers, the tokenizer and the preprocessing."""
        import torch

        self._texts = self._tokenizer.load()
        self._transform = image_transform(self._found)
        model = load_clip(self._found, self.device, self.precision)
        self._trims = sees_no_padding(model)
        texts = self._trimmed(self._texts.ids(_PROBES, None))
        pixels = torch.randn((2, 3, *self._found.image["size"]), generator=torch.Generator().manual_seed(0))
        towers = {Modality.IMAGE: (image_tower(model), pixels), Modality.TEXT: (text_tower(model), texts)}
        self._towers = {modality: self._accelerated(modality, *tower) for modality, tower in towers.items()}

    def _accelerated(
        self, modality: Modality, tower: torch.nn.Module, example: torch.Tensor
    ) -> Callable[..., torch.Tensor]:
        # Where padding counts, all texts come in one length.
        dynamic: dict[str | int, Sequence[int]] | None = None if self._trims else {0: (0,)}
        inputs = self._on_device(ClipBatch(modality, example))
        runner = self.accelerate(tower, inputs, key=modality.value, dynamic=dynamic)
        if runner is tower and not self.on_gpu:
            suit_cpu(tower, self.precision)
        return runner

    def unload(self) -> None:
        """Drop both towers."""
        self._towers = {}
        self._texts = self._transform = None

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """Tokens of texts by the model's own tokenizer; an image counts as one, whatever its size."""
        units: list[int] = [1] * len(items)
        state: list[Any] = [None] * len(items)
        places = [place for place, item in enumerate(items) if _modality(item) is Modality.TEXT]
        if places:
            found = self._loaded_texts.measure([items[place].text for place in places])
            for number, place in enumerate(places):
                units[place] = found.units[number]
                state[place] = None if found.state is None else found.state[number]
        return Measure(units, state=state)

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """Pieces of a text that end at white space where possible."""
        if _modality(item) is Modality.IMAGE:
            return [item]
        return [text_item(piece) for piece in self._loaded_texts.split(item.text, max_units)]

    def prepare(self, items: Sequence[Item], task: Task, state: Sequence[Any] | None = None) -> ClipBatch:
        """Pixels or token ids."""
        import torch

        modality = _modality(items[0])
        if modality is Modality.IMAGE:
            pixels = [self._transform(item.parts[0].payload) for item in items]
            return ClipBatch(modality, torch.stack(pixels))
        kept = None if state is None or any(row is None for row in state) else state
        return ClipBatch(modality, self._trimmed(self._loaded_texts.ids([item.text for item in items], kept)))

    def _trimmed(self, ids: Ids) -> torch.Tensor:
        """Token ids `(n, tokens)` without padding that the text tower cannot see."""
        import torch

        longest = int(ids.argmax(axis=1).max()) + 1 if self._trims else ids.shape[1]
        return torch.from_numpy(ids[:, :longest])

    def compute(self, batch: ClipBatch) -> torch.Tensor:
        """The vectors `(n, d)` of images or texts."""
        rows: torch.Tensor = self._towers[batch.modality](self._on_device(batch))
        return rows

    def _on_device(self, batch: ClipBatch) -> torch.Tensor:
        dtype = self.precision.weights_dtype if batch.tensor.is_floating_point() else None
        return batch.tensor.to(self.device, dtype, non_blocking=True)

    @property
    def _loaded_texts(self) -> Texts:
        self.load()
        assert self._texts is not None  # noqa: S101 - load sets it or raises
        return self._texts


def _modality(item: Item) -> Modality:
    """The modality of an item of one part.

    Raises:
        InvalidInputError: for several parts, which CLIP cannot read together.
    """
    if len(item.parts) != 1 or item.parts[0].modality not in {Modality.IMAGE, Modality.TEXT}:
        raise InvalidInputError(f"a CLIP model embeds one image or one text, not {' + '.join(item.signature)}")
    return item.parts[0].modality
