"""Which device a model runs on.

Devices are plain strings here (`"cpu"`, `"cuda:1"`), so that a machine without an accelerator finds
its answer without importing torch.
"""

from __future__ import annotations

import sys
from pathlib import Path

from llm_multi_core.embedder import InvalidOptionError

# What the drivers that torch knows put there: NVIDIA, AMD, NVIDIA under WSL, NVIDIA Jetson.
_DRIVER_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg", "/dev/nvmap")


def choose_device(requested: str | None = None) -> str:
    """The device to run on.

    Args:
        requested: `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"` or another device of torch; `None` takes a
            CUDA or ROCm GPU if there is one, else Apple's GPU, else the CPU.

    Raises:
        InvalidOptionError: if the machine lacks the device; says which ones it has.
    """
    if requested == "cpu" or (requested is None and not _may_have_accelerator()):
        return "cpu"
    if requested is None:
        return device_type(available_devices()[0])
    import torch

    try:
        device = torch.device(requested)
    except RuntimeError:
        raise _unavailable(requested, "is not the name of a device") from None
    if not _is_present(device):
        raise _unavailable(requested, "is not there")
    return str(device)


def available_devices() -> tuple[str, ...]:
    """The devices of this machine, the best first; the CPU is always the last."""
    import torch

    devices = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    if torch.backends.mps.is_available():
        devices.append("mps")
    return (*devices, "cpu")


def device_type(device: str) -> str:
    """`"cuda"` for `"cuda:1"`."""
    return device.partition(":")[0]


def _may_have_accelerator() -> bool:
    """Whether it is worth asking torch: importing it takes a second or more."""
    return not sys.platform.startswith("linux") or any(Path(file).exists() for file in _DRIVER_FILES)


def _is_present(device: object) -> bool:
    import torch

    assert isinstance(device, torch.device)  # noqa: S101 - torch is not imported where the signature is
    index = device.index or 0
    if device.type == "cpu":
        return index == 0
    if device.type == "cuda":
        return torch.cuda.is_available() and index < torch.cuda.device_count()
    if device.type == "mps":
        return bool(torch.backends.mps.is_available()) and index == 0
    is_available = getattr(getattr(torch, device.type, None), "is_available", None)
    return bool(is_available is not None and is_available())


def _unavailable(requested: str, fault: str) -> InvalidOptionError:
    return InvalidOptionError(f"device={requested!r} {fault}; this machine has {', '.join(available_devices())}")
