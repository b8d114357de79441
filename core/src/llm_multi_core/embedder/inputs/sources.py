"""Where media comes from: a path, a URL, bytes, a file object. Gives bytes, opens nothing else.

What the bytes mean is for `image` and `audio` to say.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes, urlsplit
from urllib.request import url2pathname

from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.items import DIGEST_SIZE

_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SourcePolicy:
    """What media inputs may refer to.

    Attributes:
        allow_urls: whether `http:` and `https:` URLs are fetched at all.
        max_bytes: the largest file, download or byte string that is read.
        timeout: seconds that a download may take altogether.
    """

    allow_urls: bool = False
    max_bytes: int = 200 * 1024 * 1024
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes to be read: a file that stays on disk, or bytes at hand.

    `name` is for messages only.
    """

    name: str
    path: Path | None = None
    data: bytes | None = None

    def open(self) -> BinaryIO:
        """A fresh binary file over the bytes; the caller closes it.

        Raises:
            InvalidInputError: if the file cannot be opened.
        """
        if self.data is not None:
            return io.BytesIO(self.data)
        assert self.path is not None  # noqa: S101 - one of the two is set
        try:
            return self.path.open("rb")
        except OSError as error:
            raise InvalidInputError(f"{self.name} cannot be read: {error.strerror or error}") from None

    def digest(self, kind: bytes, max_bytes: int) -> bytes:
        """The digest of the content, whatever its name; `kind` keeps modalities apart.

        Raises:
            InvalidInputError: if it cannot be read, is empty, or is larger than `max_bytes`.
        """
        state = blake2b(digest_size=DIGEST_SIZE, person=kind)
        size = 0
        with self.open() as file:
            try:
                while chunk := file.read(_CHUNK):
                    size += len(chunk)
                    if size > max_bytes:
                        raise InvalidInputError(f"{self.name} is larger than {max_bytes} bytes")
                    state.update(chunk)
            except OSError as error:
                raise InvalidInputError(f"{self.name} cannot be read: {error.strerror or error}") from None
        if size == 0:
            raise InvalidInputError(f"{self.name} is empty")
        return state.digest()


def find_source(value: Any, policy: SourcePolicy, media: str) -> Source | None:
    """The source that a value refers to, or `None` if it is no reference to bytes.

    Args:
        value: a path, a `file:`, `data:`, `http:` or `https:` URL, bytes, or a binary file object.
        policy: what it may refer to.
        media: `"image"` or `"audio"`, for messages.

    Raises:
        InvalidInputError: for a missing file, a URL that is not allowed, or a failed download.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return Source(f"the {media}", data=bytes(value))
    if isinstance(value, os.PathLike):
        return _file(Path(value), media)
    if isinstance(value, str):
        return _from_string(value, policy, media)
    if callable(getattr(value, "read", None)):
        return _from_file_object(value, policy, media)
    return None


def _from_string(text: str, policy: SourcePolicy, media: str) -> Source:
    scheme = text[:16].partition(":")[0].lower()
    if scheme == "data":
        return Source(f"the {media}", data=_data_url(text, media))
    if scheme in {"http", "https"} and "://" in text[:16]:
        if not policy.allow_urls:
            raise InvalidInputError("URLs are not fetched unless the embedder is made with allow_urls=True")
        from llm_multi_core.embedder.inputs.urls import fetch

        return Source(f"the {media}", data=fetch(text, max_bytes=policy.max_bytes, timeout=policy.timeout))
    if scheme == "file" and "://" in text[:16]:
        parts = urlsplit(text)
        if parts.netloc not in {"", "localhost"}:
            raise InvalidInputError(f"a file: URL with a host ({parts.netloc}) is not read")
        return _file(Path(url2pathname(parts.path)), media)
    return _file(Path(text), media)


def _file(path: Path, media: str) -> Source:
    path = path.expanduser()
    try:
        is_file = path.is_file()
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"not the path of an {media}: {error}") from None
    if not is_file:
        what = "a folder" if path.is_dir() else "no such file"
        raise InvalidInputError(f"{what}: {str(path)[:200]!r}")
    return Source(repr(path.name), path=path)


def _from_file_object(file: Any, policy: SourcePolicy, media: str) -> Source:
    read: Callable[[int], Any] = file.read
    if callable(getattr(file, "seek", None)) and callable(getattr(file, "seekable", None)) and file.seekable():
        file.seek(0)
    data = read(policy.max_bytes + 1)
    if not isinstance(data, bytes):
        raise InvalidInputError("the file object is open in text mode; open it with mode 'rb'")
    if len(data) > policy.max_bytes:
        raise InvalidInputError(f"the {media} is larger than {policy.max_bytes} bytes")
    return Source(f"the {media}", data=data)


def _data_url(text: str, media: str) -> bytes:
    import base64
    import binascii

    header, comma, body = text.partition(",")
    if not comma:
        raise InvalidInputError("the data: URL has no comma, so no content")
    kind = header[5:].partition(";")[0].strip().lower()
    if kind and kind != "application/octet-stream" and not kind.startswith(f"{media}/"):
        raise InvalidInputError(f"the data: URL holds {kind}, not an {media}")
    raw = unquote_to_bytes(body)
    if not header.lower().endswith(";base64"):
        return raw
    try:
        return base64.b64decode(raw, validate=True)
    except binascii.Error:
        raise InvalidInputError("the data: URL is not valid base64") from None
