"""From the name that a user gives to one file of weights and the architecture that it fills."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any

from llm_multi_core.embedder import InvalidOptionError, ModelLoadError
from llm_multi_core_torch import ModelFiles, file_sha256, find_model, is_weight_file

TORCHVISION = "torchvision:"
"""Prefix of architectures that timm lacks."""

_SAFE = ("model.safetensors", "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
_PICKLED = ("pytorch_model.bin", "pytorch_model.pth", "model.pth", "open_clip_pytorch_model.bin")
_SOURCE = re.compile(r"(hf-hub|hf_hub|local-dir):(.+)")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An architecture and the one file of weights that is to fill it.

    Attributes:
        architecture: timm's name for it, or `"torchvision:alexnet"`.
        create_name: what `timm.create_model` is called with: a name of timm's with its tag, or
            `"local-dir:..."`.
        label: the name that people know the model by.
        weights: the file's name in `files`, or the path of a file that is in no model folder.
        sha256: the identity of the weights.
        files: where they are, and the configuration beside them.
    """

    architecture: str
    create_name: str
    label: str
    weights: str
    sha256: str
    files: ModelFiles

    def fetch(self) -> Path:
        """The file of weights, downloaded if need be.

        Raises:
            ModelLoadError: if that fails.
        """
        path = self.files.folder / self.weights
        if not path.is_file() and self.files.fetch is not None:
            return self.files.fetch(self.weights)
        return path


def find_checkpoint(name: str, options: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint of a name.

    Args:
        name: a name of timm's (`"resnet50.a1_in1k"`), a folder as `timm.models.save_for_hf` writes it,
            `"hf-hub:organisation/model"` or just `"organisation/model"`, or `"torchvision:alexnet"`.
        options: the framework's options.

    Raises:
        InvalidOptionError: for a revision that is named twice.
        ModelLoadError: if there is no such model, it is not timm's, or its weights are only there in
            pickle form and that is not allowed.
    """
    prefixed = _SOURCE.fullmatch(name)
    if name.startswith(TORCHVISION):
        return _from_torchvision(name, options)
    if prefixed is None and not Path(name).expanduser().is_dir() and not re.search(r"[/\\:]", name):
        return _from_registry(name, options)
    place, revision = (name, options["revision"]) if prefixed is None else (prefixed[2], options["revision"])
    if prefixed is not None and prefixed[1] != "local-dir" and "@" in place:
        place, _, named = place.partition("@")
        if revision not in {None, named}:
            raise InvalidOptionError(f"revision={revision!r} is not the one in model {name!r}")
        revision = named
    if prefixed is not None and prefixed[1] == "local-dir" and not Path(place).expanduser().is_dir():
        raise ModelLoadError(f"there is no folder {place!r}")
    files = _find_files(place, revision, options)
    config = files.read_object("config.json")
    architecture = config.get("architecture")
    if not isinstance(architecture, str):
        raise ModelLoadError(
            f"model {files.label!r} is not timm's: its config.json names no architecture; save it with "
            "timm.models.save_for_hf, or use another framework"
        )
    if not architecture.startswith(TORCHVISION):
        _require_architecture(architecture)
    weights = _choose_weights(files, allow_pickle=options["allow_pickle"])
    return Checkpoint(
        architecture, f"local-dir:{files.folder}", files.short_label, weights, files.sha256(weights), files
    )


def _from_registry(name: str, options: Mapping[str, Any]) -> Checkpoint:
    from timm.models import get_pretrained_cfg

    architecture = name.partition(".")[0]
    _require_architecture(architecture)
    try:
        published = get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError:
        published = None
    if published is None:
        raise ModelLoadError(f"timm has no weights {name!r}{_tags(architecture, name)}")
    if not published.hf_hub_id:
        raise ModelLoadError(
            f"timm has no weights {name!r} on the hub{_tags(architecture, name)}; load them in timm, save them with "
            "timm.models.save_for_hf, and pass that folder"
        )
    files = _find_files(published.hf_hub_id, options["revision"], options)
    weights = _choose_weights(files, allow_pickle=options["allow_pickle"])
    return Checkpoint(architecture, name, name, weights, files.sha256(weights), files)


def _from_torchvision(name: str, options: Mapping[str, Any]) -> Checkpoint:
    """Published weights of an architecture that timm lacks; torchvision puts them into torch's own cache."""
    from llm_multi_core_timm.alexnet import ALEXNET, published_weights

    if name != ALEXNET:
        raise ModelLoadError(f"of torchvision's models only {ALEXNET!r} is taken; timm has the others")
    if not options["allow_pickle"]:
        raise _pickle_error(name, "alexnet-owt-7be5be79.pth")
    path = published_weights(local_files_only=options["local_files_only"])
    files = ModelFiles(path.parent, label=name)
    return Checkpoint(name, name, name, path.name, file_sha256(path), files)


def _find_files(place: str, revision: str | None, options: Mapping[str, Any]) -> ModelFiles:
    return find_model(
        place,
        revision=revision,
        cache_folder=options["cache_folder"],
        local_files_only=options["local_files_only"],
    )


def _choose_weights(files: ModelFiles, *, allow_pickle: bool) -> str:
    """The file that is loaded, one in safetensors form before all others."""
    every = [name for name in files.names() if is_weight_file(name) and len(PurePosixPath(name).parts) == 1]
    safe = [name for name in every if name.endswith(".safetensors")]
    for known, candidates in ((_SAFE, safe), (_PICKLED, [name for name in every if name not in safe])):
        if not candidates:
            continue
        chosen = next((name for name in known if name in candidates), candidates[0] if len(candidates) == 1 else None)
        if chosen is None:
            raise ModelLoadError(f"model {files.label!r} has several files of weights: {', '.join(candidates)}")
        if known is _PICKLED and not allow_pickle:
            raise _pickle_error(files.label, chosen)
        return chosen
    raise ModelLoadError(f"model {files.label!r} holds no weights (model.safetensors)")


def _require_architecture(architecture: str) -> None:
    from timm.models import is_model, list_models

    if not is_model(architecture):
        close = get_close_matches(architecture, list_models(), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ModelLoadError(
            f"the installed timm has no architecture {architecture!r}, and there is no such folder{hint}"
        )


def _tags(architecture: str, name: str) -> str:
    """Which weights of an architecture there are on the hub, for messages."""
    from timm.models import get_pretrained_cfg, list_pretrained

    others = [full for full in list_pretrained(f"{architecture}.*") if full != name]
    on_hub = [full for full in others if getattr(get_pretrained_cfg(full), "hf_hub_id", None)]
    return f"; there are {', '.join(on_hub[:6])}" if on_hub else ""


def _pickle_error(label: str, weights: str) -> ModelLoadError:
    return ModelLoadError(
        f"the weights of model {label!r} are there only in pickle form ({weights}), which may hold code. Pass "
        "allow_pickle=True to read them all the same (only tensors are taken from it), or convert them to "
        "model.safetensors"
    )
