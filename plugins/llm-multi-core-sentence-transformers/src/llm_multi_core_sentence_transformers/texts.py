"""How texts become a model's inputs.

Three ways: from tokens that were found while measuring, for transformers with a fast tokenizer; the
same for tables of static embeddings; through the module's own `preprocess` for everything else. The
first is taken only if it gives, for probe texts, just what `preprocess` gives.

A text stays text: sentence-transformers would open one that looks like a media file or URL if the
model took media, but not one that is labelled as text.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from llm_multi_core.embedder import InvalidInputError, InvalidOptionError, Measure
from llm_multi_core_sentence_transformers.prompts import Treatment
from llm_multi_core_torch import FastTokenizer, TokenIds, padding_side, split_by_tokens, split_in_halves

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

_PROBE_PROMPT = "query: "
_MEASURED_AT_ONCE = 64
_UNBOUNDED = 10**9


class TextInputs(ABC):
    """One way from texts to the features that the modules of a model take."""

    @abstractmethod
    def measure(self, texts: Sequence[str], treatment: Treatment) -> Measure:
        """The tokens of each text, with prompt and special tokens. Safe in several threads."""

    @abstractmethod
    def features(self, texts: Sequence[str], treatment: Treatment, state: Sequence[Any] | None) -> dict[str, Any]:
        """The model's inputs for a batch, on the CPU. Safe in several threads.

        Raises:
            InvalidInputError: if a text has no tokens.
        """

    @abstractmethod
    def split(self, text: str, treatment: Treatment, max_tokens: int) -> list[str]:
        """`text` in consecutive pieces of at most `max_tokens` tokens.

        Raises:
            InvalidInputError: if nothing fits beside the prompt.
        """


class TokenInputs(TextInputs):
    """Padded tokens, as a transformer takes them."""

    def __init__(self, tokens: FastTokenizer, special_ids: Iterable[int]) -> None:
        self._tokens = tokens
        self._special_ids = frozenset(special_ids)

    @classmethod
    def verified(
        cls, model: SentenceTransformer, treatments: Iterable[Treatment], max_tokens: int | None
    ) -> Self | None:
        """For a model whose first module is a transformer; `None` if that would not equal its `preprocess`."""
        probes = ["", "Probe", "a b " * ((max_tokens or 64) // 2 + 2)]
        own = ModuleInputs(model)
        tried = [*treatments, Treatment(_PROBE_PROMPT)]
        expected = [own.features(probes, treatment, None) for treatment in tried]
        tokenizer = model.tokenizer
        tokens = FastTokenizer.take_over(tokenizer, max_tokens)
        if tokens is None:
            return None
        inputs = cls(tokens, tokenizer.all_special_ids)
        rows = [inputs._rows(probes, treatment) for treatment in tried]
        same = all(
            _equal(inputs._padded(row, treatment), features)
            for row, treatment, features in zip(rows, tried, expected, strict=True)
        )
        return inputs if same else None

    def measure(self, texts: Sequence[str], treatment: Treatment) -> Measure:
        """The tokens of each text; they are kept for `features`."""
        tokenized = self._tokens.tokenize(_prompted(texts, treatment))
        return Measure(_at_least_one(tokenized.counts), exact=True, state=tokenized.ids)

    def features(self, texts: Sequence[str], treatment: Treatment, state: Sequence[Any] | None) -> dict[str, Any]:
        """Token ids, padded, with their mask."""
        rows: Sequence[TokenIds] = self._rows(texts, treatment) if state is None else state
        if not self._tokens.adds_tokens:
            _require_tokens(rows)
        return self._padded(rows, treatment)

    def split(self, text: str, treatment: Treatment, max_tokens: int) -> list[str]:
        """Pieces that end between two tokens."""
        return self._tokens.split(text, max_tokens, treatment.prompt)

    def _rows(self, texts: Sequence[str], treatment: Treatment) -> Sequence[TokenIds]:
        return self._tokens.tokenize(_prompted(texts, treatment)).ids

    def _padded(self, rows: Sequence[TokenIds], treatment: Treatment) -> dict[str, Any]:
        import torch

        features: dict[str, Any] = {name: torch.from_numpy(array) for name, array in self._tokens.pad(rows).items()}
        features["modality"] = "text"
        if treatment.prompt:
            features["prompt_length"] = self._prompt_length(treatment.prompt)
        return features

    def _prompt_length(self, prompt: str) -> int:
        """Tokens at the start of a text that belong to the prompt, for models that leave them out of the pooling.

        As `Transformer._get_prompt_length`: the tokens of the prompt alone, less a special one at its end.
        """
        ids = self._tokens.pad(self._tokens.tokenize([prompt]).ids)["input_ids"][0]
        return len(ids) - int(len(ids) > 0 and int(ids[-1]) in self._special_ids)


class BagInputs(TextInputs):
    """Tokens one text after the other, as a table of static embeddings takes them."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int | None) -> None:
        truncation = tokenizer.truncation or {}
        self._room = max_tokens
        self._cuts_left = truncation.get("direction", "right").lower() == "left"
        tokenizer.no_truncation()
        self._tokenizer = tokenizer

    def measure(self, texts: Sequence[str], treatment: Treatment) -> Measure:
        """The tokens of each text; they are kept for `features`."""
        encodings = self._tokenizer.encode_batch_fast(_prompted(texts, treatment), add_special_tokens=False)
        counts, rows = [], []
        for encoding in encodings:
            ids = encoding.ids
            counts.append(len(ids))
            if self._room is not None and len(ids) > self._room:
                ids = ids[-self._room :] if self._cuts_left else ids[: self._room]
            rows.append(np.array(ids, np.int32))
        return Measure(_at_least_one(counts), exact=True, state=rows)

    def features(self, texts: Sequence[str], treatment: Treatment, state: Sequence[Any] | None) -> dict[str, Any]:
        """Token ids, joined, with the place where each text begins."""
        import torch

        rows = state if state is not None else self.measure(texts, treatment).state or ()
        _require_tokens(rows)
        ends = np.cumsum([len(row) for row in rows])
        offsets = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
        flat = np.concatenate(rows).astype(np.int64)
        return {"input_ids": torch.from_numpy(flat), "offsets": torch.from_numpy(offsets)}

    def split(self, text: str, treatment: Treatment, max_tokens: int) -> list[str]:
        """Pieces that end between two tokens."""
        starts = [start for start, _ in self._tokenizer.encode(text, add_special_tokens=False).offsets]
        return split_by_tokens(text, starts, max_tokens, lambda piece: self._count(treatment.prompt + piece))

    def _count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)


class ModuleInputs(TextInputs):
    """The module's own `preprocess`, which is not safe in several threads and so is called by one at a time."""

    def __init__(self, model: SentenceTransformer) -> None:
        from sentence_transformers.base.modules import Router, Transformer

        self._model = model
        self._lock = threading.Lock()
        self._labels_text = set(model.modalities) != {"text"}
        self._counting: dict[str, Any] = {}
        if isinstance(model[0], Transformer | Router):
            self._counting = {"processing_kwargs": {"text": {"truncation": False, "verbose": False}}}

    def measure(self, texts: Sequence[str], treatment: Treatment) -> Measure:
        """The tokens of each text, as `preprocess` finds them when it does not truncate."""
        counts: list[int] = []
        exact = True
        for start in range(0, len(texts), _MEASURED_AT_ONCE):
            block = texts[start : start + _MEASURED_AT_ONCE]
            features = self._preprocess(block, treatment, **self._counting)
            if "attention_mask" in features:
                counts.extend(features["attention_mask"].sum(1).tolist())
            elif "offsets" in features:
                ends = np.append(features["offsets"].numpy()[1:], len(features["input_ids"]))
                counts.extend((ends - features["offsets"].numpy()).tolist())
            else:
                exact = False
                counts.extend(len(text.split()) for text in block)
        return Measure(_at_least_one(counts), exact=exact)

    def features(self, texts: Sequence[str], treatment: Treatment, state: Sequence[Any] | None) -> dict[str, Any]:
        """Whatever `preprocess` gives."""
        return self._preprocess(texts, treatment)

    def split(self, text: str, treatment: Treatment, max_tokens: int) -> list[str]:
        """Halves, halved again until they fit."""
        return split_in_halves(text, max_tokens, lambda piece: int(self.measure([piece], treatment).units[0]))

    def _preprocess(self, texts: Sequence[str], treatment: Treatment, **options: Any) -> dict[str, Any]:
        if treatment.task is not None:
            options["task"] = treatment.task
        labelled: list[Any] = [{"text": text} for text in texts] if self._labels_text else list(texts)
        with self._lock:
            return dict(self._model.preprocess(labelled, prompt=treatment.prompt or None, **options))


def loaded_limit(model: SentenceTransformer) -> int | None:
    """The longest text of a loaded model; of several routes, the shortest limit."""
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    limits = []
    for module in _input_modules(model):
        if isinstance(module, StaticEmbedding):
            limits.append((module.tokenizer.truncation or {}).get("max_length"))
        else:
            limits.append(getattr(module, "max_seq_length", None))
    return min((int(limit) for limit in limits if limit is not None and limit < _UNBOUNDED), default=None)


def limit_tokens(model: SentenceTransformer, max_tokens: int) -> None:
    """Let a loaded model truncate what is longer.

    Raises:
        InvalidOptionError: if it has no way to.
    """
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    for module in _input_modules(model):
        if isinstance(module, Transformer):
            module.max_seq_length = max_tokens
        elif isinstance(module, StaticEmbedding):
            module.tokenizer.enable_truncation(max_tokens)
        else:
            raise InvalidOptionError(f"max_length= is not for modules of the kind {type(module).__name__}")


def settle_padding(model: SentenceTransformer, chosen: str | None) -> None:
    """Let the transformers of a loaded model pad where that changes no vector, or on the side that a user chose."""
    from sentence_transformers.base.modules import Transformer

    for module in _input_modules(model):
        tokenizer = module.tokenizer if isinstance(module, Transformer) else None
        if tokenizer is not None:
            tokenizer.padding_side = chosen or padding_side(module.config.to_dict(), tokenizer.padding_side)


def _input_modules(model: SentenceTransformer) -> list[Any]:
    """The module that takes the text, of each route."""
    from sentence_transformers.base.modules import Router

    first = model[0]
    if isinstance(first, Router):
        return [next(route.children()) for route in first.sub_modules.values()]
    return [first]


def inputs_for(model: SentenceTransformer, treatments: Iterable[Treatment], max_tokens: int | None) -> TextInputs:
    """The fastest way from texts to the features of this model."""
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    first = model[0]
    if type(first) is StaticEmbedding:
        return BagInputs(first.tokenizer, max_tokens)
    if isinstance(first, Transformer):
        inputs = TokenInputs.verified(model, treatments, max_tokens)
        if inputs is not None:
            return inputs
    return ModuleInputs(model)


def _prompted(texts: Sequence[str], treatment: Treatment) -> list[str]:
    return [treatment.prompt + text for text in texts] if treatment.prompt else list(texts)


def _at_least_one(counts: Iterable[int]) -> list[int]:
    """A text without tokens is refused when its batch is prepared; until then it counts like the shortest."""
    return [max(1, count) for count in counts]


def _require_tokens(rows: Sequence[TokenIds]) -> None:
    if not all(len(row) for row in rows):
        raise InvalidInputError("the text has no tokens for this model, which adds none of its own")


def _equal(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    import torch

    if ours.keys() != theirs.keys():
        return False
    return all(
        torch.equal(value, theirs[name]) if isinstance(value, torch.Tensor) else value == theirs[name]
        for name, value in ours.items()
    )
