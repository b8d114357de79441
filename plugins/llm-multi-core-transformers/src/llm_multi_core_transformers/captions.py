"""Captions of images: BLIP, GIT, and encoder-decoders of a vision and a language model, such as ViT with GPT-2.

A caption is the likeliest one by greedy or beam search. Nothing is sampled, so that a picture always
gets the same words, whatever else is in its batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import EncoderConfig, InvalidOptionError, Modality, ModelLoadError
from llm_multi_core_torch import CONFIG_NOISE, ModelFiles, TorchDescriber, model_identity, vocabulary_identity, without
from llm_multi_core_transformers.checkpoints import code_of, find_checkpoint, load_part, load_weights, weights_of
from llm_multi_core_transformers.describer_specs import CAPTION
from llm_multi_core_transformers.generation import generation_identity, prepare_generation, require_counts
from llm_multi_core_transformers.image_inputs import ImageInputs, processor_config

if TYPE_CHECKING:
    import torch

_ENCODER_DECODER = "vision-encoder-decoder"
_TYPES = ("blip", "git", _ENCODER_DECODER)
_LONGEST = 50
"""Tokens of a caption, unless the user says otherwise: far more than these models were taught to write."""


class CaptionDescriber(TorchDescriber):
    """A model that `AutoModelForImageTextToText` loads, of a type that needs no chat template."""

    modality = Modality.IMAGE
    via = "caption"

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self._options: Mapping[str, Any] = CAPTION.check_options(config.options)
        require_counts(self._options)

    @cached_property
    def _files(self) -> ModelFiles:
        return find_checkpoint(self.config.model, self._options, [model.name for model in CAPTION.models])

    @cached_property
    def _kind(self) -> str:
        """The type of the model."""
        label = self._files.label
        kind = self._files.read_object("config.json").get("model_type")
        if kind not in _TYPES:
            raise ModelLoadError(
                f"model {label!r} is of type {kind!r}, which caption does not run (it runs {', '.join(_TYPES)})"
            )
        if kind == _ENCODER_DECODER and self._options["prompt"]:
            raise InvalidOptionError(f"model {label!r} is a {kind}, which takes no prompt; leave out prompt=")
        return str(kind)

    def identity(self) -> Mapping[str, str]:
        """Weights, configuration, vocabulary and preprocessing by hash, the prompt, and how captions are sought."""
        files, options = self._files, self._options
        model = model_identity(
            [
                self._kind,
                weights_of(files, options),
                without(files.read_object("config.json"), CONFIG_NOISE),
                processor_config(files),
                vocabulary_identity(files, ""),
                generation_identity(files),
                *code_of(files, options),
            ]
        )
        names = ("prompt", "max_new_tokens", "num_beams", "processor_backend")
        return {"model": model, **{name: repr(options[name]) for name in names}}

    def load_model(self) -> None:
        """Load image processor, tokenizer and model."""
        from transformers import AutoModelForImageTextToText, AutoTokenizer

        kind, files, options = self._kind, self._files, self._options
        self._images = ImageInputs(files, options)
        self._tokenizer: Any = load_part(AutoTokenizer, files, options)
        model: Any = load_weights(AutoModelForImageTextToText, files, options, self.device, self.precision, unused=())
        prepare_generation(model, *([model.text_decoder] if kind == "blip" else []))
        self._model: Any = model
        self._beginning = self._prompt_tokens(options["prompt"] or "")
        self._longest = self._room(model.config)

    def _room(self, config: Any) -> int:
        """Most tokens of a caption."""
        writer = getattr(config, "text_config", None) or getattr(config, "decoder", None) or config
        begun = self._beginning["input_ids"].shape[1] if self._beginning else 1
        room, wanted = int(writer.max_position_embeddings) - begun, self._options["max_new_tokens"]
        if wanted is not None and wanted > room:
            raise InvalidOptionError(
                f"max_new_tokens={wanted}: model {self._files.label!r} has room for {room} beyond the prompt"
            )
        return int(wanted or min(_LONGEST, room))

    def _prompt_tokens(self, prompt: str) -> dict[str, torch.Tensor]:
        """What goes to the model beside a picture, `(1, tokens)` each."""
        if not prompt:
            return {}
        # As https://huggingface.co/docs/transformers/model_doc/blip and .../git have it: BLIP drops the last token
        # itself, and GIT is given the prompt behind its first token only.
        tokens = self._tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        if self._kind == "git":
            return {name: values[:, :-1].to(self.device) for name, values in tokens.items()}
        return {name: values.to(self.device) for name, values in tokens.items()}

    def unload(self) -> None:
        """Drop model, tokenizer and image processor."""
        del self._model, self._tokenizer, self._images, self._beginning

    def prepare(self, media: Sequence[Any]) -> torch.Tensor:
        """The pixels of pictures, `(n, channels, height, width)`."""
        pixels: torch.Tensor = self._images(media)["pixel_values"]
        return pixels.to(self.device, self.precision.weights_dtype)

    def words(self, prepared: torch.Tensor) -> list[str]:
        """The caption of each picture, with the prompt that it begins with."""
        beginning = {name: values.repeat(len(prepared), 1) for name, values in self._beginning.items()}
        tokens = self._model.generate(
            pixel_values=prepared,
            max_new_tokens=self._longest,
            num_beams=self._options["num_beams"],
            do_sample=False,
            **beginning,
        )
        texts: list[str] = self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [text.strip() for text in texts]
