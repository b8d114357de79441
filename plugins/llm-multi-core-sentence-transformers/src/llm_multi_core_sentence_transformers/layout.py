"""What a model's files say of it: modules, dimension, longest text, identity. Loads no weights.

The rules are those by which sentence-transformers itself loads a folder
(`sentence_transformers/base/model.py`, `base/modules/transformer.py`, version 6.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llm_multi_core.embedder import Modality, ModelLoadError
from llm_multi_core_sentence_transformers.media import MediaFacts, read_media
from llm_multi_core_sentence_transformers.modules import (
    ModuleFacts,
    other_module,
    pooling_module,
    static_embedding,
    transformer,
    weighted_module,
)
from llm_multi_core_torch import (
    NORMALIZE_IDENTITY,
    SETTINGS_FILE,
    ModelFiles,
    ModuleEntry,
    default_pooling,
    parts_identity,
    read_module_list,
    untrusted_code,
)

_DENSE_MODEL_TYPE = "SentenceTransformer"
_ROUTERS = frozenset({"Router", "Asym"})


@dataclass(frozen=True, slots=True)
class ModelLayout:
    """What the files of a model say.

    Attributes:
        settings: its `config_sentence_transformers.json`.
        folders: the sub-folders that its modules are loaded from; `""` is the model's own.
        dimension: components of a vector; `None` if only the loaded model knows.
        max_tokens: the longest text, prompt and special tokens included; `None` for no limit.
        position_limit: what `max_tokens` could be raised to.
        identity: JSON data that identifies what the model computes.
        preprocessing: JSON data on how text becomes tokens, beyond the vocabulary.
        padded: whether texts of a batch are padded to the longest.
        adds_tokens: whether even an empty text has tokens.
        routed: whether the model tells queries and documents apart itself.
        complete: whether all of the above is known without loading the model.
        matryoshka: whether its configuration lists smaller dimensions.
        modalities: what can be embedded.
        messages: whether images and sound are put into a message, beside a prompt.
        media: how images and sound become tensors.
    """

    settings: Mapping[str, Any]
    folders: tuple[str, ...]
    dimension: int | None
    max_tokens: int | None
    position_limit: int | None
    identity: Any
    preprocessing: Any = field(default_factory=dict)
    padded: bool = True
    adds_tokens: bool = True
    routed: bool = False
    complete: bool = True
    matryoshka: bool = False
    modalities: frozenset[Modality] = frozenset({Modality.TEXT})
    messages: bool = False
    media: MediaFacts = field(default_factory=MediaFacts)


def read_layout(files: ModelFiles, *, trust_remote_code: bool = False) -> ModelLayout:
    """What the files of a model say.

    Raises:
        ModelLoadError: if they are not those of a dense sentence-transformers or transformers model.
        UntrustedCodeError: if a module is of the model's own code, and that is not to be run.
    """
    settings = files.read_object(SETTINGS_FILE)
    kind = settings.get("model_type", _DENSE_MODEL_TYPE)
    if kind != _DENSE_MODEL_TYPE:
        raise ModelLoadError(f"model {files.label!r} is a {kind}, which gives no dense text vectors")
    entries = _entries(files)
    for entry in entries:
        if entry.own_code and not trust_remote_code:
            raise untrusted_code(files, entry.kind)
    found = [_facts(files, entry) for entry in entries]
    for facts in found:
        if facts.foreign_code is not None and not trust_remote_code:
            raise untrusted_code(files, facts.foreign_code)
    dimension = None
    for facts in found:
        dimension = facts.dimension if facts.dimension is not None or not facts.complete else dimension
    if (cut := settings.get("truncate_dim")) is not None and dimension is not None:
        dimension = min(dimension, int(cut))
    parts = [facts.identity for facts in found if facts.identity is not None]
    first = found[0]
    complete = all(facts.complete for facts in found) and dimension is not None
    return ModelLayout(
        settings=settings,
        folders=tuple(dict.fromkeys(entry.folder for entry in entries)),
        dimension=dimension,
        max_tokens=first.max_tokens,
        position_limit=first.position_limit,
        identity=parts_identity(files, parts, trust_remote_code=trust_remote_code),
        preprocessing=first.preprocessing,
        padded=first.padded,
        adds_tokens=first.adds_tokens,
        routed=any(entry.kind in _ROUTERS or "task" in entry.keywords for entry in entries),
        complete=complete,
        matryoshka=any(facts.matryoshka for facts in found),
        modalities=first.modalities,
        messages=first.messages,
        media=read_media(files, entries[0].folder),
    )


def _entries(files: ModelFiles) -> list[ModuleEntry]:
    """The modules of a model; those that sentence-transformers puts together where it lists none."""
    listed = read_module_list(files)
    if listed is not None:
        return listed
    if "config.json" not in files:
        raise ModelLoadError(
            f"the folder of model {files.label!r} holds neither modules.json nor config.json, so no model"
        )
    return [ModuleEntry("BareTransformer", ""), ModuleEntry("DefaultPooling", "")]


def _facts(files: ModelFiles, entry: ModuleEntry) -> ModuleFacts:
    kind, folder = entry.kind, entry.folder
    if kind == "Dropout":  # which is off when a model is used
        return ModuleFacts(identity=None)
    if kind == "Normalize":
        return ModuleFacts(identity=NORMALIZE_IDENTITY)
    if kind == "DefaultPooling":
        return ModuleFacts(identity=default_pooling(files.read_object("config.json")).identity)
    if kind in {"Transformer", "BareTransformer"}:
        return transformer(files, folder, bare=kind == "BareTransformer")
    if kind == "StaticEmbedding":
        return static_embedding(files, folder)
    if kind == "Pooling":
        return pooling_module(files, folder)
    if kind in {"Dense", "LayerNorm"}:
        return weighted_module(files, folder, kind)
    return other_module(files, folder, kind)
