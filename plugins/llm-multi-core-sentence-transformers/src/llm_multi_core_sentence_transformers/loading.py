"""Loading a model with sentence-transformers: quietly, in the wanted precision, with errors that help."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import InvalidOptionError, ModelLoadError, UntrustedCodeError
from llm_multi_core_torch import ModelFiles, Precision

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_INSTEAD = {
    "cache_dir": "cache_folder=",
    "device_map": "device=",
    "dtype": "precision=",
    "local_files_only": "local_files_only=",
    "max_length": "max_length=",
    "model_max_length": "max_length=",
    "revision": "revision=",
    "token": "the environment variable HF_TOKEN",
    "torch_dtype": "precision=",
    "trust_remote_code": "trust_remote_code=",
    "use_auth_token": "the environment variable HF_TOKEN",
}
"""What of transformers' own keywords is said otherwise, and how."""

# Loading sets state of the whole process: transformers the default type of tensors, this module the bars.
_loading = threading.Lock()


def check_passed_on(options: Mapping[str, Any]) -> None:
    """Refuse keywords for transformers that have an option of their own.

    Raises:
        InvalidOptionError: naming that option; it repeats no value.
    """
    for option in ("model_kwargs", "tokenizer_kwargs", "config_kwargs"):
        for name in options.get(option) or {}:
            if name in _INSTEAD:
                raise InvalidOptionError(f"{option}[{name!r}]: use {_INSTEAD[name]} for that")


def load_sentence_transformer(
    files: ModelFiles, device: str, precision: Precision, options: Mapping[str, Any]
) -> SentenceTransformer:
    """The loaded model, ready for inference.

    Args:
        files: the model's files, downloaded.
        device: where it goes.
        precision: what its weights are loaded in. On a CPU that is float32, whatever type they are
            stored in, and for the engine to cast.
        options: the framework's options.

    Raises:
        UntrustedCodeError: if it needs code of its own to be run, and that is not allowed.
        ModelLoadError: if it cannot be loaded.
    """
    import torch
    from sentence_transformers import SentenceTransformer

    # Code and base models of adapters may lie in other repositories; all else is in the folder.
    elsewhere = options["trust_remote_code"] or "adapter_config.json" in files
    try:
        with _loading, _without_progress_bars():
            model = SentenceTransformer(
                str(files.folder),
                device=device,
                trust_remote_code=options["trust_remote_code"],
                local_files_only=options["local_files_only"] or not elsewhere,
                cache_folder=options["cache_folder"],
                model_kwargs={"dtype": precision.weights_dtype, **(options["model_kwargs"] or {})},
                processor_kwargs=dict(options["tokenizer_kwargs"] or {}),
                config_kwargs=dict(options["config_kwargs"] or {}),
            )
    except Exception as error:
        raise _explained(files.label, error) from error
    # Weights that transformers does not load, such as tables of static embeddings, come as stored.
    if precision.weights_dtype == torch.float32 and _has_other_floats(model):
        model.float()
    return model.eval().requires_grad_(False)


def _has_other_floats(model: SentenceTransformer) -> bool:
    import torch

    if getattr(model.transformers_model, "is_quantized", False):
        return False
    return any(weight.is_floating_point() and weight.dtype != torch.float32 for weight in model.parameters())


def _explained(label: str, error: Exception) -> ModelLoadError:
    reason = next((line for line in str(error).splitlines() if line.strip()), "no reason given").strip()
    if "trust_remote_code" in str(error):
        return UntrustedCodeError(
            f"model {label!r} brings code of its own. Read it, and pass trust_remote_code=True to run it, best with "
            "revision= fixed to the commit that you read"
        )
    return ModelLoadError(f"model {label!r} could not be loaded ({type(error).__name__}: {reason})")


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Keep transformers from drawing "Loading weights", unless its user raised its verbosity."""
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars
    from transformers.utils import logging as transformers_logging

    asked_for = transformers_logging.get_verbosity() <= logging.INFO or constants.HF_HUB_DISABLE_PROGRESS_BARS is False
    if asked_for or not transformers_logging.is_progress_bar_enabled():
        yield
        return
    hub_was_quiet = are_progress_bars_disabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call] # enables the hub's as well
        if hub_was_quiet:
            disable_progress_bars()
