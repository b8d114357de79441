"""The encoders of text: any text model of transformers, its tokens pooled to one vector."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from llm_multi_core.embedder import (
    Description,
    EncoderConfig,
    FrameworkSpec,
    Item,
    Measure,
    ModelLoadError,
    Role,
    Space,
    Task,
)
from llm_multi_core_torch import (
    CPU_TEXT_LIMITS,
    GPU_TEXT_LIMITS,
    ModelCard,
    ModelFiles,
    Prompts,
    TorchEncoder,
    cast_ahead,
    check_max_length,
    choose_prompts,
    json_sha256,
    model_card,
    model_identity,
    packaged_or_found,
    padding_side,
    similarity_of,
)
from llm_multi_core_transformers.checkpoints import find_checkpoint, load_part, load_weights
from llm_multi_core_transformers.heads import Heads, build_heads
from llm_multi_core_transformers.pooling import pool
from llm_multi_core_transformers.text_layout import TextLayout, read_text_layout
from llm_multi_core_transformers.text_specs import DEFAULT_MODERNBERT, HUGGINGFACE, MODERNBERT
from llm_multi_core_transformers.tokens import Inputs, TextTokens, text_tokens

if TYPE_CHECKING:
    import torch

_PROBES = ("A probe", "A somewhat longer probe, of several words")
"""What an engine sees of the texts to come."""


@dataclass(frozen=True, slots=True)
class TextBatch:
    """A batch of texts, ready for the model."""

    inputs: Inputs
    prompt: str


class HuggingFaceEncoder(TorchEncoder):
    """Any text model that transformers' auto classes load."""

    spec: ClassVar[FrameworkSpec] = HUGGINGFACE

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self._options: Mapping[str, Any] = self.spec.check_options(config.options)
        self._model: Callable[..., Any] | None = None
        self._heads: Heads | None = None
        self._tokens: TextTokens | None = None
        self._special_ids: frozenset[int] = frozenset()
        self._accepted: frozenset[str] = frozenset()

    # What its files say.

    @cached_property
    def _files(self) -> ModelFiles:
        known = [model.name for model in self.spec.models]
        return packaged_or_found(
            self.config.model, self._options["revision"], lambda name: find_checkpoint(name, self._options, known)
        )

    @cached_property
    def _layout(self) -> TextLayout:
        return read_text_layout(self._files, self._options)

    @cached_property
    def _prompts(self) -> Prompts:
        return choose_prompts(self._layout.settings, self._options, self._card)

    @cached_property
    def _card(self) -> ModelCard:
        return model_card(self._files.label)

    @cached_property
    def _max_tokens(self) -> int | None:
        chosen: int | None = self._options["max_length"]
        transformer = self._layout.transformer
        if chosen is None:
            return transformer.max_tokens
        return check_max_length(chosen, transformer.position_limit, self._files.label)

    @cached_property
    def _dimension(self) -> int:
        dimension = self._layout.dimension
        if dimension is None:
            from transformers import AutoConfig

            width = getattr(load_part(AutoConfig, self._files, self._options), "hidden_size", None)
            if not isinstance(width, int):
                raise ModelLoadError(f"model {self._files.label!r} does not say how wide its hidden states are")
            dimension = len(self._layout.pooling.modes) * width
        return min(dimension, int(self._layout.settings.get("truncate_dim") or dimension))

    def describe(self) -> Description:
        """What the model's files say."""
        dimension = self._dimension
        self.require_dimension(dimension, self._files.label)
        space = Space(
            # The pooling that was chosen is part of the name, so that a choice of the default changes nothing.
            name=model_identity(self._layout.identity),
            dimension=dimension,
            score=similarity_of(self._layout.settings),
            label=self._files.short_label,
        )
        limits = GPU_TEXT_LIMITS if self.on_gpu else CPU_TEXT_LIMITS
        accepts_empty = self._layout.transformer.adds_tokens or all(self._prompts.by_role.values())
        return Description(
            space=space,
            limits=replace(limits, units_per_item=self._max_tokens, accepts_empty=accepts_empty),
            native_dimension=dimension,
            sliceable=self._layout.transformer.matryoshka or self._card.matryoshka,
            roles=self._prompts.distinguished,
            instructions=True,
        )

    def identity(self) -> Mapping[str, str]:
        """Engine and precision, prompts, truncation, padding and tokenisation."""
        prompts = {str(role): self._prompts.by_role[role] for role in Role}
        return {
            **super().identity(),
            "prompts": json.dumps([prompts, self._card.excludes_prompt], sort_keys=True),
            "max_tokens": str(self._max_tokens),
            "padding_side": str(self._options["padding_side"]),
            "preprocessing": json_sha256([self._layout.transformer.preprocessing, self._layout.lowercase]),
        }

    # What it does.

    def load_model(self) -> None:
        """Load tokenizer, model and heads."""
        from transformers import AutoTokenizer

        tokenizer = load_part(AutoTokenizer, self._files, self._options)
        chosen: str | None = self._options["padding_side"]
        tokenizer.padding_side = chosen or padding_side(self._layout.transformer.config, tokenizer.padding_side)
        self._special_ids = frozenset(tokenizer.all_special_ids)
        self._tokens = text_tokens(tokenizer, self._max_tokens)
        model = self._load_backbone()
        if getattr(model.config, "use_cache", False):
            model.config.use_cache = False  # type: ignore[union-attr]
        self._accepted = frozenset(inspect.signature(model.forward).parameters)
        self._heads = build_heads(self._files, self._layout.heads)
        self._heads.prepare(self.device, self.precision)
        self._model = self._run_by_engine(model)

    def _run_by_engine(self, model: torch.nn.Module) -> Callable[..., Any]:
        if "attention" in self._layout.pooling.modes:  # only torch's own modules give it
            cast_ahead(model, self.precision)
            return model
        return self.accelerate(model, self._accepted_tensors(self._text_tokens_or_fail.inputs(_PROBES)))

    def _accepted_tensors(self, inputs: Inputs) -> dict[str, torch.Tensor]:
        import torch

        return {
            name: torch.from_numpy(value).to(self.device) for name, value in inputs.items() if name in self._accepted
        }

    def _load_backbone(self) -> torch.nn.Module:
        """The model, of an encoder-decoder only the encoder."""
        from transformers import MODEL_FOR_TEXT_ENCODING_MAPPING, AutoConfig, AutoModel, AutoModelForTextEncoding

        config = load_part(AutoConfig, self._files, self._options)
        weighs = "attention" in self._layout.pooling.modes
        arguments: dict[str, Any] = {"attn_implementation": "eager"} if weighs else {}
        # The configuration of an encoder that was saved by itself (GTR) does not say that it is one.
        encoder_known = type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING
        auto_class = AutoModelForTextEncoding if encoder_known else AutoModel
        model = load_weights(
            auto_class,
            self._files,
            self._options,
            self.device,
            self.precision,
            cast=False,
            config=config,
            **arguments,
        )
        if getattr(config, "is_encoder_decoder", False) and not encoder_known:
            encoder: torch.nn.Module = model.get_encoder()  # type: ignore[operator]
            return encoder
        return model

    def unload(self) -> None:
        """Drop the model and its tokenizer."""
        self._model = self._heads = self._tokens = None

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """Tokens, counted by the model's own tokenizer, with prompt and special tokens."""
        return self._text_tokens.measure(self._texts(items, self._prompts.of(task)))

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """Pieces that end at white space where possible."""
        from llm_multi_core.embedder.inputs.text import text_item

        pieces = self._text_tokens.split(item.text, max_units, self._prompts.of(task))
        return [text_item(piece) for piece in pieces]

    def prepare(self, items: Sequence[Item], task: Task, state: Sequence[Any] | None = None) -> TextBatch:
        """Truncated and padded tokens."""
        prompt = self._prompts.of(task)
        return TextBatch(self._text_tokens.inputs(self._texts(items, prompt), state), prompt)

    def compute(self, batch: TextBatch) -> torch.Tensor:
        """The pooled vectors `(n, d)`."""
        import torch

        self.load()
        assert self._model is not None and self._heads is not None  # noqa: S101, PT018 - load sets them or raises
        weighing = {"output_attentions": True} if "attention" in self._layout.pooling.modes else {}
        output = self._model(**self._accepted_tensors(batch.inputs), **weighing)
        attentions = getattr(output, "attentions", None) or (None,)
        include = self._layout.pooling.include_prompt and not self._card.excludes_prompt
        vectors = pool(
            output.last_hidden_state,
            torch.from_numpy(batch.inputs["attention_mask"]).to(output.last_hidden_state.device),
            self._layout.pooling.modes,
            attention=attentions[-1],
            skipped=0 if include else self._text_tokens.prompt_length(batch.prompt, self._special_ids),
        )
        return self._heads(vectors)[:, : self._dimension]

    def _texts(self, items: Sequence[Item], prompt: str) -> list[str]:
        texts = [prompt + item.text for item in items]
        return [text.lower() for text in texts] if self._layout.lowercase else texts

    @property
    def _text_tokens(self) -> TextTokens:
        self.load()
        return self._text_tokens_or_fail

    @property
    def _text_tokens_or_fail(self) -> TextTokens:
        assert self._tokens is not None  # noqa: S101 - load sets it or raises
        return self._tokens


class ModernBertEncoder(HuggingFaceEncoder):
    """ModernBERT models for retrieval.

    Where neither the model's folder nor the user names prompts, and nothing else is known of the model,
    the prefixes of modernbert-embed are put before texts; `prompts={}` turns that off.
    """

    spec: ClassVar[FrameworkSpec] = MODERNBERT

    @cached_property
    def _layout(self) -> TextLayout:
        layout = read_text_layout(self._files, self._options)
        kind = layout.transformer.config.get("model_type")
        if kind != "modernbert":
            raise ModelLoadError(
                f"model {self._files.label!r} is of type {kind!r}, not ModernBERT; use framework 'huggingface'"
            )
        return layout

    @cached_property
    def _card(self) -> ModelCard:
        known = model_card(self._files.label)
        if known.names:
            return known
        base = model_card(DEFAULT_MODERNBERT)
        return ModelCard(query=base.query, document=base.document, symmetric=base.symmetric)
