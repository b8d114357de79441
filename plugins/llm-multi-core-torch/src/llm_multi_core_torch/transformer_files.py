"""What the files of a transformer and its tokenizer say: width, longest text, identity. Loads neither.

The rules are those by which sentence-transformers loads one
(`sentence_transformers/base/modules/transformer.py`, version 6.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from llm_multi_core_torch.identity import CONFIG_NOISE, tokenizer_sha256, without
from llm_multi_core_torch.model_files import ModelFiles, within

LENGTH_KEYS = frozenset({"max_seq_length", "model_max_length"})
"""Settings that say how much of a text is taken, and so change no space."""

_UNBOUNDED = 10**9
_SETTINGS_FILES = tuple(
    f"sentence_{architecture}_config.json"
    for architecture in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_VOCABULARY_FILES = (
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "tokenizer_config.json",
)
_HIDDEN_SIZE_KEYS = ("hidden_size", "d_model", "n_embd", "dim", "hidden_dim")
_POSITIONS_KEY = "max_position_embeddings"
_OFFSET_POSITIONS = frozenset(
    {"camembert", "data2vec-text", "ibert", "longformer", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl", "xmod"}
)
"""Architectures whose first positions are for padding."""
_ROTARY_KEYS = ("rope_theta", "rope_parameters", "rope_scaling", "rotary_emb_base")
_SIDELESS = frozenset({"xlnet"})
"""Architectures of relative positions that say so by no setting, and were trained with padding on the left."""
_TOKENIZER_CONFIG_NOISE = frozenset(
    {"model_max_length", "name_or_path", "special_tokens_map_file", "tokenizer_file", "tokenizer_class", "backend"}
)


@dataclass(frozen=True, slots=True)
class TransformerFacts:
    """What the files of a transformer and its tokenizer say.

    Attributes:
        config: the model's `config.json`.
        settings: what sentence-transformers keeps beside it, in `sentence_bert_config.json`.
        identity: JSON data on what it computes.
        preprocessing: JSON data on how text becomes tokens, beyond the vocabulary.
        hidden_size: components of the vector of a token; `None` if only the configuration's class knows.
        max_tokens: the longest text, special tokens included; `None` for no limit.
        position_limit: what `max_tokens` could be raised to.
        adds_tokens: whether even an empty text has tokens.
        matryoshka: whether the configuration lists smaller dimensions.
    """

    config: Mapping[str, Any]
    settings: Mapping[str, Any]
    identity: Any
    preprocessing: Any
    hidden_size: int | None
    max_tokens: int | None
    position_limit: int | None
    adds_tokens: bool
    matryoshka: bool


def read_transformer(files: ModelFiles, folder: str, weights: Mapping[str, str]) -> TransformerFacts:
    """The facts of the transformer in a sub-folder.

    Args:
        files: the model's files.
        folder: the sub-folder; `""` is the model's own.
        weights: what identifies its weights.
    """
    config = files.read_object(within(folder, "config.json"))
    settings = _settings(files, folder)
    tokenizer = files.read_object(within(folder, "tokenizer_config.json"))
    max_tokens, position_limit = _sequence_limits(config, settings, tokenizer)
    return TransformerFacts(
        config=config,
        settings=settings,
        identity={
            "kind": "Transformer",
            "config": without(config, CONFIG_NOISE),
            "settings": without(settings, LENGTH_KEYS),
            "weights": weights,
            "vocabulary": vocabulary_identity(files, folder),
        },
        preprocessing=without(tokenizer, _TOKENIZER_CONFIG_NOISE),
        hidden_size=_hidden_size(config),
        max_tokens=max_tokens,
        position_limit=position_limit,
        adds_tokens=_adds_special_tokens(files, folder, tokenizer),
        matryoshka=bool(config.get("matryoshka_dimensions")),
    )


def padding_side(config: Mapping[str, Any], preferred: str) -> str:
    """The side on which padding changes no position: the right one, unless the model counts positions relatively.

    transformers numbers positions from the left edge, padding included, so that a model with absolute
    positions would see others after padding on the left (GPT-2).

    Args:
        config: the model's configuration.
        preferred: the tokenizer's own side, `"left"` or `"right"`.
    """
    nested = config.get("text_config")
    sources = (config, nested if isinstance(nested, Mapping) else {})
    rotary = any(key in source for key in _ROTARY_KEYS for source in sources)
    return preferred if rotary or config.get("model_type") in _SIDELESS else "right"


def vocabulary_identity(files: ModelFiles, folder: str) -> Any:
    """JSON data that identifies how the tokenizer in a sub-folder cuts text."""
    if within(folder, "tokenizer.json") in files:
        return tokenizer_sha256(files.read_object(within(folder, "tokenizer.json")))
    return {name: files.sha256(within(folder, name)) for name in _VOCABULARY_FILES if within(folder, name) in files}


def _settings(files: ModelFiles, folder: str) -> dict[str, Any]:
    return next((found for name in _SETTINGS_FILES if (found := files.read_object(within(folder, name)))), {})


def _hidden_size(config: Mapping[str, Any]) -> int | None:
    nested = config.get("text_config")
    for source in (config, nested if isinstance(nested, Mapping) else {}):
        for key in _HIDDEN_SIZE_KEYS:
            if isinstance(source.get(key), int):
                return int(source[key])
    return None


def _sequence_limits(
    config: Mapping[str, Any], settings: Mapping[str, Any], tokenizer: Mapping[str, Any]
) -> tuple[int | None, int | None]:
    """The longest text as configured, and the longest that the model has positions for."""
    positions = config.get(_POSITIONS_KEY, config.get("n_positions") if "n_embd" in config else None)
    nested = config.get("text_config")
    found = positions if positions is not None or not isinstance(nested, Mapping) else nested.get(_POSITIONS_KEY)
    position_limit = int(found) if _is_limit(found) else None
    if position_limit is not None and config.get("model_type") in _OFFSET_POSITIONS:
        position_limit -= int(config.get("pad_token_id") or 0) + 1
    for name in ("processor_kwargs", "tokenizer_args"):
        if isinstance(chosen := (settings.get(name) or {}).get("model_max_length"), int):
            return chosen, position_limit
    configured = settings.get("max_seq_length")
    if configured is not None:
        return int(configured), position_limit
    # Positions of a nested configuration are not looked at, as sentence-transformers does not.
    own = (tokenizer.get("model_max_length"), None if positions is None else position_limit)
    return min((int(limit) for limit in own if _is_limit(limit)), default=None), position_limit


def _is_limit(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and 0 < value < _UNBOUNDED


def _adds_special_tokens(files: ModelFiles, folder: str, tokenizer: Mapping[str, Any]) -> bool:
    if tokenizer.get("add_bos_token") or tokenizer.get("add_eos_token"):
        return True
    name = within(folder, "tokenizer.json")
    return name not in files or _puts_tokens_around(files.read_object(name).get("post_processor"))


def _puts_tokens_around(post_processor: Any) -> bool:
    if not isinstance(post_processor, Mapping):
        return False
    kind = post_processor.get("type")
    if kind == "Sequence":
        return any(_puts_tokens_around(step) for step in post_processor.get("processors", ()))
    if kind == "TemplateProcessing":
        return any("SpecialToken" in piece for piece in post_processor.get("single", ()))
    return kind in {"BertProcessing", "RobertaProcessing"}
