"""What a loaded module computes, as a hash: its weights, its architecture, its settings."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from llm_multi_core_torch.identity import CONFIG_NOISE, without

if TYPE_CHECKING:
    import torch

_ATTENTION = "_attn_implementation"
_WHEREABOUTS = frozenset({"name_or_path", "training"})
_PLAIN = (bool, int, float, str, type(None))


def module_sha256(module: torch.nn.Module) -> str:
    """A hash over weights, architecture and settings of a module, and over the versions of what it is made of.

    Settings are those in the `config` of transformers' models and in plain attributes; where the
    model was loaded from does not matter.
    """
    digest = hashlib.sha256()
    for fact in _facts(module):
        digest.update(json.dumps(fact, sort_keys=True, default=repr).encode("utf-8", "surrogatepass"))
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_content(tensor))
    return digest.hexdigest()


def _facts(module: torch.nn.Module) -> Iterator[Any]:
    packages = set()
    for name, part in module.named_modules():
        kind = type(part)
        packages.add(kind.__module__.partition(".")[0])
        settings = {
            attribute: value
            for attribute, value in vars(part).items()
            if attribute not in _WHEREABOUTS and isinstance(value, _PLAIN)
        }
        yield [name, kind.__module__, kind.__qualname__, part.extra_repr(), settings]
        config: Any = getattr(part, "config", None)
        if hasattr(config, "to_dict"):
            yield [without(config.to_dict(), CONFIG_NOISE), str(getattr(config, _ATTENTION, None))]
    yield {package: str(getattr(sys.modules.get(package), "__version__", None)) for package in packages}


def _content(tensor: torch.Tensor) -> Any:
    """The bytes of a tensor, not copied if they lie in one piece."""
    import torch

    return tensor.detach().to("cpu").contiguous().reshape(-1).view(torch.uint8).numpy()
