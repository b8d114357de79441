"""How a model is run: inference mode, autocast, threads, memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np

from llm_multi_core_torch.devices import device_type
from llm_multi_core_torch.precision import Precision

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

P = ParamSpec("P")
T = TypeVar("T")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "ALLOC_FAILED")


@contextmanager
def inference(device: str, precision: Precision) -> Iterator[None]:
    """Run the block without gradients, in the given precision."""
    import torch

    autocast = torch.autocast(device_type(device), dtype=precision.compute_dtype, enabled=precision.autocast)
    with torch.inference_mode(), autocast:
        yield


def run_model(device: str, precision: Precision, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function makes of its arguments, under `inference`.

    Raises:
        MemoryError: if that does not fit into the memory of the device; what it had taken is given back.
    """
    try:
        with inference(device, precision):
            return function(*args, **kwargs)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        reason = str(error).partition("\n")[0]
    # Outside the handler: the frames of the first error hold the tensors that are to be freed.
    release_memory(device)
    raise MemoryError(reason)


def to_numpy(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
    """A tensor of any device and precision as a float32 array of the same shape."""
    import torch

    array: npt.NDArray[np.float32] = tensor.detach().to("cpu", torch.float32).numpy()
    return array


def limit_threads() -> None:
    """Let torch use no more threads than this process has cores.

    Torch counts the machine's cores; in a container, or under `taskset`, that makes many threads
    fight for few cores. The number is never raised, and left alone if `OMP_NUM_THREADS` or
    `MKL_NUM_THREADS` is set.
    """
    import torch

    if not any(os.environ.get(name) for name in _THREAD_VARIABLES):
        cores = usable_cores()
        if torch.get_num_threads() > cores:
            torch.set_num_threads(cores)


def usable_cores() -> int:
    """Cores that this process may use, by its affinity and its control group's quota; at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, cores if quota is None else min(cores, ceil(quota)))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, CUDA or the CPU allocator says that memory ran out."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _OUT_OF_MEMORY)


def release_memory(device: str) -> None:
    """Give cached blocks of the device's memory back."""
    import torch

    kind = device_type(device)
    if kind == "cuda":
        torch.cuda.empty_cache()
    elif kind == "mps":
        torch.mps.empty_cache()


def _cgroup_quota(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> float | None:
    """The lowest CPU quota, in cores, of this process's control group (version 2) and those above it."""
    try:
        entries = [line.split(":", 2) for line in membership.read_text(encoding="utf-8").splitlines()]
        group = next((path for number, _, path in entries if number == "0"), "/")
    except (OSError, ValueError):
        return None
    quotas = []
    for folder in (root / group.lstrip("/"), *(root / group.lstrip("/")).parents):
        if not folder.is_relative_to(root):
            break
        try:
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        except (OSError, ValueError):
            continue
        if quota != "max":
            quotas.append(int(quota) / int(period))
    return min(quotas, default=None)
