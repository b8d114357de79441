"""What the files of a text model say: pooling, heads, prompts, longest text, identity. Loads no weights.

A folder that sentence-transformers saved is read as that library reads it, and a plain one as it would
load it (`sentence_transformers/sentence_transformer/model.py`, version 6.2). The identity is the one
that the plugin of that name computes, so that the same weights are one space through both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, TypeGuard

from llm_multi_core.embedder import ModelLoadError, UntrustedCodeError
from llm_multi_core_torch import CONFIG_NOISE, ModelFiles, tokenizer_sha256, without
from llm_multi_core_transformers.checkpoints import code_of, weights_of

_OWN_NAMESPACE = "sentence_transformers."
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
_IGNORED_MODULES = frozenset({"Dropout"})
_HEADS = frozenset({"Dense", "LayerNorm", "Normalize"})


@dataclass(frozen=True, slots=True)
class Head:
    """One module after the pooling.

    Attributes:
        kind: `"Dense"`, `"LayerNorm"` or `"Normalize"`.
        folder: its sub-folder.
        config: its configuration.
    """

    kind: str
    folder: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TextLayout:
    """What the files of a text model say.

    Attributes:
        config: the model's `config.json`.
        settings: its `config_sentence_transformers.json`.
        modes: how tokens become one vector; several are concatenated.
        include_prompt: whether the tokens of a prompt are pooled.
        heads: what follows the pooling.
        dimension: components of a vector; `None` if only transformers' own configuration class knows.
        max_tokens: the longest text, prompt and special tokens included; `None` for no limit.
        position_limit: what `max_tokens` could be raised to.
        adds_tokens: whether even an empty text has tokens.
        lowercase: whether text is lowered beside what the tokenizer does.
        identity: JSON data that identifies what the model computes.
        preprocessing: JSON data on how text becomes tokens, beyond the vocabulary.
        matryoshka: whether the configuration lists smaller dimensions.
    """

    config: Mapping[str, Any]
    settings: Mapping[str, Any]
    modes: tuple[str, ...]
    include_prompt: bool
    heads: tuple[Head, ...]
    dimension: int | None
    max_tokens: int | None
    position_limit: int | None
    adds_tokens: bool
    lowercase: bool
    identity: Any
    preprocessing: Any = field(default_factory=dict)
    matryoshka: bool = False


def read_text_layout(files: ModelFiles, options: Mapping[str, Any]) -> TextLayout:
    """What the files of a text model say.

    Args:
        files: the model's files.
        options: the framework's options; `pooling` takes the place of the folder's own pooling and of
            what follows it.

    Raises:
        ModelLoadError: if they are not those of a text model that this package can run.
        UntrustedCodeError: if a module is of the model's own code.
    """
    folder, pooling, heads = _modules(files)
    config = files.read_object(_join(folder, "config.json"))
    if not config:
        raise ModelLoadError(f"the folder of model {files.label!r} holds no config.json, so no model")
    if folder:
        raise ModelLoadError(
            f"model {files.label!r} keeps its transformer in a sub-folder; use framework 'sentence-transformers'"
        )
    settings = _transformer_settings(files)
    tokenizer = files.read_object("tokenizer_config.json")
    default = _default_mode(config)
    stated = (default,) if pooling is None else _modes(pooling)
    chosen: str | None = options["pooling"]
    modes = stated if chosen is None else (chosen,)
    heads = heads if chosen is None else ()
    include_prompt = bool((pooling or {}).get("include_prompt", True))
    by_default = pooling is None and modes == (default,)
    parts: list[Any] = [
        {
            "kind": "Transformer",
            "config": without(config, CONFIG_NOISE),
            "settings": without(settings, _LIMIT_KEYS),
            "weights": weights_of(files, options),
            "vocabulary": _vocabulary(files),
        },
        {"kind": "Pooling", "modes": "default"}
        if by_default
        else {"kind": "Pooling", "modes": list(modes), "include_prompt": include_prompt},
        *(_head_identity(files, head, options) for head in heads),
    ]
    while parts[-1] == {"kind": "Normalize"}:  # a cosine does not depend on lengths
        parts.pop()
    limit, position_limit = _sequence_limits(config, settings, tokenizer)
    own_settings = files.read_object("config_sentence_transformers.json")
    return TextLayout(
        config=config,
        settings=own_settings,
        modes=modes,
        include_prompt=include_prompt,
        heads=heads,
        dimension=_dimension(config, modes, heads),
        max_tokens=limit,
        position_limit=position_limit,
        adds_tokens=_adds_special_tokens(files, tokenizer),
        lowercase=bool(settings.get("do_lower_case")),
        identity=[*parts, *code_of(files, options)],
        preprocessing=without(tokenizer, _TOKENIZER_CONFIG_NOISE),
        matryoshka=bool(config.get("matryoshka_dimensions")),
    )


def _modules(files: ModelFiles) -> tuple[str, Mapping[str, Any] | None, tuple[Head, ...]]:
    """The transformer's folder, the configuration of the pooling if there is one, and what follows it."""
    listed = files.read_json("modules.json")
    if listed is None:
        return "", None, ()
    modules = [_module(files, entry) for entry in (listed if isinstance(listed, list) else [])]
    modules = [module for module in modules if module.kind not in _IGNORED_MODULES]
    kinds = [module.kind for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or not _HEADS.issuperset(kinds[2:]):
        raise ModelLoadError(
            f"model {files.label!r} is put together from {' + '.join(kinds) or 'nothing'}; framework "
            "'sentence-transformers' runs such models, this one a transformer with pooling and dense layers"
        )
    for head in modules[2:]:
        fed = {head.config.get(f"module_{end}_name") or "sentence_embedding" for end in ("input", "output")}
        if fed != {"sentence_embedding"}:
            raise ModelLoadError(f"a {head.kind} layer of model {files.label!r} does not follow the pooling")
    return modules[0].folder, modules[1].config, tuple(modules[2:])


def _module(files: ModelFiles, entry: Any) -> Head:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
        raise ModelLoadError(f"modules.json of model {files.label!r} has a malformed entry")
    reference, path = entry["type"], entry.get("path", "")
    if not reference.startswith(_OWN_NAMESPACE):
        raise UntrustedCodeError(
            f"model {files.label!r} has a module of its own code ({reference}), which this framework does not run; "
            "framework 'sentence-transformers' does, with trust_remote_code=True"
        )
    if not isinstance(path, str) or PureWindowsPath(path).anchor or ".." in PureWindowsPath(path).parts:
        raise ModelLoadError(f"modules.json of model {files.label!r} names a folder outside of the model: {path!r}")
    folder = PurePosixPath(path).as_posix()
    folder = "" if folder == "." else folder
    return Head(reference.rpartition(".")[2], folder, files.read_object(_join(folder, "config.json")))


def _modes(pooling: Mapping[str, Any]) -> tuple[str, ...]:
    mode = pooling.get("pooling_mode")
    if mode is None:
        mode = [name for key, name in _LEGACY_POOLING.items() if pooling.get(key)] or ["mean"]
    return (mode,) if isinstance(mode, str) else tuple(mode)


def _default_mode(config: Mapping[str, Any]) -> str:
    """The last token for a model that was made to generate text, the mean for all others."""
    architectures = config.get("architectures") or [""]
    generates = str(architectures[0]).endswith("ForCausalLM") and config.get("is_causal", True)
    return "lasttoken" if generates else "mean"


def _head_identity(files: ModelFiles, head: Head, options: Mapping[str, Any]) -> dict[str, Any]:
    if head.kind == "Normalize":
        return {"kind": "Normalize"}
    return {"kind": head.kind, "config": head.config, "weights": weights_of(files, options, head.folder)}


def _dimension(config: Mapping[str, Any], modes: tuple[str, ...], heads: tuple[Head, ...]) -> int | None:
    for head in reversed(heads):
        if head.kind == "Dense":
            return int(head.config["out_features"])
    for key in _HIDDEN_SIZE_KEYS:
        if isinstance(config.get(key), int):
            return len(modes) * int(config[key])
    return None


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _transformer_settings(files: ModelFiles) -> dict[str, Any]:
    return next((settings for name in _SETTINGS_FILES if (settings := files.read_object(name))), {})


def _sequence_limits(
    config: Mapping[str, Any], settings: Mapping[str, Any], tokenizer: Mapping[str, Any]
) -> tuple[int | None, int | None]:
    """The longest text as configured, and the longest that the model has positions for."""
    positions = config.get(_POSITIONS_KEY, config.get("n_positions") if "n_embd" in config else None)
    position_limit = int(positions) if _is_limit(positions) else None
    if position_limit is not None and config.get("model_type") in _OFFSET_POSITIONS:
        position_limit -= int(config.get("pad_token_id") or 0) + 1
    for name in ("processor_kwargs", "tokenizer_args"):
        if isinstance(chosen := (settings.get(name) or {}).get("model_max_length"), int):
            return chosen, position_limit
    configured = settings.get("max_seq_length")
    if configured is not None:
        return int(configured), position_limit
    own = [int(limit) for limit in (tokenizer.get("model_max_length"), position_limit) if _is_limit(limit)]
    return min(own, default=None), position_limit


def _is_limit(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and 0 < value < _UNBOUNDED


def _vocabulary(files: ModelFiles) -> Any:
    if "tokenizer.json" in files:
        return tokenizer_sha256(files.read_object("tokenizer.json"))
    return {name: files.sha256(name) for name in _VOCABULARY_FILES if name in files}


def _adds_special_tokens(files: ModelFiles, tokenizer: Mapping[str, Any]) -> bool:
    if tokenizer.get("add_bos_token") or tokenizer.get("add_eos_token"):
        return True
    return "tokenizer.json" not in files or _puts_tokens_around(
        files.read_object("tokenizer.json").get("post_processor")
    )


def _puts_tokens_around(post_processor: Any) -> bool:
    if not isinstance(post_processor, Mapping):
        return False
    kind = post_processor.get("type")
    if kind == "Sequence":
        return any(_puts_tokens_around(step) for step in post_processor.get("processors", ()))
    if kind == "TemplateProcessing":
        return any("SpecialToken" in piece for piece in post_processor.get("single", ()))
    return kind in {"BertProcessing", "RobertaProcessing"}
