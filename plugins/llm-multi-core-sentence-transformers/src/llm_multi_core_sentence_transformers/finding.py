"""From the name that a user gives to the files of a model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_sentence_transformers.catalogue import KNOWN_MODELS, facts_about
from llm_multi_core_sentence_transformers.packaged import DISTRIBUTION, MODEL, packaged_model
from llm_multi_core_torch import ModelFiles, find_model, loaded_files

_ORGANISATION = "sentence-transformers"
_PICKLED_WEIGHTS = re.compile(r"(?:.*/)?(?:pytorch_model(?:-\d+-of-\d+)?|adapter_model)\.bin")


def find_files(name: str, options: Mapping[str, Any]) -> ModelFiles:
    """The files of a model: a folder, the packaged default model, or one from the hub.

    A bare name means a model of sentence-transformers itself, and one of nobody if they have none,
    such as `bert-base-uncased`.

    Args:
        name: a folder or a name on the hub.
        options: the framework's options.

    Raises:
        ModelLoadError: if there is no such model.
    """
    if Path(name).expanduser().is_dir():
        return _find(name, options)
    _require_fitting_transformers(name)
    candidates = [name] if "/" in name else [f"{_ORGANISATION}/{name}", name]
    is_default = candidates[0] == MODEL and options["revision"] is None
    if is_default and (packaged := packaged_model()) is not None:
        return packaged
    try:
        return _find(candidates[0], options)
    except ModelLoadError as error:
        if is_default:
            raise ModelLoadError(f"{error}. This model also comes as a package: pip install {DISTRIBUTION}") from error
        if len(candidates) == 1:
            raise
    return _find(name, options)


def _require_fitting_transformers(name: str) -> None:
    """Refuse, before a download of gigabytes, a model whose own code is known not to run here."""
    facts, installed = facts_about(name), version("transformers")
    if facts.written_for and int(installed.partition(".")[0]) > int(facts.written_for.partition(".")[0]):
        raise ModelLoadError(
            f"model {name!r} brings code that was written for transformers {facts.written_for} and does not run with "
            f"transformers {installed}, which sentence-transformers {version('sentence-transformers')} stands on. Use "
            "a newer model, or run it as a server of its own with the packages of its card "
            f"({facts.source}); a copy that was adapted to transformers {installed} loads from a folder"
        )


def _find(name: str, options: Mapping[str, Any]) -> ModelFiles:
    files = find_model(
        name,
        revision=options["revision"],
        cache_folder=options["cache_folder"],
        local_files_only=options["local_files_only"],
        known=KNOWN_MODELS,
    )
    if not options["allow_pickle"]:
        _refuse_pickles(files)
    return files


def _refuse_pickles(files: ModelFiles) -> None:
    """Refuse weights that are to be had in pickle form only, a form that can hold code.

    Raises:
        ModelLoadError: naming the first such file.
    """
    pickled = next((file for file in loaded_files(files.names()) if _PICKLED_WEIGHTS.fullmatch(file)), None)
    if pickled is not None:
        raise ModelLoadError(
            f"model {files.label!r} has {pickled} and no safetensors in its place; a pickle can run code when it is "
            "read. Pass allow_pickle=True if you trust where it comes from, or a revision= that holds safetensors"
        )
