"""The modules that a sentence-transformers folder is put together from, and what identifies the whole.

The rules are those by which sentence-transformers itself loads a folder
(`sentence_transformers/base/model.py`, version 6.2). What a single module's files say is not read here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Literal

from llm_multi_core.embedder import ModelLoadError, UntrustedCodeError
from llm_multi_core_torch.model_files import ModelFiles

SETTINGS_FILE = "config_sentence_transformers.json"
MODULES_FILE = "modules.json"

NORMALIZE_IDENTITY = {"kind": "Normalize"}
"""The identity of a module that changes nothing but the length of a vector."""

_OWN_NAMESPACE = "sentence_transformers."


@dataclass(frozen=True, slots=True)
class ModuleEntry:
    """One entry of `modules.json`.

    Attributes:
        kind: the name of its class; for a class that is not sentence-transformers' own, with its package.
        folder: the sub-folder that it is loaded from; `""` is the model's own.
        own_code: whether the class is code that the model brings along.
        keywords: what its `forward` is called with beside the features.
    """

    kind: str
    folder: str
    own_code: bool = False
    keywords: tuple[str, ...] = ()


def read_module_list(files: ModelFiles) -> list[ModuleEntry] | None:
    """The modules of a model in their order; `None` for a folder that lists none, a plain transformer.

    Raises:
        ModelLoadError: if the list is empty or malformed, or leads out of the model's folder.
    """
    listed = files.read_json(MODULES_FILE)
    if listed is None:
        return None
    if not isinstance(listed, list) or not listed:
        raise ModelLoadError(f"modules.json of model {files.label!r} lists no modules")
    return [_entry(files, entry) for entry in listed]


def similarity_of(settings: Mapping[str, Any]) -> Literal["cosine", "dot"]:
    """How vectors are compared, by the model's `config_sentence_transformers.json`."""
    return "dot" if settings.get("similarity_fn_name") in {"dot", "dot_score"} else "cosine"


def untrusted_code(files: ModelFiles, code: str) -> UntrustedCodeError:
    """The refusal to run code that a model brings along."""
    return UntrustedCodeError(
        f"model {files.label!r} brings code of its own ({code}). Read it, and pass trust_remote_code=True to run it, "
        "best with revision= fixed to the commit that you read"
    )


def parts_identity(files: ModelFiles, parts: Iterable[Any], *, trust_remote_code: bool) -> list[Any]:
    """What identifies a model, from the identities of its modules.

    A normalisation at the end does not matter for a cosine, but does before a projection. Code of the
    model's own counts only if it may run.
    """
    identity = list(parts)
    while identity and identity[-1] == NORMALIZE_IDENTITY:
        identity.pop()
    return [*identity, *own_code_identity(files, trust_remote_code=trust_remote_code)]


def own_code_identity(files: ModelFiles, *, trust_remote_code: bool) -> list[dict[str, str]]:
    """The hashes of the code that a model brings along; empty unless that may run."""
    if not trust_remote_code:
        return []
    return [{name: files.sha256(name) for name in files.names() if name.endswith(".py")}]


def _entry(files: ModelFiles, entry: Any) -> ModuleEntry:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
        raise ModelLoadError(f"modules.json of model {files.label!r} has a malformed entry")
    reference = entry["type"]
    own_code = not reference.startswith(_OWN_NAMESPACE)
    keywords = entry.get("kwargs")
    return ModuleEntry(
        kind=reference if own_code else reference.rpartition(".")[2],
        folder=_safe_folder(files, entry.get("path", "")),
        own_code=own_code,
        keywords=tuple(keywords) if isinstance(keywords, Sequence) and not isinstance(keywords, str) else (),
    )


def _safe_folder(files: ModelFiles, path: object) -> str:
    if not isinstance(path, str) or PureWindowsPath(path).anchor or ".." in PureWindowsPath(path).parts:
        raise ModelLoadError(f"modules.json of model {files.label!r} names a folder outside of the model: {path!r}")
    folder = PurePosixPath(path).as_posix()
    return "" if folder == "." else folder
