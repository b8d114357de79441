"""Where media comes from: a path, a URL, bytes, a file object. Gives bytes, opens nothing else.

What the bytes mean is for `image` and `audio` to say.
"""

from __future__ import annotations

import io
import os
import re
import stat
from dataclasses import dataclass
from hashlib import blake2b
from inspect import iscoroutine
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes, urlsplit, urlunsplit

from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.items import DIGEST_SIZE

_CHUNK = 1024 * 1024
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)://")
_FILE_URL = re.compile(r"\s*file:/", re.IGNORECASE)
_DATA_URL = re.compile(r"\s*data:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SourcePolicy:
    """What media inputs may refer to.

    Attributes:
        allow_urls: whether `http:` and `https:` URLs are fetched at all.
        max_bytes: the largest download, byte string or file object, which are held in memory.
        max_file_bytes: the largest file on disk.
        timeout: seconds that a download may take altogether.
    """

    allow_urls: bool = False
    max_bytes: int = 200 * 1024 * 1024
    max_file_bytes: int = 4 * 1024 * 1024 * 1024
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes to be read: a file that stays on disk, or bytes at hand.

    Attributes:
        name: for messages only.
        path: the file.
        data: the bytes, where there is no file.
        stamp: the file's size and time of change when it was found; it is not read any more once
            they differ, since its digest would be that of other content.
    """

    name: str
    path: Path | None = None
    data: bytes | None = None
    stamp: tuple[int, int] | None = None

    @property
    def size(self) -> int:
        """How many bytes there are, as far as that is known without reading them."""
        if self.data is not None:
            return len(self.data)
        return self.stamp[0] if self.stamp is not None else 0

    def open(self) -> BinaryIO:
        """A fresh binary file over the bytes; the caller closes it.

        Raises:
            InvalidInputError: if the file cannot be opened, or is not as it was found.
        """
        if self.data is not None:
            return io.BytesIO(self.data)
        assert self.path is not None  # noqa: S101 - one of the two is set
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise InvalidInputError(f"{self.name} cannot be read: {error.strerror or error}") from None
        if self.stamp is not None and _stamp(os.fstat(file.fileno())) != self.stamp:
            file.close()
            raise InvalidInputError(f"{self.name} was changed while it was being embedded")
        return file

    def read(self) -> bytes:
        """All of the bytes.

        Raises:
            InvalidInputError: as `open`.
        """
        with self.open() as file:
            return file.read()

    def digest(self, kind: bytes, policy: SourcePolicy) -> bytes:
        """The digest of the content, whatever its name; `kind` keeps modalities apart.

        Raises:
            InvalidInputError: if it cannot be read, is empty, or is larger than `policy` allows.
        """
        bound = policy.max_bytes if self.path is None else policy.max_file_bytes
        state = blake2b(digest_size=DIGEST_SIZE, person=kind)
        size = 0
        with self.open() as file:
            try:
                while chunk := file.read(_CHUNK):
                    size += len(chunk)
                    if size > bound:
                        raise InvalidInputError(f"{self.name} is larger than {bound} bytes")
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
            A file object is read from its beginning, and left where it was.
        policy: what it may refer to.
        media: `"image"` or `"audio"`, for messages.

    Raises:
        InvalidInputError: for a missing file, a URL that is not allowed, or a failed download. No
            message repeats a URL, which may hold a password or a token.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return _bytes(bytes(value), media)
    if isinstance(value, os.PathLike):
        return _file(os.fsdecode(value))
    if isinstance(value, str):
        return _from_string(value, policy, media)
    if callable(getattr(value, "read", None)):
        return _bytes(_read_file_object(value, policy.max_bytes, media), media)
    return None


def name_of(value: Any) -> str | None:
    """What a reference calls its source, to be cited: a path or URL as it was given; `None` for bytes and the like.

    Of a URL the part that may hold a password or a token is left out, and a `data:` URL is no name.
    """
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if not isinstance(value, str) or _DATA_URL.match(value):
        return None
    url = _SCHEME.match(value)
    if url is None or url[1].lower() == "file":
        return value
    parts = urlsplit(value.strip())
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _from_string(text: str, policy: SourcePolicy, media: str) -> Source:
    if _DATA_URL.match(text):
        return _bytes(_data_url(text.strip(), media), media)
    if _FILE_URL.match(text):
        return _file(_path_of_url(text.strip()))
    url = _SCHEME.match(text)
    if url is None:
        return _file(text)
    scheme = url[1].lower()
    if scheme not in {"http", "https"}:
        raise InvalidInputError(f"a {scheme}: URL is not read; file:, data:, http: and https: URLs are")
    if not policy.allow_urls:
        raise InvalidInputError("URLs are not fetched unless the embedder is made with allow_urls=True")
    from llm_multi_core.embedder.inputs.urls import fetch

    return _bytes(fetch(text.strip(), max_bytes=policy.max_bytes, timeout=policy.timeout), media)


def _bytes(data: bytes, media: str) -> Source:
    if not data:
        raise InvalidInputError(f"the {media} is empty")
    return Source(f"the {media}", data=data)


def _file(name: str) -> Source:
    shown = repr(name[:200])
    try:
        path = Path(name).expanduser()
        state = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidInputError(f"no such file: {shown}") from None
    except OSError as error:
        raise InvalidInputError(f"the file cannot be read: {error.strerror}: {shown}") from None
    except (ValueError, RuntimeError) as error:  # a null character; the home of an unknown user
        raise InvalidInputError(f"not the path of a file ({error}): {shown}") from None
    if not stat.S_ISREG(state.st_mode):
        raise InvalidInputError(f"{'a folder' if path.is_dir() else 'not a regular file'}: {shown}")
    if state.st_size == 0:
        raise InvalidInputError(f"{path.name!r} is empty")
    return Source(repr(path.name), path=path, stamp=_stamp(state))


def _stamp(state: os.stat_result) -> tuple[int, int]:
    return state.st_size, state.st_mtime_ns


def _path_of_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidInputError("the file: URL is malformed") from None
    if parts.netloc not in {"", "localhost"}:
        raise InvalidInputError("a file: URL that names a host is not read")
    from urllib.request import url2pathname  # it brings http, email and ssl along

    return url2pathname(parts.path)


def _read_file_object(file: Any, max_bytes: int, media: str) -> bytes:
    if isinstance(file, io.TextIOBase):
        raise InvalidInputError("the file object is open in text mode; open it with mode 'rb'")
    try:
        place = _rewind(file)
        try:
            return _read_all(file, max_bytes, media)
        finally:
            if place is not None:
                file.seek(place)
    except InvalidInputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: it is closed, or decodes to text
        raise InvalidInputError(f"the file object cannot be read ({error})") from None


def _rewind(file: Any) -> int | None:
    """Go to the beginning, where that is possible; the place that the file was at."""
    if not all(callable(getattr(file, name, None)) for name in ("seek", "tell", "seekable")) or not file.seekable():
        return None
    place: int = file.tell()
    file.seek(0)
    return place


def _read_all(file: Any, max_bytes: int, media: str) -> bytes:
    blocks: list[bytes] = []
    size = 0
    while block := file.read(max_bytes + 1 - size):  # unbuffered files may give less than asked for
        if iscoroutine(block):
            block.close()
            raise InvalidInputError("the file object is asynchronous; pass the bytes: await file.read()")
        if not isinstance(block, bytes | bytearray | memoryview):
            raise InvalidInputError("the file object is open in text mode; open it with mode 'rb'")
        blocks.append(bytes(block))
        size += len(block)
        if size > max_bytes:
            raise InvalidInputError(f"the {media} is larger than {max_bytes} bytes")
    return b"".join(blocks)


def _data_url(text: str, media: str) -> bytes:
    import base64
    import binascii

    header, comma, body = text.partition(",")
    if not comma:
        raise InvalidInputError("the data: URL has no comma, so no content")
    kind = header[5:].partition(";")[0].strip().lower()
    if kind and not kind.startswith((f"{media}/", "application/")):
        raise InvalidInputError(f"the data: URL holds {kind[:40]}, not {media} data")
    raw = unquote_to_bytes(body)
    if not header.lower().replace(" ", "").endswith(";base64"):
        return raw
    packed = b"".join(raw.split()).rstrip(b"=")  # as browsers do, line breaks and missing padding are forgiven
    try:
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except binascii.Error:
        raise InvalidInputError("the data: URL is not valid base64") from None
