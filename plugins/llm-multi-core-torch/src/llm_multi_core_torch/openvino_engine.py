"""Running a torch module with OpenVINO: converted once, kept on disk, checked against torch."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llm_multi_core_torch import converted
from llm_multi_core_torch.fingerprints import module_sha256
from llm_multi_core_torch.precision import Precision
from llm_multi_core_torch.signatures import Example, Signature, Structure, flatten, unflatten
from llm_multi_core_torch.trial import try_model

if TYPE_CHECKING:
    import torch

_FORMAT = 1
"""Raise this when converted models that lie in caches are not to be used any more."""
_ATTENTION = "_attn_implementation"
_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_TOLERANCE = 2e-3
"""Of the check, relative to the largest number. A wrong conversion is far beyond it; float32 in other
order of summation is far below, even after many layers."""

# Tracing sets state of the whole process, as do the warnings that are ignored meanwhile.
_converting = threading.RLock()
_users: list[int] = []
"""Processes that used OpenVINO: this one, or one that this one was forked from."""
_log = logging.getLogger(__name__)


class ConversionError(RuntimeError):
    """The converted module does not compute what torch computes."""


class OpenVinoModule:
    """A compiled module: takes torch tensors like the example's, gives torch tensors. Safe in threads."""

    def __init__(self, compiled: Any, signature: Signature, structure: Structure) -> None:
        self._request = compiled.create_infer_request()
        self._signature = signature
        self._structure = structure
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """The module's output, on the CPU.

        Raises:
            TypeError: if the call is not like the example that the module was converted for.
        """
        import torch

        arrays = [tensor.numpy() for tensor in self._signature.tensors(arguments, keywords)]
        with self._lock:
            results = self._request.infer(arrays, share_inputs=True, share_outputs=False)
            outputs = [torch.from_numpy(results[place]) for place in range(len(results))]
        return unflatten(self._structure, outputs)


def openvino_module(
    module: torch.nn.Module,
    example: Example,
    *,
    precision: Precision,
    key: str,
    dynamic: Mapping[str | int, Sequence[int]] | None,
) -> OpenVinoModule:
    """The module, compiled for the CPU; from the cache of converted modules if it is there.

    Arguments are those of `accelerate`.

    Raises:
        Exception: of torch or OpenVINO, or of the module's own code, if it cannot be converted.
    """
    if _forked_from_user():
        raise ConversionError("this process was forked from one that used it; start processes by 'spawn'")
    openvino = import_openvino()
    signature = Signature.of(example, dynamic)
    folder = converted.folder_of(_entry_key(module, signature, key, openvino))
    with _converting, _quiet():
        if (structure := converted.recall(folder)) is not None:
            try:
                compiled = _compiled(_core().read_model(folder / converted.MODEL), precision)
                return OpenVinoModule(compiled, signature, structure)
            except RuntimeError as error:
                _log.warning("%s cannot be used, and is converted anew: %s", folder, error)
                converted.discard(folder)
        with converted.draft(folder) as draft:
            try:
                with _settings(module, use_cache=False):
                    model, structure = _convert(module, example, signature, draft / converted.MODEL, openvino)
            except Exception:
                # OpenVINO gives NaN where a mask hides everything, which the padding of decoders is made of. What
                # transformers calls eager masks with large numbers instead.
                if not any(getattr(config, _ATTENTION, None) == "sdpa" for config in _configs(module)):
                    raise
                with _settings(module, use_cache=False, **{_ATTENTION: "eager"}):
                    model, structure = _convert(module, example, signature, draft / converted.MODEL, openvino)
            try:
                converted.keep(draft, folder, structure)
            except OSError as error:
                _log.warning("the converted model cannot be kept in %s: %s", folder, error)
        return OpenVinoModule(_compiled(model, precision), signature, structure)


def import_openvino() -> Any:
    """OpenVINO. Importing it would report its use to its makers, unless its user opted out; this does not.

    Raises:
        ImportError: if it is not installed.
    """
    name = "openvino_telemetry"
    if "openvino" in sys.modules or name in sys.modules:
        import openvino

        return openvino
    sys.modules[name] = None  # type: ignore[assignment] # as if it were not installed, which OpenVINO allows for
    try:
        import openvino
    finally:
        del sys.modules[name]
    return openvino


def _entry_key(module: torch.nn.Module, signature: Signature, key: str, openvino: Any) -> str:
    import torch

    facts = [_FORMAT, openvino.__version__, torch.__version__, module_sha256(module), signature.as_json, key]
    return hashlib.sha256(json.dumps(facts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _convert(
    module: torch.nn.Module, example: Example, signature: Signature, path: Path, openvino: Any
) -> tuple[Any, Structure]:
    """The converted model, written to a path as well, with the structure of its outputs.

    Raises:
        ConversionError: if it does not compute what the module does.
        TrialError: if it does not run.
    """
    import torch

    flat = _flat(module, signature)
    with torch.no_grad():
        model = openvino.convert_model(flat, example_input=tuple(_example_tensors(example, signature)))
    if len(model.inputs) != len(signature.shapes):
        raise ConversionError("an argument was lost")
    model.reshape({place: openvino.PartialShape(list(shape)) for place, shape in enumerate(signature.shapes)})
    openvino.save_model(model, path, compress_to_fp16=False)
    _check(path, module, example, signature)
    return model, flat.structure


def _flat(module: torch.nn.Module, signature: Signature) -> Any:
    """The module with tensors in a row as arguments and results, the latter in float32 if floating."""
    import torch

    class Flat(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module
            self.structure: Structure = None
            self.eval()

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            results, self.structure = flatten(_call(self.module, signature, tensors))
            return tuple(result.float() if result.is_floating_point() else result for result in results)

    return Flat()


def _call(module: Callable[..., Any], signature: Signature, tensors: Sequence[torch.Tensor]) -> Any:
    if signature.names[0] is None:
        return module(*tensors)
    named = {str(name): tensor for name, tensor in zip(signature.names, tensors, strict=True)}
    return module(**named, **signature.constants)


def _example_tensors(example: Example, signature: Signature) -> list[torch.Tensor]:
    if isinstance(example, Mapping):
        return signature.tensors((), example)
    return signature.tensors(tuple(example) if isinstance(example, list | tuple) else (example,), {})


def _check(path: Path, module: torch.nn.Module, example: Example, signature: Signature) -> None:
    """Compare with torch, for the example and for arguments of other sizes.

    A trace keeps what Python decided for the example; this finds out if that was about its sizes.

    Raises:
        ConversionError: if the results differ.
        TrialError: if it does not run.
    """
    import torch

    tensors = _example_tensors(example, signature)
    calls, expected = [], []
    for arguments in (tensors, *signature.variants(tensors)):
        try:
            with torch.no_grad():
                results, _ = flatten(_call(module, signature, arguments))
        except (RuntimeError, ValueError, IndexError, AssertionError):
            if arguments is tensors:
                raise
            continue  # the model itself does not take inputs of that size
        calls.append([tensor.numpy() for tensor in arguments])
        expected.append([(result.float() if result.is_floating_point() else result).numpy() for result in results])
    for found, wanted in zip(try_model(path, calls, _hints(Precision("float32"))), expected, strict=True):
        for ours, theirs in zip(found, wanted, strict=True):
            _compare(ours, theirs)


def _compare(ours: Any, theirs: Any) -> None:
    if ours.shape != theirs.shape:
        raise ConversionError(f"gives shape {ours.shape} where torch gives {theirs.shape}")
    finite = np.isfinite(theirs)  # what padding attends to may be anything
    a, b = ours[finite].astype(np.float64), theirs[finite].astype(np.float64)
    if a.size and not np.abs(a - b).max() <= _TOLERANCE * max(1.0, np.abs(b).max()):
        raise ConversionError(f"gives other numbers than torch, by up to {np.abs(a - b).max():.3g}")


def _compiled(model: Any, precision: Precision) -> Any:
    return _core().compile_model(model, "CPU", _hints(precision))


def _hints(precision: Precision) -> dict[str, Any]:
    """How a model is compiled for the CPU."""
    import torch

    return {
        "INFERENCE_PRECISION_HINT": _HINTS[precision.name],
        "PERFORMANCE_HINT": "LATENCY",  # all threads work on one batch, as torch's do
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "ENABLE_CPU_PINNING": False,  # or all processes would crowd on the same cores
    }


@cache
def _core() -> Any:
    _users.append(os.getpid())
    return import_openvino().Core()


def _forked_from_user() -> bool:
    """Whether OpenVINO's threads are those of a parent process: waiting for them would have no end."""
    return any(process != os.getpid() for process in _users)


def _after_fork() -> None:
    global _converting  # noqa: PLW0603 - a thread of the parent may have held it
    _converting = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _configs(module: torch.nn.Module) -> list[Any]:
    """The configurations of transformers' models in a module."""
    found = (getattr(part, "config", None) for part in module.modules())
    return list({id(config): config for config in found if hasattr(config, _ATTENTION)}.values())


@contextlib.contextmanager
def _settings(module: torch.nn.Module, **values: Any) -> Iterator[None]:
    """Set what the configurations say for a while: embeddings need no cache of keys and values, for one."""
    before = [
        (config, name, getattr(config, name))
        for config in _configs(module)
        for name in values
        if getattr(config, name, None) is not None
    ]
    for config, name, _ in before:
        setattr(config, name, values[name])
    try:
        yield
    finally:
        for config, name, value in before:
            setattr(config, name, value)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep tracing from talking: its warnings are about what `_check` finds out."""
    transformers = logging.getLogger("transformers")
    level = transformers.level
    transformers.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.setLevel(level)
