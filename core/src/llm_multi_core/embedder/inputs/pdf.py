"""The pages of PDF files as images. Text in them is seen, not read: text extraction is for document loaders."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.inputs.image import ImageSource, image_item
from llm_multi_core.embedder.inputs.libraries import require
from llm_multi_core.embedder.inputs.sources import Source, SourcePolicy, find_source, name_of
from llm_multi_core.embedder.items import Item, Span

if TYPE_CHECKING:
    from PIL.Image import Image

PAGE_SIDE = 1536
"""Pixels of the longer side of a rendered page: text of a printed page stays legible to a vision model."""

_COMPRESSION = 1
"""Of the PNG that a page is kept as: pages are mostly white, and any more takes longer than rendering."""


class _Turns:
    """Whose turn it is. PDFium must not be called by two threads at once, whatever the documents."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self.lock = threading.Lock()


_turns = _Turns()


def pdf_pages(source: Any, *, longest_side: int = PAGE_SIDE, policy: SourcePolicy | None = None) -> Iterator[Item]:
    """The pages of a PDF as images, one after the other, each with its page number (from 1) as span.

    Pages are rendered as they are asked for, on white, with what is filled into forms, and lie in memory
    compressed, without loss.

    Args:
        source: a path, a `file:`, `data:` or (if allowed) `http(s):` URL, bytes, or a binary file.
        longest_side: pixels of a page's longer side.
        policy: what references may lead to.

    Raises:
        InvalidInputError: if it is no PDF, is damaged, or needs a password.
        FrameworkUnavailableError: if pypdfium2 is not installed.
    """
    with _opened(source, policy) as document:
        for number in range(1, document.pages + 1):
            yield document.page(number, longest_side)


def pdf_page(source: Any, number: int, *, longest_side: int = PAGE_SIDE, policy: SourcePolicy | None = None) -> Item:
    """One page of a PDF as an image, by its number from 1; otherwise as `pdf_pages`."""
    with _opened(source, policy) as document:
        if not 1 <= number <= document.pages:
            raise InvalidInputError(f"{document.label} has {document.pages} page(s), and no page {number}")
        return document.page(number, longest_side)


def pdf_page_count(source: Any, *, policy: SourcePolicy | None = None) -> int:
    """How many pages a PDF has; errors as of `pdf_pages`."""
    with _opened(source, policy) as document:
        return document.pages


class _Document:
    """An open PDF. PDFium is called under the lock only.

    Attributes:
        label: how messages name it.
        pages: how many it has.
    """

    def __init__(self, source: Source, name: str | None) -> None:
        import pypdfium2

        self.label = source.name
        self._name = name
        content: Any = source.read() if source.path is None else source.path
        with _turns.lock:
            try:
                self._document = pypdfium2.PdfDocument(content)
            except pypdfium2.PdfiumError as error:
                locked = "password" in str(error).lower()
                reason = "needs a password; save it without one" if locked else f"is no PDF that can be read ({error})"
                raise InvalidInputError(f"{self.label} {reason}") from None
            self._document.init_forms()
            self.pages = len(self._document)

    def page(self, number: int, longest_side: int) -> Item:
        """A page as an image, by its number from 1."""
        item = _as_item(self._render(number, longest_side), f"page {number} of {self.label}")
        return replace(item, span=Span("page", number, number, self._name))

    def close(self) -> None:
        with _turns.lock:
            self._document.close()

    def _render(self, number: int, longest_side: int) -> Image:
        import pypdfium2

        with _turns.lock:
            try:
                page = self._document[number - 1]
                try:
                    bitmap = page.render(scale=longest_side / max(page.get_size()))
                    picture: Image = bitmap.to_pil().convert("RGB").copy()  # of its own memory: the bitmap is freed
                    bitmap.close()
                finally:
                    page.close()
            except (pypdfium2.PdfiumError, ValueError, ZeroDivisionError) as error:
                raise InvalidInputError(f"page {number} of {self.label} is damaged ({error})") from None
        return picture


@contextmanager
def _opened(source: Any, policy: SourcePolicy | None) -> Iterator[_Document]:
    require("pypdfium2", "pdf")
    found = find_source(source, policy or SourcePolicy(), "PDF")
    if found is None:
        raise InvalidInputError(f"a PDF is a path, a URL, bytes or a file object, not {type(source).__name__}")
    document = _Document(found, name_of(source))
    try:
        yield document
    finally:
        document.close()


def _as_item(picture: Image, label: str) -> Item:
    """An item that is told apart by its pixels, whatever wrote the PNG that it is kept as."""
    (part,) = image_item(picture).parts
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=_COMPRESSION)
    return Item((replace(part, payload=ImageSource(Source(label, data=file.getvalue()), picture.size, "PNG")),))
