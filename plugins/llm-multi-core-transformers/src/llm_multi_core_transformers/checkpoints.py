"""From the name that a user gives to a loaded part of a checkpoint, without surprises on the way.

No code of the model's own runs unasked, no weights are unpickled unasked, and no weight that the
checkpoint lacks is left at a random value in silence.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import ModelLoadError, UntrustedCodeError
from llm_multi_core_torch import ModelFiles, Precision, cast_ahead, find_model

if TYPE_CHECKING:
    import torch

_UNUSED_WEIGHTS = ("pooler.", "lm_head.", "classifier.")
"""Beginnings of names of weights that no vector here depends on."""

# Loading sets state of the whole process: the default type of tensors, the verbosity of transformers.
_loading = threading.Lock()


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


def label_of(files: ModelFiles) -> str:
    """The name that people know a model by; of a folder, its own name."""
    return Path(files.label).name if Path(files.label).expanduser().is_dir() else files.label


def weights_of(files: ModelFiles, options: Mapping[str, Any], folder: str = "") -> dict[str, str]:
    """The sha256 of each weight file of a sub-folder.

    Raises:
        ModelLoadError: if there are none, or only in pickle form and `allow_pickle` is not set.
    """
    weights = files.weights(folder)
    where = f"the folder {folder!r} of model" if folder else "model"
    if not weights:
        raise ModelLoadError(
            f"{where} {files.label!r} has no weights: neither model.safetensors nor pytorch_model.bin is there"
        )
    pickled = [name for name in weights if PurePosixPath(name).suffix != ".safetensors"]
    if pickled and not options["allow_pickle"]:
        raise ModelLoadError(
            f"{where} {files.label!r} has its weights in pickle form only ({pickled[0]}), which can run code when it "
            "is loaded. Take a copy in safetensors form, or pass allow_pickle=True if you trust its origin"
        )
    return weights


def code_of(files: ModelFiles, options: Mapping[str, Any]) -> list[dict[str, str]]:
    """What the identity of a model says of code of its own; empty unless that may run."""
    if not options["trust_remote_code"]:
        return []
    return [{name: files.sha256(name) for name in files.names() if name.endswith(".py")}]


def load_part(auto_class: Any, files: ModelFiles, options: Mapping[str, Any], **arguments: Any) -> Any:
    """A configuration, tokenizer or processor, by the `from_pretrained` of `auto_class`.

    Raises:
        UntrustedCodeError: if it needs code of its own to be run, and that is not allowed.
        ModelLoadError: if it cannot be loaded.
    """
    trusted = options["trust_remote_code"]
    try:
        with _loading, _quietly():
            return auto_class.from_pretrained(
                str(files.folder), local_files_only=not trusted, trust_remote_code=trusted, **arguments
            )
    except Exception as error:
        raise _explained(files.label, error) from error


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


def _explained(label: str, error: Exception) -> ModelLoadError:
    if isinstance(error, ModelLoadError):
        return error
    reason = next((line for line in str(error).splitlines() if line.strip()), "no reason given").strip()
    if "trust_remote_code" in str(error):
        return UntrustedCodeError(
            f"model {label!r} brings code of its own. Read it, and pass trust_remote_code=True to run it, best with "
            "revision= fixed to the commit that you read"
        )
    return ModelLoadError(f"model {label!r} could not be loaded ({type(error).__name__}: {reason})")


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep transformers from drawing bars and listing weights, unless its user raised its verbosity."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    if verbosity <= logging.INFO:
        yield
        return
    bars, hub_was_quiet = transformers_logging.is_progress_bar_enabled(), are_progress_bars_disabled()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    if bars:
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call] # enables the hub's as well
        if bars and hub_was_quiet:
            disable_progress_bars()
