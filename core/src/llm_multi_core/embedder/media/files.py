"""Files of several kinds below a folder: which there are, what they hold, and their hashes."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from llm_multi_core.embedder.errors import InvalidInputError

_CHUNK = 1024 * 1024
_KNOWN = {
    ".avif": "image/avif",
    ".flac": "audio/flac",
    ".jfif": "image/jpeg",
    ".mp3": "audio/mpeg",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
    ".webp": "image/webp",
    ".md": "text/markdown",
}
"""Where platforms disagree, or know nothing."""


def mime_type_of(path: str | os.PathLike[str]) -> str:
    """The media type that a file's suffix names; `"application/octet-stream"` where it names none."""
    suffix = Path(os.fspath(path)).suffix.lower()
    return _KNOWN.get(suffix) or mimetypes.guess_type(f"file{suffix}")[0] or "application/octet-stream"


def files_below(folder: str | os.PathLike[str], pattern: str = "**/*") -> Iterator[Path]:
    """The files below a folder that match a pattern, in the order of their paths; hidden ones are passed over.

    Raises:
        InvalidInputError: if there is no such folder.
    """
    root = Path(os.fspath(folder)).expanduser()
    if not root.is_dir():
        raise InvalidInputError(f"no such folder: {os.fspath(folder)!r}")
    for path in sorted(root.glob(pattern)):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.is_file() and not hidden:
            yield path


def sha256_of(path: Path) -> str:
    """The hash of a file's bytes, in hexadecimal.

    Raises:
        InvalidInputError: if it cannot be read.
    """
    state = sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                state.update(chunk)
    except OSError as error:
        raise InvalidInputError(f"{path.name!r} cannot be read: {error.strerror or error}") from None
    return state.hexdigest()
