"""Trying a converted model in a process of its own: one that was converted wrongly may crash the process that runs it.

That process runs this very file, and so nothing here imports more than the standard library, numpy and
OpenVINO.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = Sequence[npt.NDArray[Any]]

_SECONDS = 900
"""After so long a model counts as one that hangs."""
_INPUTS, _OUTPUTS = "inputs.npz", "outputs.npz"


class TrialError(RuntimeError):
    """A converted model does not run."""


def try_model(model: Path, calls: Sequence[Arrays], settings: Mapping[str, Any]) -> list[Arrays]:
    """The outputs of a converted model for each call, on the CPU.

    Args:
        model: its file in OpenVINO's format.
        calls: for each call its inputs, in their order.
        settings: how it is compiled.

    Raises:
        TrialError: if it crashes, raises or hangs, or no process can be started.
    """
    with tempfile.TemporaryDirectory(prefix="llm-multi-core-") as name:
        folder = Path(name)
        _write(folder / _INPUTS, calls)
        done = _child(model, folder, settings)
        if done.returncode < 0:
            raise TrialError(f"it crashes (signal {-done.returncode})")
        if done.returncode:
            raise TrialError(done.stderr.strip() or f"it fails (exit status {done.returncode})")
        return _read(folder / _OUTPUTS)


def _child(model: Path, folder: Path, settings: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
    if not sys.executable or getattr(sys, "frozen", False):
        raise TrialError("it cannot be tried in a process of its own: there is no interpreter to start")
    command = [sys.executable, "-P", __file__, str(model), str(folder), json.dumps(dict(settings))]
    # It finds packages where this process does; -P leaves out the folder of this file.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        return subprocess.run(  # noqa: S603 - this file, by the interpreter of this process
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TrialError(f"it cannot be tried in a process of its own: {error}") from error


def _write(path: Path, calls: Sequence[Arrays]) -> None:
    arrays = {f"{number} {place}": array for number, call in enumerate(calls) for place, array in enumerate(call)}
    np.savez(path, **arrays)  # type: ignore[arg-type] # the names are no parameters of it


def _read(path: Path) -> list[Arrays]:
    calls: dict[int, dict[int, npt.NDArray[Any]]] = {}
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            number, place = map(int, name.split())
            calls.setdefault(number, {})[place] = arrays[name]
    return [[calls[number][place] for place in sorted(calls[number])] for number in sorted(calls)]


def _run(model: str, folder: Path, settings: Mapping[str, Any]) -> None:
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # importing it would report its use
    import openvino

    request = openvino.Core().compile_model(model, "CPU", dict(settings)).create_infer_request()
    outputs = []
    for inputs in _read(folder / _INPUTS):
        results = request.infer(list(inputs))
        outputs.append([results[place] for place in range(len(results))])
    _write(folder / _OUTPUTS, outputs)


if __name__ == "__main__":
    try:
        _run(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))
    except Exception as error:  # noqa: BLE001 - told to the process that waits for this one
        sys.exit(str(error) or type(error).__name__)
