"""`MediaRecord`: what an entry of an index shows, as plain data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from pathlib import PurePath
from typing import Any
from uuid import UUID

from llm_multi_core.embedder.items import Modality, Span

_REFERENCE = re.compile(r"\[(image|audio|page \d+ of) [^\0]+\] sha256:[0-9a-f]{64}(#page=\d+|#t=\d+,\d+)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class MediaRecord:
    """A picture, a recording, a window of one, or a page of a PDF.

    Attributes:
        modality: what it is embedded as.
        mime_type: of the file, such as `"image/jpeg"`.
        source: the file's path.
        sha256: of the file's bytes, in hexadecimal.
        start_ms: where a window of a recording begins.
        end_ms: where it ends.
        page: the number of a page, from 1.
    """

    modality: Modality
    mime_type: str
    source: str
    sha256: str
    start_ms: int | None = None
    end_ms: int | None = None
    page: int | None = None

    @property
    def title(self) -> str:
        """What a reader is told: `"image cat.jpg"`, `"audio talk.mp3 0:30-1:00"`, `"page 3 of report.pdf"`."""
        name = PurePath(self.source).name
        if self.page is not None:
            return f"page {self.page} of {name}"
        if self.start_ms is not None and self.end_ms is not None:
            return f"{self.modality} {name} {_clock(self.start_ms)}-{_clock(self.end_ms)}"
        return f"{self.modality} {name}"

    @property
    def reference(self) -> str:
        """The text that stands for it in a store: its title and its content's hash, so that no two collide."""
        part = ""
        if self.page is not None:
            part = f"#page={self.page}"
        elif self.start_ms is not None:
            part = f"#t={self.start_ms},{self.end_ms}"
        return f"[{self.title}] sha256:{self.sha256}{part}"

    @property
    def span(self) -> Span | None:
        """Where in its source it lies; `None` for the whole."""
        if self.page is not None:
            return Span("page", self.page, self.page, self.source)
        if self.start_ms is not None and self.end_ms is not None:
            return Span("time", self.start_ms, self.end_ms, self.source)
        return None

    def to_metadata(self) -> dict[str, str | int]:
        """Flat metadata for a store: only strings and whole numbers, and no key without a value."""
        values = {
            "modality": str(self.modality),
            "mime_type": self.mime_type,
            "source": self.source,
            "sha256": self.sha256,
            "start_ms": self.start_ms,
            "end_ms": self.end_ms,
            "page": self.page,
        }
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> MediaRecord | None:
        """The record that metadata holds; `None` if it is that of a text or of something else."""
        modality = metadata.get("modality")
        if modality not in (Modality.IMAGE, Modality.AUDIO) or not metadata.get("sha256") or not metadata.get("source"):
            return None
        numbers = {name: _whole(metadata.get(name)) for name in ("start_ms", "end_ms", "page")}
        return cls(
            Modality(modality),
            str(metadata.get("mime_type") or ""),
            str(metadata["source"]),
            str(metadata["sha256"]),
            **numbers,
        )


def looks_like_reference(text: str) -> bool:
    """Whether a text has the form of a record's reference; only a library knows whether it is one."""
    return text.startswith("[") and _REFERENCE.fullmatch(text) is not None


def text_metadata(text: str, source: str, mime_type: str = "text/plain") -> dict[str, str]:
    """The metadata of an entry that is a text, beside those of media.

    The hash is that of the text itself and not of its file, so that a change elsewhere in the file leaves
    the entry as it is.
    """
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return {"modality": str(Modality.TEXT), "mime_type": mime_type, "source": source, "sha256": digest}


NUMBERS = ("start_ms", "end_ms", "page")
"""Metadata that only some entries have."""


def uniform_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata with every number that any entry has, -1 where there is none.

    For stores that fix their columns with the first entries that they are given, as LanceDB does.
    """
    return {**dict.fromkeys(NUMBERS, -1), **metadata}


def entry_id(*parts: str | int | None) -> str:
    """An id that follows from what an entry is, as a UUID, which every store takes.

    Args:
        parts: what tells it apart, such as its source, its hash and its span.
    """
    digest = sha256(json.dumps(parts, separators=(",", ":")).encode()).digest()
    return str(UUID(bytes=digest[:16], version=5))


def _whole(value: Any) -> int | None:
    # Some stores give whole numbers back as floats, and some want a number where there is none: it is negative.
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if number and isfinite(value) and value >= 0 else None


def _clock(milliseconds: int) -> str:
    seconds = round(milliseconds / 1000)
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"
