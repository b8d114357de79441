"""What the files of a single module say: its dimension, its limit, its part in the model's identity."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from llm_multi_core.embedder import Modality, ModelLoadError
from llm_multi_core_sentence_transformers.media import read_media, served
from llm_multi_core_torch import CONFIG_NOISE, ModelFiles, json_sha256, loaded_files, tokenizer_sha256, without

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
_MODEL_LEVEL_FILES = frozenset({"config_sentence_transformers.json", "modules.json"})
_HIDDEN_SIZE_KEYS = ("hidden_size", "d_model", "n_embd", "dim", "hidden_dim")
_SUB_CONFIGS = ("text_config", "vision_config", "audio_config")
_POSITIONS_KEY = "max_position_embeddings"
_OFFSET_POSITIONS = frozenset(
    {"camembert", "data2vec-text", "ibert", "longformer", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl", "xmod"}
)
"""Architectures whose first positions are for padding."""
_LIMIT_KEYS = frozenset({"max_seq_length", "model_max_length"})
_TOKENIZER_CONFIG_NOISE = frozenset(
    {"model_max_length", "name_or_path", "special_tokens_map_file", "tokenizer_file", "tokenizer_class", "backend"}
)
_LEGACY_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True, slots=True)
class ModuleFacts:
    """What the files of one module say.

    Attributes:
        identity: JSON data on what it computes; `None` if that does not matter for comparing vectors.
        dimension: components of its output; `None` if it leaves them as they are, or nobody knows.
        max_tokens: the longest text of an input module; `None` for no limit.
        position_limit: what that could be raised to.
        preprocessing: JSON data on how an input module tokenises, beyond its vocabulary.
        padded: whether an input module pads texts to the longest of a batch.
        adds_tokens: whether its tokenizer adds special tokens, so that even an empty text has some.
        complete: whether nothing of this is left open.
        matryoshka: whether smaller dimensions are listed.
        foreign_code: code outside of torch and sentence-transformers that it wants to run.
        modalities: what an input module takes.
        messages: whether it puts every input into a message, beside its prompt.
    """

    identity: Any
    dimension: int | None = None
    max_tokens: int | None = None
    position_limit: int | None = None
    preprocessing: Any = None
    padded: bool = True
    adds_tokens: bool = True
    complete: bool = True
    matryoshka: bool = False
    foreign_code: str | None = None
    modalities: frozenset[Modality] = frozenset({Modality.TEXT})
    messages: bool = False


def transformer(files: ModelFiles, folder: str, *, bare: bool = False) -> ModuleFacts:
    """A transformers model with its tokenizer.

    A `bare` one was not saved by sentence-transformers, which then looks at the loaded model to find
    out what of a model of several modalities gives the embedding.
    """
    config = files.read_object(_join(folder, "config.json"))
    settings = _transformer_settings(files, folder)
    tokenizer = files.read_object(_join(folder, "tokenizer_config.json"))
    limit, own_limit = _sequence_limits(config, settings, tokenizer)
    declared = settings.get("modality_config")
    # A processor of images or sound beside no declaration: only the loaded model knows what it takes.
    undeclared = bare and (any(key in config for key in _SUB_CONFIGS) or bool(read_media(files, folder).preprocessing))
    return ModuleFacts(
        identity={
            "kind": "Transformer",
            "config": without(config, CONFIG_NOISE),
            "settings": without(settings, _LIMIT_KEYS),
            "weights": _weights(files, folder),
            "vocabulary": _vocabulary(files, folder),
        },
        dimension=_hidden_size(config, settings),
        max_tokens=limit,
        position_limit=own_limit,
        preprocessing=without(tokenizer, _TOKENIZER_CONFIG_NOISE),
        adds_tokens=_adds_special_tokens(files, folder, tokenizer),
        complete=not undeclared,
        matryoshka=bool(config.get("matryoshka_dimensions")),
        modalities=served(declared) if isinstance(declared, Mapping) else frozenset({Modality.TEXT}),
        messages=isinstance(declared, Mapping) and "message" in declared,
    )


def static_embedding(files: ModelFiles, folder: str) -> ModuleFacts:
    """One vector per token, averaged. Its tokenizer truncates only if its file says so."""
    truncation = files.read_object(_join(folder, "tokenizer.json")).get("truncation") or {}
    dimension = _static_dimension(files, folder)
    return ModuleFacts(
        identity={
            "kind": "StaticEmbedding",
            "weights": _weights(files, folder),
            "vocabulary": _vocabulary(files, folder),
        },
        dimension=dimension,
        max_tokens=truncation.get("max_length"),
        position_limit=None,
        preprocessing={},
        padded=False,
        adds_tokens=False,
        complete=dimension is not None,
    )


def pooling_module(files: ModelFiles, folder: str) -> ModuleFacts:
    """The pooling, in one form whether its configuration is old or new."""
    config = files.read_object(_join(folder, "config.json"))
    mode = config.get("pooling_mode")
    if mode is None:
        mode = [name for key, name in _LEGACY_POOLING.items() if config.get(key)] or ["mean"]
    modes = [mode] if isinstance(mode, str) else list(mode)
    width = config.get("embedding_dimension", config.get("word_embedding_dimension"))
    return ModuleFacts(
        identity={"kind": "Pooling", "modes": modes, "include_prompt": config.get("include_prompt", True)},
        dimension=None if width is None else len(modes) * int(width),
    )


def weighted_module(files: ModelFiles, folder: str, kind: str) -> ModuleFacts:
    """A projection or normalisation with weights of its own."""
    config = files.read_object(_join(folder, "config.json"))
    output = config.get("module_output_name") or config.get("module_input_name") or "sentence_embedding"
    activation = str(config.get("activation_function", "torch.nn.Tanh"))
    width = config.get("out_features") if output == "sentence_embedding" else None
    return ModuleFacts(
        identity={"kind": kind, "config": config, "weights": _weights(files, folder)},
        dimension=None if width is None else int(width),
        foreign_code=None if activation.startswith("torch.") else activation,
    )


def other_module(files: ModelFiles, folder: str, kind: str) -> ModuleFacts:
    """Any other module: all its files count, and only the loaded model knows its dimension."""
    identity: dict[str, Any] = {"kind": kind}
    for name in loaded_files(files.names(folder)):
        if name in _MODEL_LEVEL_FILES:
            continue
        label = name.removeprefix(f"{folder}/")
        if name.endswith("tokenizer.json"):
            identity[label] = tokenizer_sha256(files.read_object(name))
        elif name.endswith(".json"):
            identity[label] = json_sha256(without(files.read_json(name), CONFIG_NOISE | _LIMIT_KEYS))
        else:
            identity[label] = files.sha256(name)
    return ModuleFacts(identity=identity, complete=False)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _transformer_settings(files: ModelFiles, folder: str) -> dict[str, Any]:
    for name in _SETTINGS_FILES:
        if settings := files.read_object(_join(folder, name)):
            return settings
    return {}


def _sequence_limits(
    config: Mapping[str, Any], settings: Mapping[str, Any], tokenizer: Mapping[str, Any]
) -> tuple[int | None, int | None]:
    """The longest text as configured, and the longest that the model has positions for."""
    positions = config.get(_POSITIONS_KEY, config.get("n_positions") if "n_embd" in config else None)
    nested = config.get("text_config")
    limit = positions if positions is not None or not isinstance(nested, Mapping) else nested.get(_POSITIONS_KEY)
    position_limit = int(limit) if _is_limit(limit) else None
    if position_limit is not None and config.get("model_type") in _OFFSET_POSITIONS:
        position_limit -= int(config.get("pad_token_id") or 0) + 1
    for name in ("processor_kwargs", "tokenizer_args"):
        if isinstance(chosen := (settings.get(name) or {}).get("model_max_length"), int):
            return chosen, position_limit
    configured = settings.get("max_seq_length")
    if configured is not None:
        return int(configured), position_limit
    own = [int(limit) for limit in (tokenizer.get("model_max_length"), positions) if _is_limit(limit)]
    return min(own, default=None), position_limit


def _is_limit(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and 0 < value < _UNBOUNDED


def _hidden_size(config: Mapping[str, Any], settings: Mapping[str, Any]) -> int | None:
    if settings.get("module_output_name") == "sentence_embedding":
        projected = config.get("projection_dim")
        return None if projected is None else int(projected)
    text = config.get("text_config")
    for source in (config, text if isinstance(text, Mapping) else {}):
        for key in _HIDDEN_SIZE_KEYS:
            if isinstance(source.get(key), int):
                return int(source[key])
    return None


def _weights(files: ModelFiles, folder: str) -> dict[str, str]:
    """The hashes of the weights; of an adapter together with what it adapts."""
    weights = files.weights(folder)
    adapter = files.read_object(_join(folder, "adapter_config.json"))
    if adapter:
        for name in ("adapter_model.safetensors", "adapter_model.bin"):
            if _join(folder, name) in files:
                base = f"{adapter.get('base_model_name_or_path')}@{adapter.get('revision') or 'main'}"
                return {name: files.sha256(_join(folder, name)), "base": base, "adapter": json_sha256(adapter)}
    if not weights:
        raise ModelLoadError(
            f"model {files.label!r} has no weights in {folder or 'its folder'}: neither model.safetensors nor "
            "pytorch_model.bin is there"
        )
    return weights


def _adds_special_tokens(files: ModelFiles, folder: str, tokenizer: Mapping[str, Any]) -> bool:
    if tokenizer.get("add_bos_token") or tokenizer.get("add_eos_token"):
        return True
    name = _join(folder, "tokenizer.json")
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


def _vocabulary(files: ModelFiles, folder: str) -> Any:
    if _join(folder, "tokenizer.json") in files:
        return tokenizer_sha256(files.read_object(_join(folder, "tokenizer.json")))
    return {name: files.sha256(_join(folder, name)) for name in _VOCABULARY_FILES if _join(folder, name) in files}


def _static_dimension(files: ModelFiles, folder: str) -> int | None:
    """The width of the table of embeddings, from the header of its file."""
    path = files.folder / _join(folder, "model.safetensors")
    if not path.is_file():
        return None
    with path.open("rb") as file:
        # The format: the header's length in 8 bytes, little-endian, then the header as JSON.
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    for name in ("embedding.weight", "embeddings"):
        if name in header:
            return int(header[name]["shape"][-1])
    return None
