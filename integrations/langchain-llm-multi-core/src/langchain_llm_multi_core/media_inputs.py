"""What LangChain's users have of media (blobs, documents, references, bytes) as inputs of an embedder.

Only what a library has registered is opened for a text or a document. What the host knows anyway,
such as PIL images, arrays and `Image`, passes through.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from typing import Any, Self
from uuid import uuid4

from langchain_core.documents import Document
from langchain_core.documents.base import Blob

from llm_multi_core.embedder import Audio, EmbedderWarning, Image, InvalidInputError, Item, Modality, Text
from llm_multi_core.embedder.inputs.shapes import require_many
from llm_multi_core.embedder.media import (
    MediaLibrary,
    MediaRecord,
    is_text_type,
    looks_like_reference,
    mime_type_of,
    mime_type_of_bytes,
)

MediaInput = Any
"""A `Blob`, `Document` or `MediaRecord`, bytes, a path, a PIL image, an array, `Text`, `Image`, `Audio` or an item."""


class UnregisteredReferenceWarning(EmbedderWarning):
    """A text has the form of a media reference that the library does not know, and is embedded as a text."""


class MediaQuery(str):
    """A picture or sound as a query, for code that takes queries to be strings: stores, retrievers, chains.

    `embed_query` embeds what it carries. As a string it is a short name, which is all that traces and logs see.

    Args:
        media: what `embed_media_query` takes.
        name: the string; by default the file's name, or the kind of input, and a number that no other query
            has, so that what remembers queries by their words does not confuse two.

    Attributes:
        media: the picture or sound.
    """

    __slots__ = ("media",)
    media: MediaInput

    def __new__(cls, media: MediaInput, name: str | None = None) -> Self:
        """A string that carries media."""
        made = super().__new__(cls, name if name is not None else f"[{_name_of(media)}] {uuid4().hex[:12]}")
        made.media = media
        return made

    def __reduce__(self) -> tuple[type[Self], tuple[MediaInput, str]]:
        return type(self), (self.media, str(self))


def text_inputs(texts: Iterable[str], library: MediaLibrary) -> list[Text | Item]:
    """Texts as texts, and references that are registered as the media that they stand for.

    Raises:
        InvalidInputError: if it is no list of texts, or naming the first reference whose file is gone or changed.
    """
    require_many(texts, Modality.TEXT, isinstance(texts, str | bytes | Text | Image | Audio | Item))
    inputs: list[Text | Item] = []
    unknown: list[int] = []
    for index, text in enumerate(texts):
        record = library.find(text) if isinstance(text, str) else None
        if record is not None:
            try:
                inputs.append(library.item(record))
            except InvalidInputError as error:
                raise error.at(index) from error.__cause__
            continue
        if isinstance(text, str) and looks_like_reference(text):
            unknown.append(index)
        inputs.append(Text(text))
    if unknown:
        warnings.warn(
            f"{len(unknown)} texts have the form of a media reference that the library does not know (first at input "
            f"{unknown[0]}), and are embedded as texts. Register what they stand for: library.register(records).",
            UnregisteredReferenceWarning,
            stacklevel=3,
        )
    return inputs


def media_inputs(media: Iterable[MediaInput], library: MediaLibrary) -> list[Any]:
    """Inputs for an embedder, one for each.

    Raises:
        InvalidInputError: naming the first that is none, or that the library does not know.
    """
    require_many(media, Modality.IMAGE, isinstance(media, str | bytes | Blob | Document | Text | Image | Audio | Item))
    inputs = []
    for index, value in enumerate(media):
        try:
            inputs.append(media_input(value, library))
        except InvalidInputError as error:
            raise error.at(index) from error.__cause__
    return inputs


def media_input(value: MediaInput, library: MediaLibrary) -> Any:
    """One input for an embedder.

    Raises:
        InvalidInputError: if it is none, or a document or record of media that the library does not know.
    """
    if isinstance(value, MediaQuery):
        return media_input(value.media, library)
    if isinstance(value, str):
        record = library.find(value)
        if record is None:
            raise InvalidInputError("a string is a text and no media; wrap a path: Path(...), Image(...) or Audio(...)")
        return library.item(record)
    if isinstance(value, Document):
        return _of_document(value, library)
    if isinstance(value, MediaRecord):
        return library.item(registered(value, library))
    if isinstance(value, Blob):
        return _of_blob(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return _of_bytes(bytes(value), mime_type_of_bytes(bytes(value)), "bytes")
    return value


def registered(record: MediaRecord, library: MediaLibrary) -> MediaRecord:
    """The record, as the library knows it.

    Raises:
        InvalidInputError: if it does not.
    """
    known = library.find(record.reference)
    if known is None:
        raise InvalidInputError(
            f"{record.title} is not registered in this library; add its file, or register the records of the store's "
            "documents: library.register(media_records(documents))"
        )
    return known


def _of_document(document: Document, library: MediaLibrary) -> Any:
    record = MediaRecord.from_metadata(document.metadata)
    return Text(document.page_content) if record is None else library.item(registered(record, library))


def _of_blob(blob: Blob) -> Any:
    mime_type = blob.mimetype or (mime_type_of(blob.path) if blob.path is not None else None)
    if mime_type is not None and is_text_type(mime_type):
        return Text(blob.as_string())
    if isinstance(blob.data, str):
        if mime_type is None:
            return Text(blob.data)
        raise InvalidInputError(f"a blob of {mime_type} holds bytes or has a path, and this one holds a string")
    if blob.data is None and mime_type is not None and blob.path is not None:
        return _of_media(os.fspath(blob.path), mime_type)
    data = blob.as_bytes()
    return _of_bytes(data, mime_type or mime_type_of_bytes(data), "the blob")


def _of_bytes(data: bytes, mime_type: str | None, name: str) -> Any:
    if mime_type is None:
        raise InvalidInputError(f"{name} do not say what they hold; wrap them: Image(data) or Audio(data)")
    return _of_media(data, mime_type)


def _of_media(value: Any, mime_type: str) -> Any:
    if mime_type.startswith("image/"):
        return Image(value)
    if mime_type.startswith("audio/"):
        return Audio(value)
    if mime_type == "application/pdf":
        raise InvalidInputError("a PDF is several pictures; add it to the library, and embed its records")
    raise InvalidInputError(f"{mime_type!r} is neither a text nor an image nor a recording")


def _name_of(media: MediaInput) -> str:
    value = getattr(media, "value", media)
    if isinstance(media, MediaRecord):
        return media.title
    if isinstance(value, os.PathLike | str) and not str(value).startswith("data:"):
        return os.path.basename(os.fspath(value)) or "media"  # noqa: PTH119 - URLs have one as well
    if isinstance(value, Blob) and value.path is not None:
        return os.path.basename(os.fspath(value.path))  # noqa: PTH119
    return {Image: "image", Audio: "audio"}.get(type(media), type(value).__name__.lower())
