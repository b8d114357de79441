"""Sources that become several items: the pages of a PDF, the windows of a long recording; and items of several parts.

Each item carries the span of its source that it shows, so that results can cite it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.inputs.audio import AudioSource, audio_item
from llm_multi_core.embedder.inputs.image import image_item
from llm_multi_core.embedder.inputs.libraries import require
from llm_multi_core.embedder.inputs.mixed import mixed_item
from llm_multi_core.embedder.inputs.sources import SourcePolicy, find_source
from llm_multi_core.embedder.items import DIGEST_SIZE, Item, Modality, Span

PAGE_SIDE = 1536
"""Pixels of the longer side of a rendered page: text of a printed page stays legible to a vision model."""
WINDOW_SECONDS, OVERLAP_SECONDS = 30.0, 5.0
"""Windows of a long recording, and by how much each begins before the one before it ends."""


def pdf_pages(source: Any, *, longest_side: int = PAGE_SIDE, policy: SourcePolicy | None = None) -> Iterator[Item]:
    """The pages of a PDF as images, one after the other, each with its page number (from 1) as span.

    Args:
        source: a path, a `file:`, `data:` or (if allowed) `http(s):` URL, bytes, or a binary file.
        longest_side: pixels of a page's longer side.
        policy: what references may lead to.

    Raises:
        InvalidInputError: if it is no PDF, is damaged, or needs a password.
        FrameworkUnavailableError: if pypdfium2 is not installed.
    """
    name = _name_of(source)
    with _opened_pdf(source, policy) as (document, label):
        for number in range(1, len(document) + 1):
            yield _page(document, number, longest_side, label, name)


def pdf_page(source: Any, number: int, *, longest_side: int = PAGE_SIDE, policy: SourcePolicy | None = None) -> Item:
    """One page of a PDF as an image, by its number from 1; otherwise as `pdf_pages`."""
    with _opened_pdf(source, policy) as (document, label):
        if not 1 <= number <= len(document):
            raise InvalidInputError(f"{label} has {len(document)} pages, and no page {number}")
        return _page(document, number, longest_side, label, _name_of(source))


def pdf_page_count(source: Any, *, policy: SourcePolicy | None = None) -> int:
    """How many pages a PDF has; errors as of `pdf_pages`."""
    with _opened_pdf(source, policy) as (document, _):
        return len(document)


def audio_windows(
    source: Any,
    *,
    seconds: float = WINDOW_SECONDS,
    overlap: float = OVERLAP_SECONDS,
    sample_rate: int | None = None,
    policy: SourcePolicy | None = None,
) -> list[Item]:
    """A recording in overlapping windows, each with its start and end in milliseconds as span.

    One that is no longer than a window stays whole. The last window ends with the recording and is as
    long as the others.

    Args:
        source: what an audio embedder takes.
        seconds: length of a window.
        overlap: seconds that a window shares with the one before it.
        sample_rate: the rate in Hz of a bare array.
        policy: what references may lead to.

    Raises:
        InvalidInputError: if it cannot be read, or the windows cannot advance.
    """
    if not 0 <= overlap < seconds:
        raise InvalidInputError(f"windows of {seconds:g} s cannot overlap by {overlap:g} s")
    whole = audio_item(source, sample_rate, policy)
    sound: AudioSource = whole.parts[0].payload
    name = _name_of(source)
    if sound.seconds <= seconds:
        return [replace(whole, span=_time_span(0.0, sound.seconds, name))]
    starts = [0.0]
    while starts[-1] + seconds < sound.seconds:
        starts.append(min(starts[-1] + seconds - overlap, sound.seconds - seconds))
    return [_stretch(whole, start, start + seconds, name) for start in starts]


def interleaved(*parts: Any, policy: SourcePolicy | None = None) -> Item:
    """One item of several parts, text and media in the order in which they are given.

    Args:
        parts: what a multimodal embedder takes.
        policy: what references may lead to.

    Raises:
        InvalidInputError: for fewer than two parts, or one that cannot be read.
    """
    if len(parts) < 2:
        raise InvalidInputError("an interleaved item has at least two parts")
    items = [mixed_item(part, policy or SourcePolicy()) for part in parts]
    return Item(tuple(part for item in items for part in item.parts))


def segments(
    source: Any,
    *,
    seconds: float = WINDOW_SECONDS,
    overlap: float = OVERLAP_SECONDS,
    policy: SourcePolicy | None = None,
) -> list[Item]:
    """The items that a source of any kind becomes: pages of a PDF, windows of a long recording, else itself.

    Args:
        source: what a multimodal embedder takes, or the path of a PDF.
        seconds: length of a window of a recording.
        overlap: by how much windows overlap.
        policy: what references may lead to.

    Raises:
        InvalidInputError: if it cannot be read.
    """
    if is_pdf(source):
        return list(pdf_pages(source, policy=policy))
    item = mixed_item(source, policy or SourcePolicy())
    if item.signature == (Modality.AUDIO,):
        sound: AudioSource = item.parts[0].payload
        if sound.seconds > seconds:
            value = getattr(source, "value", source)
            return audio_windows(value, seconds=seconds, overlap=overlap, policy=policy)
    return [item]


def is_pdf(source: Any) -> bool:
    """Whether a string or path names a PDF file that exists."""
    if not isinstance(source, str | os.PathLike):
        return False
    name = os.fspath(source)
    return isinstance(name, str) and name.lower().endswith(".pdf") and "\0" not in name and Path(name).is_file()


@contextmanager
def _opened_pdf(source: Any, policy: SourcePolicy | None) -> Iterator[tuple[Any, str]]:
    """The document of a PDF, and how messages name it."""
    require("pypdfium2", "pdf")
    import pypdfium2

    found = find_source(source, policy or SourcePolicy(), "application")
    if found is None:
        raise InvalidInputError(f"a PDF is a path, a URL, bytes or a file object, not {type(source).__name__}")
    try:
        document = pypdfium2.PdfDocument(found.read())
    except pypdfium2.PdfiumError as error:
        raise InvalidInputError(f"{found.name} is not a PDF that can be read ({error})") from None
    try:
        yield document, found.name
    finally:
        document.close()


def _page(document: Any, number: int, longest_side: int, label: str, name: str | None) -> Item:
    """A page, by its number from 1, as an image item."""
    import pypdfium2

    try:
        page = document[number - 1]
        picture = page.render(scale=longest_side / max(page.get_size())).to_pil()
        page.close()
    except pypdfium2.PdfiumError as error:
        raise InvalidInputError(f"page {number} of {label} is damaged ({error})") from None
    return replace(image_item(picture), span=Span("page", number, number, name))


def _stretch(whole: Item, start: float, end: float, name: str | None) -> Item:
    (part,) = whole.parts
    piece = part.payload.stretch(start, end)
    digest = blake2b(part.digest + f"{piece.start!r}:{piece.end!r}".encode(), digest_size=DIGEST_SIZE, person=b"audio")
    stretched = replace(part, payload=piece, digest=digest.digest())
    return replace(whole, parts=(stretched,), span=_time_span(piece.start, piece.end, name))


def _time_span(start: float, end: float, name: str | None) -> Span:
    return Span("time", round(start * 1000), round(end * 1000), name)


def _name_of(source: Any) -> str | None:
    return os.fspath(source) if isinstance(source, os.PathLike) else source if isinstance(source, str) else None
