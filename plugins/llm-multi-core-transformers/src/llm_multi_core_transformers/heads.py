"""What a sentence-transformers folder puts after the pooling: dense layers, normalisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from llm_multi_core.embedder import ModelLoadError, UntrustedCodeError
from llm_multi_core_torch import ModelFiles, Precision
from llm_multi_core_transformers.checkpoints import prepare_for_inference
from llm_multi_core_transformers.text_layout import Head

if TYPE_CHECKING:
    import torch

_DEFAULT_ACTIVATION = "torch.nn.modules.activation.Tanh"
_ACTIVATIONS = "torch.nn.modules.activation."
_IDENTITY = frozenset({"torch.nn.modules.linear.Identity", "torch.nn.Identity"})
_PLAIN_SETTINGS = frozenset(
    {"in_features", "out_features", "bias", "activation_function", "module_input_name", "module_output_name"}
)


class Heads:
    """Modules that are applied to a vector one after the other."""

    def __init__(self, steps: Sequence[torch.nn.Module | None]) -> None:
        self._steps = list(steps)

    def prepare(self, device: str, precision: Precision) -> None:
        """Move them to the device, ready for inference."""
        for step in self._steps:
            if step is not None:
                step.to(precision.weights_dtype)
                prepare_for_inference(step, device, precision)

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """The vectors `(n, d)` after all of them; a step without a module brings them to length 1."""
        import torch

        for step in self._steps:
            if step is None:
                vectors = torch.nn.functional.normalize(vectors.float(), dim=-1)
            else:
                vectors = step(vectors.to(next(iter(step.parameters())).dtype))
        return vectors


def build_heads(files: ModelFiles, heads: Sequence[Head]) -> Heads:
    """The modules after the pooling with their weights, in float32 on the CPU.

    Raises:
        UntrustedCodeError: if an activation is not one of torch's own.
        ModelLoadError: if a configuration and its weights do not fit together, or ask for more.
    """
    files.download([head.folder for head in heads if head.folder])
    return Heads([None if head.kind == "Normalize" else _build(files, head) for head in heads])


def _build(files: ModelFiles, head: Head) -> torch.nn.Module:
    import torch

    state = _weights(files, head.folder)
    try:
        if head.kind == "LayerNorm":
            width = int(head.config["dimension"])
            norm = torch.nn.LayerNorm(width)
            norm.load_state_dict({name.removeprefix("norm."): value for name, value in state.items()})
            return norm
        if extra := sorted(name for name in set(head.config) - _PLAIN_SETTINGS if head.config[name]):
            raise ModelLoadError(
                f"a dense layer of model {files.label!r} has a setting {extra[0]!r} that is not known here; use "
                "framework 'sentence-transformers'"
            )
        linear = torch.nn.Linear(
            int(head.config["in_features"]), int(head.config["out_features"]), bias=bool(head.config.get("bias", True))
        )
        linear.load_state_dict({name.removeprefix("linear."): value for name, value in state.items()})
    except (KeyError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ModelLoadError(f"{head.folder} of model {files.label!r} cannot be loaded ({reason})") from error
    return torch.nn.Sequential(linear, _activation(files.label, head.config))


def _activation(label: str, config: Mapping[str, Any]) -> torch.nn.Module:
    import torch

    name = str(config.get("activation_function", _DEFAULT_ACTIVATION))
    if name in _IDENTITY:
        return torch.nn.Identity()
    kind = getattr(torch.nn, name.rpartition(".")[2], None)
    is_own = name.startswith((_ACTIVATIONS, "torch.nn.")) and isinstance(kind, type)
    if not is_own or not issubclass(cast("type", kind), torch.nn.Module):
        raise UntrustedCodeError(f"model {label!r} wants an activation of its own code ({name}), which is not run here")
    activation: torch.nn.Module = cast("type", kind)()
    return activation


def _weights(files: ModelFiles, folder: str) -> dict[str, torch.Tensor]:
    import torch
    from safetensors.torch import load_file

    path = files.folder / Path(folder) / "model.safetensors"
    if path.is_file():
        return {name: value.float() for name, value in load_file(path).items()}
    # Only reached with allow_pickle=True; weights_only keeps code from running all the same.
    state = torch.load(path.with_name("pytorch_model.bin"), map_location="cpu", weights_only=True)
    return {name: value.float() for name, value in state.items()}
