"""From the name that a user gives to a loaded part of a checkpoint, without surprises on the way.

No code of the model's own runs unasked, no weights are unpickled unasked, and no weight that the
checkpoint lacks is left at a random value in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_torch import (
    ModelFiles,
    Precision,
    cast_ahead,
    find_model,
    loaded_weights,
    loading_pretrained,
    own_code_identity,
)

if TYPE_CHECKING:
    import torch

_UNUSED_WEIGHTS = ("pooler.", "lm_head.", "classifier.")
"""Beginnings of names of weights that no vector here depends on."""


def find_checkpoint(name: str, options: Mapping[str, Any], known: Iterable[str] = ()) -> ModelFiles:
    """The files of a checkpoint: a folder, or one from the hub.

    Args:
        name: a folder or a name on the hub.
        options: the framework's options.
        known: names to suggest for a misspelt one.

    Raises:
        ModelLoadError: if there is no such model.
    """
    return find_model(
        name,
        revision=options["revision"],
        cache_folder=options["cache_folder"],
        local_files_only=options["local_files_only"],
        known=known,
    )


def weights_of(files: ModelFiles, options: Mapping[str, Any], folder: str = "") -> dict[str, str]:
    """The sha256 of each weight file of a sub-folder.

    Raises:
        ModelLoadError: if there are none, or only in pickle form and `allow_pickle` is not set.
    """
    return loaded_weights(files, folder, allow_pickle=options["allow_pickle"])


def code_of(files: ModelFiles, options: Mapping[str, Any]) -> list[dict[str, str]]:
    """What the identity of a model says of code of its own; empty unless that may run."""
    return own_code_identity(files, trust_remote_code=options["trust_remote_code"])


def load_part(auto_class: Any, files: ModelFiles, options: Mapping[str, Any], **arguments: Any) -> Any:
    """A configuration, tokenizer or processor, by the `from_pretrained` of `auto_class`.

    Raises:
        UntrustedCodeError: if it needs code of its own to be run, and that is not allowed.
        ModelLoadError: if it cannot be loaded.
    """
    trusted = options["trust_remote_code"]
    with loading_pretrained(files.label, reports=False):
        return auto_class.from_pretrained(
            str(files.folder), local_files_only=not trusted, trust_remote_code=trusted, **arguments
        )


def load_weights(
    auto_class: Any,
    files: ModelFiles,
    options: Mapping[str, Any],
    device: str,
    precision: Precision,
    unused: tuple[str, ...] = _UNUSED_WEIGHTS,
    cast: bool = True,
    **arguments: Any,
) -> torch.nn.Module:
    """A model with its weights, ready for inference.

    Args:
        auto_class: a model class, or one of transformers' auto classes.
        files: the model's files; weights are downloaded if need be.
        options: the framework's options.
        device: where the model goes.
        precision: what its weights are loaded in.
        unused: beginnings of names of weights that may be missing.
        cast: whether to call `cast_ahead`; without it, an engine is to do so.
        **arguments: passed on to `from_pretrained`.

    Raises:
        UntrustedCodeError: if it needs code of its own to be run, and that is not allowed.
        ModelLoadError: if it cannot be loaded, or the checkpoint lacks weights that the model has.
    """
    weights = weights_of(files, options)
    files.download([""])
    model, loaded = load_part(
        auto_class,
        files,
        options,
        dtype=precision.weights_dtype,
        output_loading_info=True,
        use_safetensors=all(name.endswith(".safetensors") for name in weights),
        **arguments,
    )
    missing = sorted(name for name in loaded["missing_keys"] if not _is_unused(name, unused))
    if missing:
        raise ModelLoadError(
            f"the weights of model {files.label!r} lack {len(missing)} that a {type(model).__name__} has, such as "
            f"{missing[0]!r}; its configuration does not belong to them"
        )
    return prepare_for_inference(model, device, precision, cast=cast)


def prepare_for_inference(
    model: torch.nn.Module, device: str, precision: Precision, *, cast: bool = True
) -> torch.nn.Module:
    """The model on its device, in its precision, without gradients or dropout."""
    model.to(device)
    if cast:
        cast_ahead(model, precision)
    return model.eval().requires_grad_(False)


def _is_unused(name: str, unused: tuple[str, ...]) -> bool:
    return any(name.startswith(part) or f".{part}" in name for part in unused)
