"""In which number format a model computes, decided before its weights are loaded.

- CPU: weights are loaded as float32, whatever they are stored as. `"auto"` computes in bfloat16 by
  autocast where the processor multiplies bfloat16 itself (AVX512-BF16, AMX-BF16, Armv8.6 BF16), which
  is two to four times faster; else in float32. AVX-512 alone is not enough: there bfloat16 is emulated
  and slower. float16 is refused.
- CUDA and ROCm: `"auto"` casts the weights to bfloat16 where the GPU computes in it, to float16 on
  older ones with fast float16 (compute capability 7), else keeps float32.
- Apple's GPU: `"auto"` is float32, since float16 overflows in models trained in bfloat16; both can
  be asked for.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, get_args

from llm_multi_core.embedder import InvalidOptionError
from llm_multi_core_torch.devices import device_type

if TYPE_CHECKING:
    import torch

PrecisionName: TypeAlias = Literal["float32", "bfloat16", "float16"]

_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


@dataclass(frozen=True, slots=True)
class Precision:
    """A number format and how a model comes to compute in it.

    Attributes:
        name: the format that matrix products run in.
        autocast: whether weights stay float32 and operations cast; otherwise the weights are cast.
    """

    name: PrecisionName
    autocast: bool = False

    @property
    def compute_dtype(self) -> torch.dtype:
        """The torch type that matrix products run in."""
        import torch

        return cast("torch.dtype", getattr(torch, self.name))

    @property
    def weights_dtype(self) -> torch.dtype:
        """The torch type to load weights in."""
        import torch

        return torch.float32 if self.autocast else self.compute_dtype


def resolve_precision(requested: str, device: str) -> Precision:
    """What `precision=` means on a device.

    Args:
        requested: `"auto"`, `"float32"`, `"bfloat16"` or `"float16"`.
        device: as `choose_device` returns it.

    Raises:
        InvalidOptionError: for another name, or for float16 on a CPU.
    """
    names = get_args(PrecisionName)
    if requested not in {"auto", *names}:
        raise InvalidOptionError(f"precision={requested!r} is not one of 'auto', {', '.join(map(repr, names))}")
    kind = device_type(device)
    if kind == "cpu":
        if requested == "float16":
            raise InvalidOptionError(
                "precision='float16' is not for CPUs: most of their operations lack it, and it overflows; use "
                "'bfloat16' or 'float32', or 'auto' for the faster of the two"
            )
        if requested == "bfloat16" or (requested == "auto" and cpu_computes_bfloat16()):
            return Precision("bfloat16", autocast=True)
        return Precision("float32")
    if requested != "auto":
        return Precision(cast("PrecisionName", requested))
    return Precision(_fastest_on_gpu(device) if kind == "cuda" else "float32")


def cast_ahead(model: torch.nn.Module, precision: Precision) -> None:
    """Cast once, in place, the weights that autocast would cast at every call.

    The results are the same to the last bit, since autocast only ever sees the cast weights of these
    layers. It matters for large models: casting BERT-large takes far longer than a query does.
    Embeddings, normalisations and everything else stay float32, as do weights that a layer shares
    with one of those. Does nothing without autocast.
    """
    import torch

    if not precision.autocast:
        return
    layers = (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)
    fused = (torch.nn.MultiheadAttention, torch.nn.TransformerEncoderLayer)  # read their layers' weights themselves
    kept = {id(module) for parent in model.modules() if isinstance(parent, fused) for module in parent.modules()}
    candidates = [module for module in model.modules() if type(module) in layers and id(module) not in kept]
    chosen = {id(module) for module in candidates}
    shared = {
        id(weight)
        for module in model.modules()
        if id(module) not in chosen
        for weight in module.parameters(recurse=False)
    }
    for module in candidates:
        if not any(id(weight) in shared for weight in module.parameters()):
            module.to(precision.compute_dtype)


@cache
def cpu_computes_bfloat16() -> bool:
    """Whether the processor has instructions that multiply bfloat16 numbers."""
    if sys.platform.startswith("linux"):
        return not _BFLOAT16_FLAGS.isdisjoint(_linux_cpu_flags())
    import torch

    # Newer than the oldest torch that is allowed; without it, float32 is the safe answer.
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(flag, False) for flag in _BFLOAT16_FLAGS)


def _linux_cpu_flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in {"flags", "Features"}:  # x86 and Arm
            return frozenset(value.split())
    return frozenset()


def _fastest_on_gpu(device: str) -> PrecisionName:
    import torch

    major, _ = torch.cuda.get_device_capability(device)
    if torch.version.hip is not None or major >= 8:
        return "bfloat16"
    return "float16" if major == 7 else "float32"
