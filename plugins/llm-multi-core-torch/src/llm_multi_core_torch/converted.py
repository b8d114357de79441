"""Converted models on disk: one folder each, named by everything that shapes them.

A folder is written as a draft under another name and renamed into place, so that a process sees a whole
one or none; of several that convert the same model at once, the first one's stays.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from llm_multi_core_torch.hashing import cache_folder, file_sha256

MODEL = "model.xml"
_WEIGHTS = "model.bin"
_ENTRY = "entry.json"


def folder_of(key: str) -> Path:
    """Where a converted model lies, or would."""
    return cache_folder() / "openvino" / key


def recall(folder: Path) -> Any:
    """The JSON data that was kept with a converted model; `None` if there is none, or it is damaged."""
    try:
        entry = json.loads((folder / _ENTRY).read_text(encoding="utf-8"))
        if any(file_sha256(folder / name) != entry["files"][name] for name in (MODEL, _WEIGHTS)):
            return None
        return entry["data"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def draft(folder: Path) -> Iterator[Path]:
    """A folder to write a model and its weights into, which is gone afterwards unless it was kept.

    It lies beside the place of the model, or among the system's temporary files if that cannot be written.

    Args:
        folder: as `folder_of` gives it.

    Raises:
        OSError: if neither can be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.mkdtemp(dir=folder.parent, prefix=".new-")
    except OSError:
        temporary = tempfile.mkdtemp(prefix="llm-multi-core-")
    try:
        yield Path(temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def keep(written: Path, folder: Path, data: Any) -> None:
    """Keep a draft; what lies in its place damaged is replaced.

    Args:
        written: the draft, with the model `MODEL` and its weights in it.
        folder: where it goes, as `folder_of` gives it.
        data: JSON data to keep with it.

    Raises:
        OSError: if it cannot be written, as on a full disk.
    """
    files = {name: file_sha256(written / name) for name in (MODEL, _WEIGHTS)}
    (written / _ENTRY).write_text(json.dumps({"files": files, "data": data}), encoding="utf-8")
    if folder.exists() and recall(folder) is None:
        discard(folder)
    with suppress(FileExistsError):
        _rename(written, folder)


def discard(folder: Path) -> None:
    """Remove a converted model; processes that have it open are not disturbed."""
    with suppress(OSError):
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".old-"))
        try:
            folder.replace(aside / "entry")
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _rename(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:  # another process was faster; systems have several errors for that
        if not folder.exists():
            raise
        raise FileExistsError(folder) from None
