"""The sha256 of large files, computed once and remembered by size and time of change.

A file in the Hugging Face cache is not read at all: large files are stored there under their hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

CACHE_VARIABLE = "LLM_MULTI_CORE_CACHE_DIR"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SETTLED_NANOSECONDS = 2_000_000_000


def cache_folder() -> Path:
    """Where this library keeps what it can compute again.

    `LLM_MULTI_CORE_CACHE_DIR` if it is set, else `llm-multi-core` in the user's cache folder. The
    folder need not exist yet.
    """
    if override := os.environ.get(CACHE_VARIABLE, "").strip():
        return Path(override).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "llm-multi-core"


def file_sha256(path: Path) -> str:
    """The sha256 of a file's content, as 64 hexadecimal digits.

    Raises:
        OSError: if it cannot be read.
    """
    target = path.resolve(strict=True)
    if target.parent.name == "blobs" and _SHA256.fullmatch(target.name):
        return target.name
    status = target.stat()
    stamp = {"path": str(target), "size": status.st_size, "changed": status.st_mtime_ns}
    entry = cache_folder() / "sha256" / f"{hashlib.sha256(str(target).encode()).hexdigest()[:32]}.json"
    if (remembered := _recall(entry, stamp)) is not None:
        return remembered
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    # A file that changed a moment ago may change again within the resolution of its time stamp.
    if time.time_ns() - status.st_mtime_ns > _SETTLED_NANOSECONDS:
        _remember(entry, {**stamp, "sha256": digest})
    return digest


def _recall(entry: Path, stamp: dict[str, object]) -> str | None:
    try:
        known = json.loads(entry.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(known, dict) or any(known.get(key) != value for key, value in stamp.items()):
        return None
    digest = known.get("sha256")
    return digest if isinstance(digest, str) and _SHA256.fullmatch(digest) else None


def _remember(entry: Path, content: dict[str, object]) -> None:
    # One small file per hashed file, put in place in one step: processes cannot spoil each other's
    # entries. A read-only home only means that the file is hashed again next time.
    with suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=entry.parent, suffix=".tmp")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(content, file)
            Path(temporary).replace(entry)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
