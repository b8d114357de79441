"""From the name that a user gives to the files of a model."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_sentence_transformers.models import SENTENCE_TRANSFORMERS_MODELS
from llm_multi_core_torch import (
    MODEL_CARDS,
    PACKAGED_MODEL,
    ModelFiles,
    find_model,
    loaded_files,
    model_card,
    packaged_or_found,
    refuse_pickles,
)

_ORGANISATION = "sentence-transformers"

_IN_CARDS = [name for card in MODEL_CARDS for name in card.names]

KNOWN_MODELS = tuple(dict.fromkeys([*(model.name for model in SENTENCE_TRANSFORMERS_MODELS), *_IN_CARDS]))
"""Names to suggest for a misspelt one."""


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

    def find(candidate: str) -> ModelFiles:
        return _find(candidate, options)

    if Path(name).expanduser().is_dir():
        return find(name)
    _require_fitting_transformers(name)
    full_name = name if "/" in name else f"{_ORGANISATION}/{name}"
    try:
        return packaged_or_found(full_name, options["revision"], find)
    except ModelLoadError:
        if full_name in {name, PACKAGED_MODEL}:
            raise
    return find(name)


def _require_fitting_transformers(name: str) -> None:
    """Refuse, before a download of gigabytes, a model whose own code is known not to run here."""
    card, installed = model_card(name), version("transformers")
    if card.written_for and int(installed.partition(".")[0]) > int(card.written_for.partition(".")[0]):
        raise ModelLoadError(
            f"model {name!r} brings code that was written for transformers {card.written_for} and does not run with "
            f"transformers {installed}, which sentence-transformers {version('sentence-transformers')} stands on. Use "
            "a newer model, or run it as a server of its own with the packages of its card "
            f"({card.source}); a copy that was adapted to transformers {installed} loads from a folder"
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
        refuse_pickles(files, loaded_files(files.names()))
    return files
