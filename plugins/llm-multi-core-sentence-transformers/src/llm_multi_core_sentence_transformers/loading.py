"""Loading a model with sentence-transformers, in the wanted precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import InvalidOptionError
from llm_multi_core_torch import ModelFiles, Precision, loading_pretrained

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
    with loading_pretrained(files.label):
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
    # Weights that transformers does not load, such as tables of static embeddings, come as stored.
    if precision.weights_dtype == torch.float32 and _has_other_floats(model):
        model.float()
    return model.eval().requires_grad_(False)


def _has_other_floats(model: SentenceTransformer) -> bool:
    import torch

    if getattr(model.transformers_model, "is_quantized", False):
        return False
    return any(weight.is_floating_point() and weight.dtype != torch.float32 for weight in model.parameters())
