"""Files of arrays with a description: safetensors with a checksum in the metadata.

The checksum tells of damage and of files edited by hand. It is no signature: whoever can compute it
can write such a file, so take alignments from where you would take model weights.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from llm_multi_core.embedder.errors import ModelLoadError
from llm_multi_core.embedder.libraries import require
from llm_multi_core.embedder.rows import FloatArray

_FORMAT = "llm-multi-core/1"

T = TypeVar("T")


def save_record(
    path: str | os.PathLike[str], kind: str, record: Mapping[str, Any], arrays: Mapping[str, FloatArray]
) -> None:
    """Write a file, or replace it in one step.

    Args:
        path: where; the folder must exist.
        kind: what it holds, in a word.
        record: data that JSON can hold.
        arrays: float32 arrays by name.

    Raises:
        FrameworkUnavailableError: if safetensors is not installed.
        OSError: if it cannot be written.
    """
    require("safetensors", "alignment", "files of vectors cannot be written")
    from safetensors.numpy import save

    text = json.dumps(record, sort_keys=True)
    metadata = {"format": _FORMAT, "kind": kind, "record": text, "sha256": digest_of(kind, text, arrays)}
    content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata)
    target = Path(path)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_record(
    path: str | os.PathLike[str], kind: str, build: Callable[[dict[str, Any], dict[str, FloatArray]], T]
) -> T:
    """What `build` makes of the description and the arrays of a file that `save_record` wrote.

    Raises:
        FrameworkUnavailableError: if safetensors is not installed.
        ModelLoadError: if there is no such file, it holds something else, or it was damaged or altered.
    """
    require("safetensors", "alignment", "files of vectors cannot be read")
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise ModelLoadError(f"{os.fspath(path)} cannot be read as a file of {kind}: {error}") from error
    if (metadata.get("format"), metadata.get("kind")) != (_FORMAT, kind):
        raise ModelLoadError(
            f"{os.fspath(path)} holds {metadata.get('kind', 'something')!r} in the format "
            f"{metadata.get('format', 'unknown')!r}, not {kind!r} in {_FORMAT!r}; write it anew with save()"
        )
    text = metadata.get("record", "")
    if digest_of(kind, text, arrays) != metadata.get("sha256"):
        raise ModelLoadError(
            f"{os.fspath(path)} was damaged or altered after it was written: its content does not match its "
            "checksum. Fit it again, or copy it again from where it came."
        )
    try:
        return build(json.loads(text), arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelLoadError(f"{os.fspath(path)} does not hold what {kind} is made of: {error!r}") from error


def digest_of(kind: str, text: str, arrays: Mapping[str, FloatArray]) -> str:
    """The sha256 of a text and arrays: names, types, shapes and content."""
    digest = sha256(json.dumps([kind, text]).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
