"""What a model's files say of it: modules, dimension, longest text, identity. Loads no weights.

The rules are those by which sentence-transformers itself loads a folder
(`sentence_transformers/base/model.py`, `base/modules/transformer.py`, version 6.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from llm_multi_core.embedder import Modality, ModelLoadError, UntrustedCodeError
from llm_multi_core_sentence_transformers.media import MediaFacts, read_media
from llm_multi_core_sentence_transformers.modules import (
    ModuleFacts,
    other_module,
    pooling_module,
    static_embedding,
    transformer,
    weighted_module,
)
from llm_multi_core_torch import ModelFiles

_OWN_NAMESPACE = "sentence_transformers."
_DENSE_MODEL_TYPE = "SentenceTransformer"
_LENGTH_ONLY = {"kind": "Normalize"}
"""The identity of a module that changes nothing but the length of a vector."""


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
    settings = files.read_object("config_sentence_transformers.json")
    kind = settings.get("model_type", _DENSE_MODEL_TYPE)
    if kind != _DENSE_MODEL_TYPE:
        raise ModelLoadError(f"model {files.label!r} is a {kind}, which gives no dense text vectors")
    entries = list(_entries(files))
    for entry in entries:
        if not entry.trusted and not trust_remote_code:
            raise _untrusted(files, entry.kind)
    found = [_facts(files, entry) for entry in entries]
    for facts in found:
        if facts.foreign_code is not None and not trust_remote_code:
            raise _untrusted(files, facts.foreign_code)
    dimension = None
    for facts in found:
        dimension = facts.dimension if facts.dimension is not None or not facts.complete else dimension
    if (cut := settings.get("truncate_dim")) is not None and dimension is not None:
        dimension = min(dimension, int(cut))
    parts = [facts.identity for facts in found if facts.identity is not None]
    while parts and parts[-1] == _LENGTH_ONLY:  # which does not matter for a cosine, but does before a projection
        parts.pop()
    if trust_remote_code:
        parts.append({name: files.sha256(name) for name in files.names() if name.endswith(".py")})
    first = found[0]
    complete = all(facts.complete for facts in found) and dimension is not None
    return ModelLayout(
        settings=settings,
        folders=tuple(dict.fromkeys(entry.folder for entry in entries)),
        dimension=dimension,
        max_tokens=first.max_tokens,
        position_limit=first.position_limit,
        identity=parts,
        preprocessing=first.preprocessing,
        padded=first.padded,
        adds_tokens=first.adds_tokens,
        routed=any(entry.routed for entry in entries),
        complete=complete,
        matryoshka=any(facts.matryoshka for facts in found),
        modalities=first.modalities,
        messages=first.messages,
        media=read_media(files, entries[0].folder),
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of `modules.json`."""

    kind: str
    folder: str
    trusted: bool = True
    routed: bool = False


def _entries(files: ModelFiles) -> Iterator[_Entry]:
    """The modules of a model; those that sentence-transformers puts together where it lists none."""
    listed = files.read_json("modules.json")
    if listed is None:
        if "config.json" not in files:
            raise ModelLoadError(
                f"the folder of model {files.label!r} holds neither modules.json nor config.json, so no model"
            )
        yield _Entry("BareTransformer", "")
        yield _Entry("DefaultPooling", "")
        return
    if not isinstance(listed, list) or not listed:
        raise ModelLoadError(f"modules.json of model {files.label!r} lists no modules")
    for entry in listed:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
            raise ModelLoadError(f"modules.json of model {files.label!r} has a malformed entry")
        reference = entry["type"]
        trusted = reference.startswith(_OWN_NAMESPACE)
        kind = reference.rpartition(".")[2] if trusted else reference
        yield _Entry(
            kind=kind,
            folder=_safe_folder(files, entry.get("path", "")),
            trusted=trusted,
            routed=kind in {"Router", "Asym"} or "task" in _names(entry.get("kwargs")),
        )


def _facts(files: ModelFiles, entry: _Entry) -> ModuleFacts:
    kind, folder = entry.kind, entry.folder
    if kind == "Dropout":  # which is off when a model is used
        return ModuleFacts(identity=None)
    if kind == "Normalize":
        return ModuleFacts(identity=_LENGTH_ONLY)
    if kind == "DefaultPooling":
        return ModuleFacts(identity={"kind": "Pooling", "modes": "default"})
    if kind in {"Transformer", "BareTransformer"}:
        return transformer(files, folder, bare=kind == "BareTransformer")
    if kind == "StaticEmbedding":
        return static_embedding(files, folder)
    if kind == "Pooling":
        return pooling_module(files, folder)
    if kind in {"Dense", "LayerNorm"}:
        return weighted_module(files, folder, kind)
    return other_module(files, folder, kind)


def _safe_folder(files: ModelFiles, path: object) -> str:
    if not isinstance(path, str) or PureWindowsPath(path).anchor or ".." in PureWindowsPath(path).parts:
        raise ModelLoadError(f"modules.json of model {files.label!r} names a folder outside of the model: {path!r}")
    folder = PurePosixPath(path).as_posix()
    return "" if folder == "." else folder


def _names(value: object) -> Iterable[object]:
    return value if isinstance(value, list) else ()


def _untrusted(files: ModelFiles, code: str) -> UntrustedCodeError:
    return UntrustedCodeError(
        f"model {files.label!r} brings code of its own ({code}). Read it, and pass trust_remote_code=True to run it, "
        "best with revision= fixed to the commit that you read"
    )
