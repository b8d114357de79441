"""What a text model is put together from: a transformer, a pooling, layers after it. Loads no weights.

A folder that sentence-transformers saved is read as that library reads it, and a plain one as it would
load it. The identity is built from the same parts as in the plugin of that name, so that the same
weights are one space through both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from llm_multi_core.embedder import ModelLoadError, UntrustedCodeError
from llm_multi_core_torch import (
    NORMALIZE_IDENTITY,
    SETTINGS_FILE,
    ModelFiles,
    ModuleEntry,
    PoolingConfig,
    TransformerFacts,
    default_pooling,
    loaded_weights,
    parts_identity,
    read_module_list,
    read_pooling,
    read_transformer,
    within,
)

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
        transformer: the transformer and its tokenizer.
        settings: the model's `config_sentence_transformers.json`.
        pooling: how tokens become one vector.
        heads: what follows the pooling.
        dimension: components of a vector; `None` if only transformers' own configuration class knows.
        identity: JSON data that identifies what the model computes.
    """

    transformer: TransformerFacts
    settings: Mapping[str, Any]
    pooling: PoolingConfig
    heads: tuple[Head, ...]
    dimension: int | None
    identity: Any

    @property
    def lowercase(self) -> bool:
        """Whether text is lowered beside what the tokenizer does."""
        return bool(self.transformer.settings.get("do_lower_case"))


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
    entries = _modules(files)
    folder = entries[0].folder if entries else ""
    if within(folder, "config.json") not in files:
        raise ModelLoadError(f"the folder of model {files.label!r} holds no config.json, so no model")
    if folder:
        raise ModelLoadError(
            f"model {files.label!r} keeps its transformer in a sub-folder; use framework 'sentence-transformers'"
        )
    allow_pickle: bool = options["allow_pickle"]
    transformer = read_transformer(files, folder, loaded_weights(files, folder, allow_pickle=allow_pickle))
    pooling = read_pooling(files, entries[1].folder) if entries else default_pooling(transformer.config)
    heads = tuple(_head(files, entry) for entry in entries[2:])
    if (chosen := options["pooling"]) is not None:
        by_default = pooling.by_default and pooling.modes == (chosen,)
        pooling, heads = replace(pooling, modes=(chosen,), by_default=by_default), ()
    parts = [
        transformer.identity,
        pooling.identity,
        *(_head_identity(files, head, allow_pickle=allow_pickle) for head in heads),
    ]
    return TextLayout(
        transformer=transformer,
        settings=files.read_object(SETTINGS_FILE),
        pooling=pooling,
        heads=heads,
        dimension=_dimension(transformer, pooling, heads),
        identity=parts_identity(files, parts, trust_remote_code=options["trust_remote_code"]),
    )


def _modules(files: ModelFiles) -> list[ModuleEntry]:
    """Transformer, pooling and what follows it; empty for a plain transformer."""
    listed = read_module_list(files)
    if listed is None:
        return []
    for entry in listed:
        if entry.own_code:
            raise UntrustedCodeError(
                f"model {files.label!r} has a module of its own code ({entry.kind}), which this framework does not "
                "run; framework 'sentence-transformers' does, with trust_remote_code=True"
            )
    entries = [entry for entry in listed if entry.kind not in _IGNORED_MODULES]
    kinds = [entry.kind for entry in entries]
    if kinds[:2] != ["Transformer", "Pooling"] or not _HEADS.issuperset(kinds[2:]):
        raise ModelLoadError(
            f"model {files.label!r} is put together from {' + '.join(kinds) or 'nothing'}; framework "
            "'sentence-transformers' runs such models, this one a transformer with pooling and dense layers"
        )
    return entries


def _head(files: ModelFiles, entry: ModuleEntry) -> Head:
    config = files.read_object(within(entry.folder, "config.json"))
    fed = {config.get(f"module_{end}_name") or "sentence_embedding" for end in ("input", "output")}
    if fed != {"sentence_embedding"}:
        raise ModelLoadError(f"a {entry.kind} layer of model {files.label!r} does not follow the pooling")
    return Head(entry.kind, entry.folder, config)


def _head_identity(files: ModelFiles, head: Head, *, allow_pickle: bool) -> Mapping[str, Any]:
    if head.kind == "Normalize":
        return NORMALIZE_IDENTITY
    weights = loaded_weights(files, head.folder, allow_pickle=allow_pickle)
    return {"kind": head.kind, "config": head.config, "weights": weights}


def _dimension(transformer: TransformerFacts, pooling: PoolingConfig, heads: tuple[Head, ...]) -> int | None:
    for head in reversed(heads):
        if head.kind == "Dense":
            return int(head.config["out_features"])
    width = transformer.hidden_size
    return None if width is None else len(pooling.modes) * width
