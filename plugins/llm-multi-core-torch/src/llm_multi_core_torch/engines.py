"""Which engine runs a loaded module: torch itself, or OpenVINO, which is faster on most CPUs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from llm_multi_core.embedder import EmbedderWarning, FrameworkUnavailableError, InvalidOptionError, OptionSpec
from llm_multi_core.embedder.host.availability import missing_requirements
from llm_multi_core_torch.devices import device_type
from llm_multi_core_torch.precision import Precision, cast_ahead

if TYPE_CHECKING:
    import torch

    from llm_multi_core_torch.signatures import Example

EngineName: TypeAlias = Literal["torch", "openvino"]

ENGINE_OPTION = OptionSpec(
    "engine", str, default="auto", choices=("auto", "torch", "openvino"), summary="what runs the model on a CPU"
)
"""What a plugin lists among its options. Its `plugin.py` imports the host only, so it repeats this
line; a test that compares the two keeps them equal."""

OPENVINO = "openvino>=2025.2,<2027"
LARGEST_FOR_AUTO = 2**32
"""Bytes of weights beyond which `"auto"` stays with torch: converting takes that much memory three times
over, and the converted model that much of the disk."""

_INSTALL = 'pip install "llm-multi-core-torch[openvino]"'
_log = logging.getLogger(__name__)


class EngineWarning(EmbedderWarning):
    """A model runs in torch, because OpenVINO cannot run it."""


def resolve_engine(requested: str, device: str, precision: str) -> EngineName:
    """What `engine=` means on a device.

    `"auto"` takes OpenVINO on a CPU if it is installed, except for `precision="float32"`: whoever asks
    for that by name gets torch's own results.

    Args:
        requested: `"auto"`, `"torch"` or `"openvino"`.
        device: as `choose_device` returns it.
        precision: as it was asked for, `"auto"` included.

    Raises:
        InvalidOptionError: for another name, or for OpenVINO on a device that is no CPU.
        FrameworkUnavailableError: for OpenVINO where it is not installed.
    """
    if requested not in ENGINE_OPTION.choices:
        allowed = ", ".join(map(repr, ENGINE_OPTION.choices))
        raise InvalidOptionError(f"engine={requested!r} is not one of {allowed}")
    on_cpu = device_type(device) == "cpu"
    if requested == "torch" or (requested == "auto" and (not on_cpu or precision == "float32")):
        return "torch"
    missing = missing_requirements((OPENVINO,))
    if requested == "auto":
        return "torch" if missing else "openvino"
    if not on_cpu:
        raise InvalidOptionError(f"engine='openvino' is for CPUs; pass device='cpu', or engine='torch' for {device!r}")
    if missing:
        raise FrameworkUnavailableError(f"engine='openvino' needs {missing[0]}: {_INSTALL}")
    return "openvino"


def engine_identity(engine: EngineName) -> str:
    """What an encoder's identity says of its engine.

    OpenVINO's release is part of it: another one may change the last bits, or run what this one cannot.
    """
    if engine == "torch":
        return engine
    return f"{engine} {'.'.join(metadata.version(engine).split('.')[:2])}"


def accelerate(
    module: torch.nn.Module,
    example: Example,
    *,
    engine: EngineName,
    precision: Precision,
    label: str,
    key: str = "",
    dynamic: Mapping[str | int, Sequence[int]] | None = None,
) -> Callable[..., Any]:
    """A callable that computes what the module computes, on the engine.

    On torch that is the module itself, prepared for its precision by `cast_ahead`. On OpenVINO it takes
    the same arguments as in the example and returns torch tensors on the CPU in the same structure; a
    module that OpenVINO cannot convert, or converts to something that computes other numbers, runs in
    torch, with an `EngineWarning`.

    Args:
        module: in evaluation mode, on its device, in `precision.weights_dtype`.
        example: arguments of a call: a tensor, a tuple of them, or a mapping for keywords, of which
            those that are no tensors are the same in all calls. Two inputs of different lengths, the
            shorter padded, show how masks are used.
        engine: as `resolve_engine` returns it.
        precision: as `resolve_precision` returns it.
        label: the name that people know the model by.
        key: settings that shape what the module computes and lie neither in its weights, nor in its
            `config`, nor in plain attributes of it or its sub-modules.
        dynamic: by argument, the axes whose length differs between calls. By default both axes of
            matrices (tokens, masks, samples) and the first axis of all others (images, spectrograms).
    """
    if engine == "openvino":
        from llm_multi_core_torch.openvino_engine import openvino_module

        try:
            return openvino_module(module, example, precision=precision, key=key, dynamic=dynamic)
        except Exception as error:  # noqa: BLE001 - of torch, OpenVINO or the model's code; the warning says which
            warnings.warn(
                f"{label} runs in torch, because OpenVINO cannot run it ({type(error).__name__}: {_reason(error)}); "
                "pass engine='torch' to choose that",
                EngineWarning,
                stacklevel=2,
            )
    cast_ahead(module, precision)
    return module


def is_small_enough(module: torch.nn.Module, label: str) -> bool:
    """Whether `"auto"` may convert a module."""
    size = sum(weight.numel() * weight.element_size() for weight in module.parameters())
    if size > LARGEST_FOR_AUTO:
        _log.info("%s stays with torch: its weights have %.1f GiB", label, size / 2**30)
    return size <= LARGEST_FOR_AUTO


def _reason(error: Exception) -> str:
    """The line that matters of a message of many lines."""
    lines = [line.strip("- ") for line in str(error).splitlines() if line.strip("- ")]
    # OpenVINO says first through which of its source files an error came.
    lines = [line for line in lines if not line.startswith("Exception from ")] or ["no reason given"]
    for heading in ("Summary:", "Exception:"):  # of OpenVINO's reports on operations, and on tracing
        if heading in lines[:-1]:
            return lines[lines.index(heading) + 1]
    return lines[0]
