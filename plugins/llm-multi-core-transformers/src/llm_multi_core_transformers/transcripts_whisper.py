"""What Whisper hears.

Whisper hears 30 s at a time. A longer recording is heard as its paper has it (section 3.8 of
https://arxiv.org/abs/2212.04356): window by window, each beginning where the last sentence of the one
before ended. Recordings of up to 30 s are heard together, long ones alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import InvalidOptionError
from llm_multi_core_torch import ModelFiles, Precision, Samples
from llm_multi_core_transformers.checkpoints import load_part, load_weights

if TYPE_CHECKING:
    import torch

_LOGPROB_THRESHOLD = -1.0
"""Silence is only believed in where the words are improbable as well, as in the paper."""
_FIRST_TOKENS = 4
"""That an answer begins with: its start, language, task, and whether it has times."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """Recordings that are heard together.

    Attributes:
        places: where each stands among all.
        seconds: their lengths.
        features: spectrograms `(n, mels, frames)`.
        mask: which frames are of sound, `(n, frames)`.
        is_short: whether each fits into a window.
    """

    places: list[int]
    seconds: list[float]
    features: torch.Tensor
    mask: torch.Tensor
    is_short: bool

    @property
    def inputs(self) -> dict[str, torch.Tensor]:
        return {"input_features": self.features, "attention_mask": self.mask}

    def only(self, row: int) -> _Heard:
        """One of them."""
        one = slice(row, row + 1)
        return _Heard(self.places[one], self.seconds[one], self.features[one], self.mask[one], self.is_short)


class WhisperRecogniser:
    """A Whisper model with its decoder.

    Args:
        files: the model's.
        options: the framework's.
        device: where it runs.
        precision: in which it computes.

    Raises:
        InvalidOptionError: for a language or task to a model of English, or a language that there is not.
        ModelLoadError: if it cannot be loaded.
    """

    def __init__(self, files: ModelFiles, options: Mapping[str, Any], device: str, precision: Precision) -> None:
        from transformers import AutoFeatureExtractor, AutoModelForSpeechSeq2Seq, AutoTokenizer

        self._device, self._dtype = device, precision.weights_dtype
        self._extractor: Any = load_part(AutoFeatureExtractor, files, options)
        self._extractor.dither = 0.0  # noise, against silence in training; words must not depend on it
        self._tokenizer: Any = load_part(AutoTokenizer, files, options)
        self._model: Any = load_weights(AutoModelForSpeechSeq2Seq, files, options, device, precision, unused=())
        self._arguments = self._generation(options, files.label)

    def prepare(self, recordings: Sequence[Samples]) -> list[_Heard]:
        """Log-mel spectrograms of recordings `(frames,)`: of those that fit into a window together, of others alone."""
        window = self._extractor.n_samples
        short = [place for place, samples in enumerate(recordings) if len(samples) <= window]
        together = [short] if short else []
        alone = [[place] for place, samples in enumerate(recordings) if len(samples) > window]
        return [self._heard(places, [recordings[place] for place in places]) for places in (*together, *alone)]

    def words(self, prepared: list[_Heard]) -> list[str]:
        """What is said in each recording."""
        texts: dict[int, str] = {}
        for heard in prepared:
            texts.update(self._hear_together(heard) if heard.is_short else {heard.places[0]: self._hear_on(heard)})
        return [texts[place] for place in sorted(texts)]

    def _heard(self, places: list[int], recordings: Sequence[Samples]) -> _Heard:
        is_short = all(len(samples) <= self._extractor.n_samples for samples in recordings)
        rate = self._extractor.sampling_rate
        inputs = self._extractor(
            list(recordings),
            sampling_rate=rate,
            padding="max_length" if is_short else "longest",
            truncation=False,
            return_attention_mask=True,
            return_tensors="pt",
        )
        return _Heard(
            places,
            [len(samples) / rate for samples in recordings],
            inputs["input_features"].to(self._device, self._dtype),
            inputs["attention_mask"].to(self._device),
            is_short,
        )

    def _hear_together(self, heard: _Heard) -> dict[int, str]:
        """The words of recordings that fit into a window. One whose words did not fit into an answer is asked on."""
        said = self._model.generate(**heard.inputs, return_segments=True, **self._arguments)
        texts = self._tokenizer.batch_decode(said["sequences"], skip_special_tokens=True)
        whole = [all(self._is_whole(segment["result"]) for segment in row) for row in said["segments"]]
        return {
            place: texts[row].strip() if whole[row] else self._hear_on(heard.only(row))
            for row, place in enumerate(heard.places)
        }

    def _hear_on(self, heard: _Heard) -> str:
        """The words of one recording of any length, from the end of one sentence to the next."""
        import torch

        said = self._model.generate(**heard.inputs, return_segments=True, return_timestamps=True, **self._arguments)
        # Behind its end comes the silence that fills a window.
        tokens = [row["tokens"] for row in said["segments"][0] if float(row["start"]) < heard.seconds[0]]
        return str(self._tokenizer.decode(torch.cat(tokens), skip_special_tokens=True)).strip() if tokens else ""

    def _is_whole(self, result: Any) -> bool:
        """Whether an answer was ended by the model, or by the user, and not for want of room."""
        tokens = result["sequences"] if isinstance(result, Mapping) else result
        return "max_new_tokens" in self._arguments or bool((tokens == self._model.generation_config.eos_token_id).any())

    def _generation(self, options: Mapping[str, Any], label: str) -> dict[str, Any]:
        """The arguments of `generate`."""
        config = self._model.generation_config
        chosen = {name: options[name] for name in ("language", "task") if options[name] is not None}
        if chosen and not getattr(config, "is_multilingual", False):
            raise InvalidOptionError(f"model {label!r} knows English only; leave out {next(iter(chosen))}=")
        if "language" in chosen:
            chosen["language"] = self._language(chosen["language"], label)
        config.max_length = self._model.config.max_target_positions
        arguments = {"do_sample": False, "num_beams": options["num_beams"], **chosen}
        if options["max_new_tokens"] is not None:
            arguments["max_new_tokens"] = options["max_new_tokens"]
        if options["prompt"]:
            arguments["prompt_ids"] = self._tokenizer.get_prompt_ids(options["prompt"], return_tensors="pt")
        self._require_room(arguments, label)
        if "prompt_ids" in arguments:
            arguments["prompt_ids"] = arguments["prompt_ids"].to(self._device)
        if options["no_speech_threshold"] is not None:
            arguments |= {
                "no_speech_threshold": options["no_speech_threshold"],
                "logprob_threshold": _LOGPROB_THRESHOLD,
            }
            arguments["temperature"] = 0.0  # which these thresholds want to be told
        return arguments

    def _require_room(self, arguments: Mapping[str, Any], label: str) -> None:
        """Refuse a prompt of which the model would see its end only, and answers longer than it can give."""
        room = int(self._model.config.max_target_positions)
        prompt = len(arguments.get("prompt_ids", ()))
        if prompt > room // 2:
            raise InvalidOptionError(f"prompt= has {prompt} tokens, and model {label!r} takes {room // 2}; shorten it")
        left = room - _FIRST_TOKENS - prompt
        if arguments.get("max_new_tokens", 0) > left:
            raise InvalidOptionError(
                f"max_new_tokens={arguments['max_new_tokens']}: an answer of model {label!r} has room for {left}"
            )

    def _language(self, language: str, label: str) -> str:
        """A language by the code that the model knows it by."""
        from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

        known = self._model.generation_config.lang_to_id
        code = TO_LANGUAGE_CODE.get(language.lower(), language.lower())
        if f"<|{code}|>" not in known:
            codes = ", ".join(sorted(name.strip("<|>") for name in known))
            raise InvalidOptionError(f"language={language!r} is none that model {label!r} knows: {codes}")
        return code
