"""The encoder for CLAP: sounds and texts in one space.

CLAP hears windows of 10 s. The library takes a random crop of a longer recording, or several (models
with feature fusion); nothing here is random: what is longer than a window follows the truncation policy
like any over-long input. Shorter recordings are repeated to fill the window, as the model's feature
extractor says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from llm_multi_core.embedder import InvalidOptionError, Item, Limits, Measure, Modality, ModelLoadError, Task
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core_torch import Samples, example_sounds, milliseconds_of, samples_of, split_sound
from llm_multi_core_transformers.audio import SoundEncoder
from llm_multi_core_transformers.checkpoints import load_part, load_weights
from llm_multi_core_transformers.tokens import Inputs, text_tokens
from llm_multi_core_transformers.towers import tower_module

if TYPE_CHECKING:
    import torch

CPU_LIMITS = Limits(items_per_batch=16, units_per_batch=4096)
GPU_LIMITS = replace(CPU_LIMITS, items_per_batch=128, units_per_batch=65_536)
"""A recording costs a whole window, however short it is, so that the items count more than the units."""

_UNBOUNDED = 10**9
"""Tokenizers without a limit of their own carry a number beyond this."""
_PROBES = ("rain", "a dog that barks, far away")


@dataclass(frozen=True, slots=True)
class SoundBatch:
    """Log-mel spectrograms `(n, channels, frames, mels)`."""

    features: Samples


class ClapEncoder(SoundEncoder):
    """Both towers of a CLAP model, with their projections.

    One limit holds for both modalities: units are tokens, and a recording counts for as many of them
    as its share of the longest one. With 512 tokens and 10 s, a unit is 20 ms of sound.
    """

    model_types = frozenset({"clap"})
    default_sample_rate = 48_000
    modalities = frozenset({Modality.TEXT, Modality.AUDIO})

    # What its files say.

    @property
    def _dimension(self) -> int:
        return int(self._model_config.projection_dim)

    @cached_property
    def _max_tokens(self) -> int:
        text = self._model_config.text_config
        positions = int(text.max_position_embeddings) - int(text.pad_token_id) - 1
        stated = self._files.read_object("tokenizer_config.json").get("model_max_length", _UNBOUNDED)
        return min(positions, int(stated))

    @cached_property
    def _window_samples(self) -> int:
        settings = self._preprocessing
        # What the library calls "fusion" is chosen by the extractor for the model; they must agree.
        if (settings.get("truncation", "fusion") == "fusion") != bool(self._model_config.audio_config.enable_fusion):
            raise ModelLoadError(
                f"the feature extractor of model {self._files.label!r} has truncation="
                f"{settings.get('truncation', 'fusion')!r}, which does not belong to a model with "
                f"enable_fusion={self._model_config.audio_config.enable_fusion}"
            )
        return int(settings.get("max_length_s", 10) * self.sample_rate)

    @property
    def _longest(self) -> int:
        """The longest recording, in milliseconds."""
        return self._max_milliseconds(self._window_samples / self.sample_rate, fixed=True)

    def _limits(self) -> Limits:
        tokens, longest = self._max_tokens, self._longest
        if longest < tokens:  # recordings are cut at whole milliseconds
            raise InvalidOptionError(
                f"max_seconds={longest / 1000:g} is too short for model {self._files.label!r}; the least is "
                f"{tokens / 1000:g}"
            )
        return replace(GPU_LIMITS if self.on_gpu else CPU_LIMITS, units_per_item=tokens)

    def identity(self) -> Mapping[str, str]:
        """Engine and precision, and the longest recording."""
        return {**super().identity(), "longest_sound": str(self._longest)}

    # What it does.

    def load_model(self) -> None:
        """Load both towers, the feature extractor and the tokenizer."""
        from transformers import AutoModel, AutoTokenizer

        model = load_weights(AutoModel, self._files, self._options, self.device, self.precision, unused=(), cast=False)
        self._extractor = self._load_extractor()
        self._tokens = text_tokens(load_part(AutoTokenizer, self._files, self._options), self._max_tokens)
        sounds, texts = self._spectrograms(example_sounds(self.sample_rate)), self._tokens.inputs(_PROBES)
        self._towers: Mapping[Modality, Callable[..., Any]] = {
            Modality.AUDIO: self.accelerate(_sound_tower(model), self._on_device(sounds), key="sounds"),
            Modality.TEXT: self.accelerate(
                tower_module(model, "get_text_features"), self._on_device(texts), key="texts"
            ),
        }

    def unload(self) -> None:
        """Drop both towers."""
        del self._towers, self._extractor, self._tokens

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """Tokens of texts; of recordings, their share of the longest one."""
        places = [place for place, item in enumerate(items) if _is_text(item)]
        found = self._tokens.measure([items[place].text for place in places])
        units = [0 if _is_text(item) else self._units_of_sound(item) for item in items]
        state: list[Any] = [None] * len(items)
        for number, place in enumerate(places):
            units[place] = found.units[number]
            state[place] = None if found.state is None else found.state[number]
        return Measure(units, state=state)

    def _units_of_sound(self, item: Item) -> int:
        return max(1, ceil(milliseconds_of(item) * self._max_tokens / self._longest))

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """Pieces of a text that end between two tokens, or stretches of a recording."""
        if _is_text(item):
            return [text_item(piece) for piece in self._tokens.split(item.text, max_units)]
        return split_sound(item, max_units * self._longest // self._max_tokens)

    def prepare(self, items: Sequence[Item], task: Task, state: Sequence[Any] | None = None) -> Inputs | SoundBatch:
        """Token ids, or spectrograms by the model's own feature extractor.

        Raises:
            InvalidInputError: if a recording is damaged.
        """
        if _is_text(items[0]):
            known = state if state is not None and all(ids is not None for ids in state) else None
            return self._tokens.inputs([item.text for item in items], known)
        sounds = samples_of(items, self.sample_rate)
        # A header may promise a little less than the decoded sound has; beyond the window, crops are random.
        return self._spectrograms([samples[: self._window_samples] for samples in sounds])

    def _spectrograms(self, sounds: Sequence[Samples]) -> SoundBatch:
        features = self._extractor(list(sounds), sampling_rate=self.sample_rate, return_tensors="np")["input_features"]
        return SoundBatch(np.asarray(features, np.float32))

    def compute(self, batch: Inputs | SoundBatch) -> torch.Tensor:
        """The projections `(n, d)`."""
        tower = self._towers[Modality.AUDIO if isinstance(batch, SoundBatch) else Modality.TEXT]
        rows: torch.Tensor = tower(**self._on_device(batch))
        return rows

    def _on_device(self, batch: Inputs | SoundBatch) -> dict[str, torch.Tensor]:
        import torch

        if isinstance(batch, SoundBatch):
            features = torch.from_numpy(batch.features)
            return {"input_features": features.to(self.device, self.precision.weights_dtype)}
        return {name: torch.from_numpy(values).to(self.device) for name, values in batch.items()}


def _sound_tower(model: Any) -> torch.nn.Module:
    """A module that computes the projections `(n, d)` of spectrograms."""
    import torch

    class Sounds(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_features: torch.Tensor) -> torch.Tensor:
            # The extractor calls one recording of a batch longer than it is, at random; none of these is.
            longer = input_features.new_zeros((input_features.shape[0], 1), dtype=torch.bool)
            found = self.model.get_audio_features(input_features=input_features, is_longer=longer)
            rows: torch.Tensor = found if isinstance(found, torch.Tensor) else found.pooler_output
            return rows

    return Sounds().eval()


def _is_text(item: Item) -> bool:
    return item.parts[0].modality is Modality.TEXT
