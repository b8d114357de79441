"""`MediaBlobParser`: LangChain's blobs of any kind as documents."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from langchain_core.document_loaders import BaseBlobParser
from langchain_core.documents import BaseDocumentTransformer, Document
from langchain_core.documents.base import Blob

from langchain_llm_multi_core.documents import documents_of
from llm_multi_core.embedder import InvalidInputError, Modality
from llm_multi_core.embedder.media import FileContent, MediaLibrary, is_text_type, mime_type_of, mime_type_of_bytes


class MediaBlobParser(BaseBlobParser):
    """Makes documents of blobs: a picture is one, a recording one a window, a PDF one a page, a text its pieces.

    Media are registered in the library under a reference, which is the document's text. Blobs that have a
    path stay where they are; bytes are kept in the library's folder for blobs. The blob's metadata go into
    the documents.

    Example:
        ```python
        parser = MediaBlobParser(embeddings.library)
        documents = parser.parse(Blob.from_path("talk.mp3"))
        ```

    Args:
        library: where media are registered; the embeddings' own.
        text_splitter: cuts texts into pieces, such as a `RecursiveCharacterTextSplitter`.
        uniform_metadata: give every document the keys of all modalities, with `-1` for a page or time that it
            has not. For stores with a fixed set of columns, such as LanceDB.
    """

    def __init__(
        self,
        library: MediaLibrary,
        *,
        text_splitter: BaseDocumentTransformer | None = None,
        uniform_metadata: bool = False,
    ) -> None:
        self.library = library
        self.text_splitter = text_splitter
        self.uniform_metadata = uniform_metadata

    def lazy_parse(self, blob: Blob) -> Iterator[Document]:
        """The documents of a blob, one after the other.

        Raises:
            InvalidInputError: if it is neither a text, an image, a recording nor a PDF, or cannot be read.
        """
        yield from documents_of(
            self._content(blob),
            text_splitter=self.text_splitter,
            metadata=blob.metadata,
            uniform_metadata=self.uniform_metadata,
        )

    def _content(self, blob: Blob) -> FileContent:
        name = os.fspath(blob.path) if blob.path is not None else str(blob.source or "")
        mime_type = _mime_type(blob)
        if is_text_type(mime_type):
            return FileContent(Path(name), mime_type, text=_text(blob, name))
        if blob.data is None and blob.path is not None:
            modality = Modality.AUDIO if mime_type.startswith("audio/") else Modality.IMAGE
            return FileContent(Path(name), mime_type, records=tuple(self.library.add(blob.path, modality)))
        if isinstance(blob.data, str):
            raise InvalidInputError(f"a blob of {mime_type} holds bytes or has a path, and this one holds a string")
        return FileContent(
            Path(name), mime_type, records=tuple(self.library.add_bytes(blob.as_bytes(), mime_type, Path(name).name))
        )


def _mime_type(blob: Blob) -> str:
    """What a blob says that it is, or its path does, or its bytes do.

    Raises:
        InvalidInputError: if that is nothing that can be embedded.
    """
    found = blob.mimetype or (mime_type_of(blob.path) if blob.path is not None else None)
    if found is None:
        found = "text/plain" if isinstance(blob.data, str) else mime_type_of_bytes(blob.as_bytes())
    if found is None or not (
        is_text_type(found) or found.startswith(("image/", "audio/")) or found == "application/pdf"
    ):
        raise InvalidInputError(
            f"a blob of {found or 'an unknown kind'} is neither a text, an image, a recording nor a PDF; "
            "its mimetype= says what it is"
        )
    return found


def _text(blob: Blob, name: str) -> str:
    try:
        return blob.as_string()
    except UnicodeError:
        raise InvalidInputError(f"the text of the blob {Path(name).name!r} is not in {blob.encoding}") from None
    except OSError as error:
        raise InvalidInputError(f"{Path(name).name!r} cannot be read: {error.strerror or error}") from None
