"""From the name that a user gives to the files of a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_sentence_transformers.catalogue import KNOWN_MODELS
from llm_multi_core_sentence_transformers.packaged import DISTRIBUTION, MODEL, packaged_model
from llm_multi_core_torch import ModelFiles, find_model

_ORGANISATION = "sentence-transformers"


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


def _find(name: str, options: Mapping[str, Any]) -> ModelFiles:
    return find_model(
        name,
        revision=options["revision"],
        cache_folder=options["cache_folder"],
        local_files_only=options["local_files_only"],
        known=KNOWN_MODELS,
    )
