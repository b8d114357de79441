"""The encoder: a CLIP model of open_clip, one for images and texts, or for sounds and texts.

What it leaves to open_clip: building, preprocessing, everything from pixels and tokens to vectors.
What it does itself: find the model, tell its identity without loading it, count tokens, leave out
padding that the text tower cannot see.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
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
from llm_multi_core_open_clip.sounds import SoundFormat, SoundInputs
from llm_multi_core_open_clip.texts import Texts, TokenizerSource
from llm_multi_core_open_clip.towers import image_tower, sees_no_padding, sound_tower, text_tower
from llm_multi_core_torch import (
    EngineWarning,
    Precision,
    TorchEncoder,
    milliseconds_of,
    model_identity,
    samples_of,
    split_sound,
    without,
)

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
    """A batch of one modality, as its tower takes it.

    Attributes:
        modality: of all its items.
        inputs: pixels `(n, 3, height, width)`, token ids `(n, tokens)`, or what `SoundInputs` makes.
    """

    modality: Modality
    inputs: Mapping[str, torch.Tensor]


class OpenClipEncoder(TorchEncoder):
    """Any CLIP model of open_clip: its image or audio tower and its text tower, loaded once.

    One limit holds for both modalities: units are tokens, and a recording counts for as many of them as its share of
    the longest one.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self._options: Mapping[str, Any] = CLIP.check_options(config.options)
        self._towers: Mapping[Modality, Callable[..., Any]] = {}
        self._transform: Any = None
        self._sounds: Any = None
        self._texts: Texts | None = None
        self._trims = False

    # What its files say.

    @cached_property
    def _found(self) -> ClipFiles:
        return find_clip(self.config.model, self._options)

    @cached_property
    def _sound_format(self) -> SoundFormat | None:
        audio = self._found.audio_config
        return None if audio is None else SoundFormat.of(audio)

    @property
    def _sounds_taken(self) -> SoundFormat:
        assert self._sound_format is not None  # noqa: S101 - only a model with an audio tower gets sounds
        return self._sound_format

    @cached_property
    def _modalities(self) -> frozenset[Modality]:
        return frozenset({Modality.IMAGE if self._sound_format is None else Modality.AUDIO, Modality.TEXT})

    @cached_property
    def precision(self) -> Precision:
        """The precision that the model computes in; audio towers make spectrograms, for which weights stay float32.

        Raises:
            InvalidOptionError: if the device cannot.
        """
        found = super().precision
        half = self._sound_format is not None and found.name != "float32"
        return replace(found, autocast=True) if half else found

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
        sounds = self._sound_format
        return Description(
            space=Space(
                name=self._space_name,
                dimension=found.dimension,
                options=self.config.space_options,
                modalities=self._modalities,
                label=found.label,
            ),
            limits=replace(GPU_LIMITS if self.on_gpu else CPU_LIMITS, units_per_item=self._tokenizer.context_length),
            native_dimension=found.dimension,
            intake=Intake(image_side=max(found.image["size"]))
            if sounds is None
            else Intake(sample_rate=sounds.sample_rate),
        )

    def identity(self) -> Mapping[str, str]:
        """Engine, precision, and how images are prepared."""
        return {**super().identity(), "image": json.dumps(dict(self._found.image), sort_keys=True)}

    # What it does.

    def load_model(self) -> None:
        """Load both towers, the tokenizer and the preprocessing."""
        import torch

        found = self._found
        self._texts = self._tokenizer.load()
        model = load_clip(found, self.device, self.precision)
        self._trims = sees_no_padding(model)
        texts = torch.from_numpy(self._texts.ids(_PROBES, None))
        # Where padding counts, all texts come in one length.
        towers = {Modality.TEXT: self._engine_for(text_tower(model), self._trimmed(texts), fixed=not self._trims)}
        if found.audio_config is None:
            self._transform = image_transform(found)
            pixels = torch.randn((2, 3, *found.image["size"]), generator=torch.Generator().manual_seed(0))
            towers[Modality.IMAGE] = self._engine_for(image_tower(model), pixels, fixed=True)
        else:
            self._sounds = SoundInputs(found.audio_config, found.label)
            # It makes spectrograms, which OpenVINO computes wrongly or slowly, and which want float32.
            towers[Modality.AUDIO] = sound_tower(model)
            if self._options["engine"] == "openvino":
                warnings.warn(f"the audio tower of model {found.label!r} runs in torch", EngineWarning, stacklevel=2)
        self._towers = towers

    def _engine_for(self, tower: torch.nn.Module, example: torch.Tensor, *, fixed: bool) -> Callable[..., Any]:
        inputs = self._on_device({"inputs": example})
        runner = self.accelerate(tower, inputs, dynamic={"inputs": (0,) if fixed else (0, 1)})
        if runner is tower and not self.on_gpu:
            suit_cpu(tower, self.precision)
        return runner

    def unload(self) -> None:
        """Drop both towers."""
        self._towers = {}
        self._texts = self._transform = self._sounds = None

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """Tokens of texts by the model's own tokenizer; an image counts as one, a recording by its length."""
        units = [self._units_of_sound(item) if self._modality(item) is Modality.AUDIO else 1 for item in items]
        state: list[Any] = [None] * len(items)
        places = [place for place, item in enumerate(items) if self._modality(item) is Modality.TEXT]
        if places:
            found = self._loaded_texts.measure([items[place].text for place in places])
            for number, place in enumerate(places):
                units[place] = found.units[number]
                state[place] = None if found.state is None else found.state[number]
        return Measure(units, state=state)

    def _units_of_sound(self, item: Item) -> int:
        share = milliseconds_of(item) / self._sounds_taken.milliseconds
        return max(1, ceil(share * self._tokenizer.context_length))

    def batch_key(self, item: Item) -> Hashable:
        """What an item may share a batch with: nothing, where the loudest of a batch shapes all its spectrograms."""
        alone = self._modality(item) is Modality.AUDIO and self._sounds_taken.alone
        return (item.signature, item.parts[0].digest) if alone else item.signature

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """Pieces of a text that end at white space where possible, or stretches of a recording."""
        modality = self._modality(item)
        if modality is Modality.IMAGE:
            return [item]
        if modality is Modality.AUDIO:
            return split_sound(item, max_units * self._sounds_taken.milliseconds // self._tokenizer.context_length)
        return [text_item(piece) for piece in self._loaded_texts.split(item.text, max_units)]

    def prepare(self, items: Sequence[Item], task: Task, state: Sequence[Any] | None = None) -> ClipBatch:
        """Pixels, token ids, or what the audio tower makes spectrograms of.

        Raises:
            InvalidInputError: if a recording is damaged.
        """
        import torch

        modality = self._modality(items[0])
        if modality is Modality.IMAGE:
            pixels = [self._transform(item.parts[0].payload) for item in items]
            return ClipBatch(modality, {"inputs": torch.stack(pixels)})
        if modality is Modality.AUDIO:
            return ClipBatch(modality, self._sounds(samples_of(items, self._sounds_taken.sample_rate)))
        kept = None if state is None or any(row is None for row in state) else state
        ids = torch.from_numpy(self._loaded_texts.ids([item.text for item in items], kept))
        return ClipBatch(modality, {"inputs": self._trimmed(ids)})

    def _trimmed(self, ids: torch.Tensor) -> torch.Tensor:
        """Token ids `(n, tokens)` without padding that the text tower cannot see."""
        return ids[:, : int(ids.argmax(dim=1).max()) + 1] if self._trims else ids

    def compute(self, batch: ClipBatch) -> torch.Tensor:
        """The vectors `(n, d)` of a batch."""
        rows: torch.Tensor = self._towers[batch.modality](**self._on_device(batch.inputs))
        return rows

    def _on_device(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        dtype = self.precision.weights_dtype
        return {
            name: tensor.to(self.device, dtype if tensor.is_floating_point() else None, non_blocking=True)
            for name, tensor in inputs.items()
        }

    @property
    def _loaded_texts(self) -> Texts:
        self.load()
        assert self._texts is not None  # noqa: S101 - load sets it or raises
        return self._texts

    def _modality(self, item: Item) -> Modality:
        """The modality of an item of one part.

        Raises:
            InvalidInputError: for several parts, which CLIP cannot read together, or one that it has no tower for.
        """
        if len(item.parts) != 1 or item.parts[0].modality not in self._modalities:
            takes = " or ".join(f"one {modality}" for modality in sorted(self._modalities))
            raise InvalidInputError(f"model {self._found.label!r} embeds {takes}, not {' + '.join(item.signature)}")
        return item.parts[0].modality
