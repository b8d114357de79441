"""The encoder: a sentence-transformers model, told apart by its files and run by its own modules.

What it leaves to sentence-transformers: loading, and everything from tokens to vectors (pooling,
projections, routes, truncated dimensions). What it does itself: find the model, tell its identity
without loading it, choose prompts, tokenise each text once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from llm_multi_core.embedder import (
    Description,
    EncoderConfig,
    FrameworkSpec,
    Intake,
    InvalidInputError,
    Item,
    Limits,
    Measure,
    Modality,
    ModelLoadError,
    Role,
    Space,
    Task,
)
from llm_multi_core_sentence_transformers.acceleration import accelerate_transformers
from llm_multi_core_sentence_transformers.finding import find_files
from llm_multi_core_sentence_transformers.layout import ModelLayout, read_layout
from llm_multi_core_sentence_transformers.loading import check_passed_on, load_sentence_transformer
from llm_multi_core_sentence_transformers.media import MediaBatch, MediaInputs, loaded_sample_rate, served
from llm_multi_core_sentence_transformers.plugin import SENTENCE_TRANSFORMERS
from llm_multi_core_sentence_transformers.prompts import Treatments, treatments
from llm_multi_core_sentence_transformers.texts import (
    TextInputs,
    inputs_for,
    limit_tokens,
    loaded_limit,
    settle_padding,
)
from llm_multi_core_torch import (
    CPU_TEXT_LIMITS,
    GPU_TEXT_LIMITS,
    ModelCard,
    ModelFiles,
    TorchEncoder,
    cast_ahead,
    check_max_length,
    json_sha256,
    model_card,
    model_identity,
    similarity_of,
)

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

STATIC_LIMITS = replace(CPU_TEXT_LIMITS, items_per_batch=4096, units_per_batch=262_144, padded=False)
"""For tables of static embeddings, which only look vectors up."""

PROBES = ("a text", "a text of some more words, so that there is padding beside it")
"""What a module is converted with for another engine."""


@dataclass(frozen=True, slots=True)
class TextBatch:
    """A batch of texts, ready for the model."""

    features: dict[str, Any]
    task: str | None


class SentenceTransformersEncoder(TorchEncoder):
    """Any dense model of text, images or sound that sentence-transformers loads."""

    specification: ClassVar[FrameworkSpec] = SENTENCE_TRANSFORMERS

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self._options: Mapping[str, Any] = self.specification.check_options(config.options)
        check_passed_on(self._options)
        self._model: SentenceTransformer | None = None
        self._inputs: TextInputs | None = None
        self._media: MediaInputs | None = None

    # What its files say.

    @cached_property
    def _files(self) -> ModelFiles:
        return find_files(self.config.model, self._options)

    @cached_property
    def _layout(self) -> ModelLayout:
        return read_layout(self._files, trust_remote_code=self._options["trust_remote_code"])

    @cached_property
    def _card(self) -> ModelCard:
        return model_card(self._files.label)

    @cached_property
    def _treatments(self) -> Treatments:
        return treatments(self._layout.settings, self._options, self._card, routed=self._layout.routed)

    @property
    def _max_tokens(self) -> int | None:
        """The longest text as described; what is longer is truncated."""
        chosen: int | None = self._options["max_length"]
        if chosen is None:
            return self._layout.max_tokens if self._layout.complete else loaded_limit(self._loaded_model)
        return check_max_length(chosen, self._layout.position_limit, self._files.label)

    @property
    def _dimension(self) -> int:
        if self._layout.complete and self._layout.dimension is not None:
            return self._layout.dimension
        dimension = self._loaded_model.get_embedding_dimension()
        if dimension is None:
            raise ModelLoadError(f"model {self._files.label!r} does not say how many dimensions its vectors have")
        return int(dimension)

    @property
    def _loaded_model(self) -> SentenceTransformer:
        self.load()
        assert self._model is not None  # noqa: S101 - load sets it or raises
        return self._model

    def describe(self) -> Description:
        """What the model's files say; only a model with modules of unknown kinds is loaded for it."""
        dimension = self._dimension
        self.require_dimension(dimension, self._files.label)
        space = Space(
            name=model_identity(self._layout.identity),
            dimension=dimension,
            score=similarity_of(self._layout.settings),
            options=self.config.space_options,
            modalities=self._modalities,
            label=self._files.short_label,
        )
        return Description(
            space=space,
            limits=self._limits(),
            native_dimension=dimension,
            sliceable=self._card.matryoshka or self._layout.matryoshka,
            roles=self._treatments.distinguished,
            instructions=self._follows_instructions,
            intake=self._intake(),
        )

    @property
    def _modalities(self) -> frozenset[Modality]:
        return self._layout.modalities if self._layout.complete else served(self._loaded_model.modalities)

    @property
    def _follows_instructions(self) -> bool:
        """Whether a prompt reaches inputs of every modality; one before an image needs a message to hold both."""
        if self._modalities <= {Modality.TEXT}:
            return True
        return self._layout.messages if self._layout.complete else "message" in self._loaded_model.modalities

    def _intake(self) -> Intake | None:
        modalities, media = self._modalities, self._layout.media
        if modalities <= {Modality.TEXT}:
            return None
        sample_rate = media.sample_rate if Modality.AUDIO in modalities else None
        if Modality.AUDIO in modalities and sample_rate is None:
            sample_rate = loaded_sample_rate(self._loaded_model)
        return Intake(image_side=media.image_side, sample_rate=sample_rate)

    def _limits(self) -> Limits:
        limits = GPU_TEXT_LIMITS if self.on_gpu else CPU_TEXT_LIMITS
        if not self._layout.padded:
            limits = STATIC_LIMITS
        prompted = all(treatment.prompt for treatment in self._treatments.by_role.values())
        accepts_empty = self._layout.adds_tokens or prompted
        return replace(limits, units_per_item=self._max_tokens, accepts_empty=accepts_empty)

    def identity(self) -> Mapping[str, str]:
        """Engine and precision, prompts, truncation, tokenisation, and what was passed on to transformers."""
        by_role = self._treatments.by_role
        prompts = {str(role): [by_role[role].prompt, by_role[role].task] for role in Role}
        passed_on = {name: repr(self._options[name]) for name in ("model_kwargs", "tokenizer_kwargs")}
        return {
            **super().identity(),
            "prompts": json.dumps([prompts, self._card.excludes_prompt], sort_keys=True),
            "max_tokens": str(self._max_tokens),
            "preprocessing": json_sha256([self._layout.preprocessing, self._layout.media.preprocessing]),
            **passed_on,
        }

    # What it does.

    def load_model(self) -> None:
        """Load modules and tokenizer; checks that they agree with what was described."""
        self._files.download(self._layout.folders)
        model = self._load_modules()
        if self._card.excludes_prompt:
            model.set_pooling_include_prompt(False)
        limit, chosen = loaded_limit(model), self._options["max_length"]
        described = chosen or (self._layout.max_tokens if self._layout.complete else limit)
        if chosen is None and limit is not None and (described is None or described > limit):
            raise ModelLoadError(
                f"model {self._files.label!r} takes {limit} tokens where its files say {described or 'any number'}; "
                f"pass max_length={limit}"
            )
        if described is not None and described != limit:
            limit_tokens(model, described)
        settle_padding(model, (self._options["tokenizer_kwargs"] or {}).get("padding_side"))
        modalities = served(model.modalities)
        if Modality.TEXT in modalities:
            self._inputs = inputs_for(model, self._treatments.by_role.values(), described)
        if modalities - {Modality.TEXT}:
            self._media = MediaInputs(model, described)
        if self.engine == "openvino" and self._inputs is not None:
            accelerate_transformers(model, self._probes(self._inputs), self.accelerate)
        cast_ahead(model, self.precision)
        self._model = model

    def _probes(self, inputs: TextInputs) -> Iterator[tuple[dict[str, Any], str | None]]:
        """Two texts of different lengths, treated in each of the ways that texts are."""
        for treatment in self._treatments.by_role.values():
            yield inputs.features(PROBES, treatment, None), treatment.task

    def _load_modules(self) -> SentenceTransformer:
        return load_sentence_transformer(self._files, self.device, self.precision, self._options)

    def unload(self) -> None:
        """Drop the model and its tokenizer."""
        self._model = self._inputs = self._media = None

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """Tokens of texts, counted by the model's own tokenizer; for images and sound an estimate."""
        if not all(map(_is_text, items)):
            units = [self._units(item, task) for item in items]
            return Measure(units, exact=False)
        return self._text_inputs.measure([item.text for item in items], self._treatments.of(task))

    def _units(self, item: Item, task: Task) -> int:
        if _is_text(item):
            return int(self.measure([item], task).units[0])
        self.load()
        # What the model does not take is refused when its batch is prepared, so that the others are embedded.
        return 1 if self._media is None else self._media.units(item)

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """Pieces of text that end at white space where possible, and stretches of sound."""
        if not _is_text(item):
            return self._media_inputs.split(item, max_units)
        from llm_multi_core.embedder.inputs.text import text_item

        pieces = self._text_inputs.split(item.text, self._treatments.of(task), max_units)
        return [text_item(piece) for piece in pieces]

    def prepare(self, items: Sequence[Item], task: Task, state: Sequence[Any] | None = None) -> TextBatch | MediaBatch:
        """Truncated and padded tokens, or the tensors of images and sound."""
        treatment = self._treatments.of(task)
        if not _is_text(items[0]):
            return self._media_inputs.prepare(items, treatment)
        texts = [item.text for item in items]
        return TextBatch(self._text_inputs.features(texts, treatment, state), treatment.task)

    def compute(self, batch: TextBatch | MediaBatch) -> torch.Tensor:
        """The embeddings `(n, d)`."""
        if isinstance(batch, MediaBatch):
            return batch.rows(lambda features: self._embeddings(features, batch.task))
        return self._embeddings(batch.features, batch.task)

    def _embeddings(self, inputs: Mapping[str, Any], task: str | None) -> torch.Tensor:
        import torch

        model = self._loaded_model
        features = {
            name: value.to(self.device, non_blocking=True) if isinstance(value, torch.Tensor) else value
            for name, value in inputs.items()
        }
        routing = {} if task is None else {"task": task}
        rows: torch.Tensor = model(features, **routing)["sentence_embedding"]
        return rows if model.truncate_dim is None else rows[:, : model.truncate_dim]

    @property
    def _text_inputs(self) -> TextInputs:
        self.load()
        assert self._inputs is not None  # noqa: S101 - load sets it or raises
        return self._inputs

    @property
    def _media_inputs(self) -> MediaInputs:
        self.load()
        if self._media is None:
            raise InvalidInputError(f"model {self._files.label!r} embeds {' and '.join(sorted(self._modalities))} only")
        return self._media


def _is_text(item: Item) -> bool:
    return item.signature == (Modality.TEXT,)
