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
    ".rst": "text/x-rst",
    ".toml": "application/toml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".jsonl": "application/jsonl",
    ".ipynb": "application/json",
}
"""Where platforms disagree, or know nothing."""

_TEXTS = frozenset(
    {
        "application/javascript",
        "application/json",
        "application/jsonl",
        "application/sql",
        "application/toml",
        "application/x-sh",
        "application/xml",
        "application/yaml",
    }
)
"""Media types of texts that do not say so by their name."""

_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b".snd", "audio/basic"),
    (b"%PDF-", "application/pdf"),
)
_CONTAINERS: dict[tuple[bytes, bytes], str] = {
    (b"RIFF", b"WAVE"): "audio/wav",
    (b"RIFF", b"WEBP"): "image/webp",
    (b"FORM", b"AIFF"): "audio/aiff",
    (b"FORM", b"AIFC"): "audio/aiff",
}
"""By what a file begins with, and by what stands at its ninth byte."""


def mime_type_of(path: str | os.PathLike[str]) -> str:
    """The media type that a file's suffix names; `"application/octet-stream"` where it names none."""
    suffix = Path(os.fspath(path)).suffix.lower()
    return _KNOWN.get(suffix) or mimetypes.guess_type(f"file{suffix}")[0] or "application/octet-stream"


def is_text_type(mime_type: str) -> bool:
    """Whether files of a media type are texts."""
    return mime_type.startswith("text/") or mime_type in _TEXTS


def mime_type_of_bytes(data: bytes) -> str | None:
    """The media type that the first bytes of a picture, recording or PDF tell; `None` for anything else."""
    head = bytes(data[:16])
    if head[4:12] in (b"ftypavif", b"ftypavis"):
        return "image/avif"
    found = _CONTAINERS.get((head[:4], head[8:12]))
    return found or next((kind for beginning, kind in _BEGINNINGS if head.startswith(beginning)), None)


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
