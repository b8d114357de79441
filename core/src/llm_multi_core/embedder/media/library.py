"""`MediaLibrary`: which references stand for which media, and where their bytes are.

Only what was registered is ever opened: a text that merely looks like a reference, a path or a URL is
a text. Bytes without a file are kept in a folder of the library's, under their hash.
"""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import Any

from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.inputs.audio import AudioSource
from llm_multi_core.embedder.inputs.compound import OVERLAP_SECONDS, WINDOW_SECONDS, audio_windows
from llm_multi_core.embedder.inputs.image import image_item
from llm_multi_core.embedder.inputs.mixed import suffix_modality
from llm_multi_core.embedder.inputs.pdf import pdf_page, pdf_page_count
from llm_multi_core.embedder.items import Item, Modality
from llm_multi_core.embedder.media.files import mime_type_of, sha256_of
from llm_multi_core.embedder.media.records import MediaRecord

_SUFFIXES = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "audio/wav": ".wav",
    "audio/mpeg": ".mp3",
}
_PDF = "application/pdf"
_RECORDINGS = 64
"""Recordings whose windows are remembered, so that a long one is not read again for each of them."""

_Windows = dict[tuple[int, int], Item]
"""By start and end in milliseconds."""


class MediaLibrary:
    """Media by reference.

    Args:
        path: a file in which the records are kept (one JSON object a line), so that another process finds
            them again; by default they are kept in memory only.
        blobs: a folder for media that are added as bytes.
        window_seconds: recordings longer than this become windows.
        overlap_seconds: by how much windows overlap.

    Raises:
        InvalidInputError: if the file is there and is not one of a library.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        blobs: str | os.PathLike[str] | None = None,
        window_seconds: float = WINDOW_SECONDS,
        overlap_seconds: float = OVERLAP_SECONDS,
    ) -> None:
        self._path = None if path is None else Path(os.fspath(path)).expanduser()
        self._blobs = None if blobs is None else Path(os.fspath(blobs)).expanduser()
        self.window_seconds = window_seconds
        self.overlap_seconds = overlap_seconds
        self._lock = threading.Lock()
        self._records: dict[str, MediaRecord] = {}
        self._verified: dict[str, tuple[int, int, str]] = {}  # by path: size, time of change, hash
        self._windows: OrderedDict[tuple[str, str], _Windows] = OrderedDict()  # by path and hash
        if self._path is not None and self._path.exists():
            self._read(self._path)

    # Registering.

    def add(self, path: str | os.PathLike[str], modality: Modality | str | None = None) -> list[MediaRecord]:
        """Register a file: a picture, a recording (in windows if it is long), or a PDF (a picture a page).

        If the file was registered with other content, that is forgotten.

        Args:
            path: the file.
            modality: what it is, where its suffix does not say.

        Raises:
            InvalidInputError: if it is missing, is none of these, or cannot be read.
        """
        file = Path(os.fspath(path)).expanduser()
        if not file.is_file():
            raise InvalidInputError(f"no such file: {os.fspath(path)!r}")
        mime_type = mime_type_of(file)
        kind = Modality(modality) if modality is not None else suffix_modality(file)
        if kind is None and mime_type == _PDF:
            kind = Modality.IMAGE
        if kind not in (Modality.IMAGE, Modality.AUDIO):
            raise InvalidInputError(f"{file.name!r} is neither an image, a recording nor a PDF by its suffix")
        records = list(self._records_of(file, kind, mime_type))
        self._forget_earlier(records[0])
        self._register(records)
        return records

    def add_bytes(self, data: bytes, mime_type: str, name: str = "") -> list[MediaRecord]:
        """Register a file that is at hand as bytes; it is kept in the folder for blobs.

        Args:
            data: the bytes of a picture, recording or PDF.
            mime_type: what they are.
            name: what the file is called; by default its hash.

        Raises:
            InvalidInputError: if there is no folder for blobs, or they cannot be read.
        """
        if self._blobs is None:
            raise InvalidInputError("media without a file need a folder: make the library with blobs=")
        if mime_type != _PDF and mime_type.partition("/")[0] not in ("image", "audio"):
            raise InvalidInputError(f"{mime_type!r} is neither an image, a recording nor a PDF")
        suffix = Path(name).suffix or _SUFFIXES.get(mime_type) or f".{mime_type.rpartition('/')[2]}"
        self._blobs.mkdir(parents=True, exist_ok=True)
        file = self._blobs / f"{sha256(data).hexdigest()}{suffix}"
        if not file.exists():
            partial = file.with_name(f"{file.name}.{os.getpid()}.{threading.get_ident()}.part")
            partial.write_bytes(data)
            partial.replace(file)
        kind = Modality.AUDIO if mime_type.startswith("audio/") else Modality.IMAGE
        records = list(self._records_of(file, kind, mime_type))
        self._register(records)
        return records

    def register(self, records: Iterable[MediaRecord]) -> None:
        """Register records that a store holds already, so that their references are known here."""
        self._register(list(records))

    def remove(self, record: MediaRecord) -> None:
        """Forget a record. Its file stays."""
        with self._lock:
            self._records.pop(record.reference, None)
            self._rewrite()

    # Finding.

    def find(self, reference: str) -> MediaRecord | None:
        """The record that a text stands for, if it is registered; nothing is opened."""
        return self._records.get(reference)

    def __contains__(self, reference: object) -> bool:
        return reference in self._records

    def __iter__(self) -> Iterator[MediaRecord]:
        return iter(list(self._records.values()))

    def __len__(self) -> int:
        return len(self._records)

    def file(self, record: MediaRecord) -> Path:
        """The file of a record.

        Raises:
            InvalidInputError: if it is gone, or no longer holds what was registered.
        """
        file = Path(record.source)
        try:
            state = file.stat()
        except OSError as error:
            raise InvalidInputError(f"{record.title}: {file.name!r} cannot be found ({error.strerror})") from None
        stamp = (state.st_size, state.st_mtime_ns)
        with self._lock:
            known = self._verified.get(record.source)
        if known is None or known[:2] != stamp:
            known = (*stamp, sha256_of(file))
            with self._lock:
                self._verified[record.source] = known
        if known[2] != record.sha256:
            raise InvalidInputError(f"{record.title}: {file.name!r} was changed since it was registered; add it again")
        return file

    def item(self, record: MediaRecord) -> Item:
        """What an embedder takes, with its span.

        Raises:
            InvalidInputError: as `file`, or if it cannot be read.
        """
        file = self.file(record)
        if record.page is not None:
            return pdf_page(file, record.page)
        if record.modality is Modality.IMAGE:
            return image_item(file)
        windows = self._windows_of(file, record.sha256)
        if record.start_ms is None or record.end_ms is None:
            whole = list(windows.values()) if len(windows) == 1 else audio_windows(file, seconds=inf, overlap=0.0)
            return whole[0]
        return windows.get((record.start_ms, record.end_ms)) or _stretch(file, record)

    # How it is done.

    def _records_of(self, file: Path, kind: Modality, mime_type: str) -> Iterator[MediaRecord]:
        source, digest = str(file), sha256_of(file)
        if mime_type == _PDF:
            for page in range(1, pdf_page_count(file) + 1):
                yield MediaRecord(Modality.IMAGE, mime_type, source, digest, page=page)
        elif kind is Modality.IMAGE:
            image_item(file)  # what cannot be read is refused now, and not when it is to be embedded
            yield MediaRecord(kind, mime_type, source, digest)
        else:
            windows = self._windows_of(file, digest)
            for span in windows if len(windows) > 1 else [(None, None)]:
                yield MediaRecord(kind, mime_type, source, digest, *span)

    def _windows_of(self, file: Path, digest: str) -> _Windows:
        key = (str(file), digest)
        with self._lock:
            if key in self._windows:
                self._windows.move_to_end(key)
                return self._windows[key]
        items = audio_windows(file, seconds=self.window_seconds, overlap=self.overlap_seconds)
        windows = {(item.span.start, item.span.end): item for item in items if item.span is not None}
        with self._lock:
            self._windows[key] = windows
            while len(self._windows) > _RECORDINGS:
                self._windows.popitem(last=False)
        return windows

    def _forget_earlier(self, record: MediaRecord) -> None:
        """Forget what a record's file held before."""
        with self._lock:
            outdated = [
                reference
                for reference, known in self._records.items()
                if known.source == record.source and known.sha256 != record.sha256
            ]
            for reference in outdated:
                del self._records[reference]
            if outdated:
                self._rewrite()

    def _register(self, records: list[MediaRecord]) -> None:
        with self._lock:
            fresh = [record for record in records if self._records.get(record.reference) != record]
            self._records.update((record.reference, record) for record in fresh)
            if self._path is not None and fresh:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(record.to_metadata()) + "\n" for record in fresh)

    def _read(self, path: Path) -> None:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                content: Any = json.loads(line)
                record = MediaRecord.from_metadata(content) if isinstance(content, Mapping) else None
            except ValueError:
                record = None
            if record is None:
                raise InvalidInputError(f"{path.name!r} is not the file of a media library (line {number})")
            self._records[record.reference] = record

    def _rewrite(self) -> None:
        if self._path is None:
            return
        partial = self._path.with_name(f"{self._path.name}.part")
        with partial.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(record.to_metadata()) + "\n" for record in self._records.values())
        partial.replace(self._path)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_lock", "_windows")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()
        self._windows = OrderedDict()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} records)"


def _stretch(file: Path, record: MediaRecord) -> Item:
    """A window that was registered with other lengths than the library's own."""
    from dataclasses import replace

    assert record.start_ms is not None and record.end_ms is not None  # noqa: S101, PT018 - of a window both are set
    (whole,) = audio_windows(file, seconds=inf, overlap=0.0)
    (part,) = whole.parts
    sound: AudioSource = part.payload
    piece = sound.stretch(record.start_ms / 1000, record.end_ms / 1000)
    digest = sha256(part.digest + record.reference.encode()).digest()[: len(part.digest)]
    return replace(whole, parts=(replace(part, payload=piece, digest=digest),), span=record.span)
