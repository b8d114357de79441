"""`MediaFolderLoader`: a folder of texts, pictures, recordings and PDFs as documents."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import BaseDocumentTransformer, Document

from langchain_llm_multi_core.documents import documents_of
from llm_multi_core.embedder.media import FileFailure, MediaLibrary, MixedFolder, OnBadFile


class MediaFolderLoader(BaseLoader):
    """Loads a folder of mixed files, one file at a time.

    A picture becomes one document, a long recording one a window (with start and end), a PDF one a page
    (with its number), a text one or its pieces. Every document has `modality`, `mime_type`, `source` and
    `sha256` in its metadata, and an `id` that follows from file and content: adding it again replaces it, and
    `index(..., key_encoder=document_key)` embeds nothing twice.

    Example:
        ```python
        loader = MediaFolderLoader("trip", embeddings.library, on_error="warn", show_progress=True)
        store.add_documents(loader.load())
        ```

    Args:
        folder: the folder; hidden files and folders are passed over.
        library: where media are registered; the embeddings' own.
        pattern: which files, as of `Path.glob`.
        text_splitter: cuts texts into pieces, such as a `RecursiveCharacterTextSplitter`.
        encoding: of texts.
        on_error: what becomes of a file that cannot be read: `"raise"` ends with it, `"warn"` and
            `"collect"` go on and list it in `failures`.
        show_progress: draw a progress bar on standard error, a step a file.
        uniform_metadata: as of `MediaBlobParser`.

    Raises:
        InvalidInputError: if there is no such folder.
        InvalidOptionError: for another `on_error`.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        library: MediaLibrary,
        *,
        pattern: str = "**/*",
        text_splitter: BaseDocumentTransformer | None = None,
        encoding: str = "utf-8",
        on_error: OnBadFile = "raise",
        show_progress: bool = False,
        uniform_metadata: bool = False,
    ) -> None:
        self._folder = MixedFolder(
            folder, library, pattern=pattern, encoding=encoding, on_error=on_error, show_progress=show_progress
        )
        self.text_splitter = text_splitter
        self.uniform_metadata = uniform_metadata

    @property
    def library(self) -> MediaLibrary:
        """Where media are registered."""
        return self._folder.library

    @property
    def failures(self) -> list[FileFailure]:
        """The files that could not be read the last time, with the error of each."""
        return list(self._folder.failures)

    @property
    def skipped(self) -> list[Path]:
        """The files that were passed over the last time: of no known kind, or empty."""
        return list(self._folder.skipped)

    def lazy_load(self) -> Iterator[Document]:
        """The documents, one after the other, in the order of the files' paths.

        Raises:
            InvalidInputError: with `on_error="raise"`, naming the first file that cannot be read.
        """
        for content in self._folder:
            yield from documents_of(content, text_splitter=self.text_splitter, uniform_metadata=self.uniform_metadata)
