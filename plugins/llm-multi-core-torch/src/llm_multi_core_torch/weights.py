"""The weights that a model is loaded from, and the refusal to read them from a pickle unasked."""

from __future__ import annotations

import re
from collections.abc import Iterable

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_torch.hub import safetensors_conversion
from llm_multi_core_torch.model_files import ModelFiles

_PICKLED_WEIGHTS = re.compile(r"(?:.*/)?(?:pytorch_model(?:-\d+-of-\d+)?|adapter_model)\.bin")


def loaded_weights(files: ModelFiles, folder: str = "", *, allow_pickle: bool) -> dict[str, str]:
    """The sha256 of each weight file of a sub-folder that is loaded, by name within it.

    Raises:
        ModelLoadError: if there are none, or they are in pickle form and that is not allowed.
    """
    weights = files.weights(folder)
    if not weights:
        raise ModelLoadError(
            f"model {files.label!r} has no weights in {folder or 'its folder'}: neither model.safetensors nor "
            "pytorch_model.bin is there"
        )
    if not allow_pickle:
        refuse_pickles(files, weights)
    return weights


def refuse_pickles(files: ModelFiles, names: Iterable[str]) -> None:
    """Refuse weights in pickle form, a form that can hold code.

    Args:
        files: the model's files.
        names: those that are to be loaded; others than weights do not matter.

    Raises:
        ModelLoadError: naming the first such file, and where the same weights are to be had otherwise.
    """
    pickled = next((name for name in names if _PICKLED_WEIGHTS.fullmatch(name)), None)
    if pickled is None:
        return
    conversion = safetensors_conversion(files)
    otherwise = (
        f"revision={conversion!r}, at which the hub keeps them converted to safetensors"
        if conversion
        else "a revision= or a folder that holds safetensors"
    )
    raise ModelLoadError(
        f"model {files.label!r} has {pickled} and no safetensors in its place; a pickle can run code when it is "
        f"read. Pass allow_pickle=True if you trust where it comes from, or {otherwise}"
    )
