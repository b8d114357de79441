"""`MultiCoreReader`: a folder of texts, pictures, recordings and PDFs as documents or nodes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from llama_index.core.readers.base import BasePydanticReader
from llama_index.core.schema import BaseNode, Document
from pydantic import BaseModel, Field, PrivateAttr

from llama_index.embeddings.llm_multi_core.entries import media_document, media_node, text_document, text_node
from llm_multi_core.embedder import InvalidInputError
from llm_multi_core.embedder.media import (
    FileContent,
    FileFailure,
    MediaLibrary,
    MediaRecord,
    MixedFolder,
    OnBadFile,
    read_file,
)

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=BaseNode)


class MultiCoreReader(BasePydanticReader):
    """Reads a folder of mixed files: texts, pictures, recordings (in windows if they are long), pages of PDFs.

    Every entry has an id that follows from its file's path, and in its metadata `modality`, `mime_type`,
    `source`, `sha256`, and where it lies in its file: `page`, or `start_ms` and `end_ms` (-1 where there is
    none). So a pipeline with a document store embeds what is new or was changed, and nothing else. None of
    that metadata is embedded, or shown to a language model. The text of media is a reference.

    Documents are for pipelines, with or without a splitter; nodes are for an index, as they are.

    Args:
        input_dir: the folder; hidden files in it are passed over.
        library: where media are registered, such as `embed_model.library`, so that indexes can hand over
            references; its `window_seconds` and `overlap_seconds` are those of recordings.
        pattern: which files.
        encoding: of texts.
        on_error: `"raise"` ends with the first file that cannot be read; `"warn"` and `"collect"` go on,
            and list it in `failures`.

    Examples:
        ```python
        reader = MultiCoreReader("holiday", library=embed_model.library)
        index = VectorStoreIndex(embed_model(reader.load_nodes()), embed_model=embed_model)
        ```
    """

    input_dir: str = Field(description="The folder.")
    pattern: str = Field(default="**/*", description="Which files.")
    encoding: str = Field(default="utf-8", description="Of texts.")
    on_error: OnBadFile = Field(default="raise", description="What becomes of a file that cannot be read.")

    _library: MediaLibrary = PrivateAttr()
    _failures: list[FileFailure] = PrivateAttr(default_factory=list)
    _skipped: list[Path] = PrivateAttr(default_factory=list)

    def __init__(
        self,
        input_dir: str | os.PathLike[str],
        *,
        library: MediaLibrary | None = None,
        pattern: str = "**/*",
        encoding: str = "utf-8",
        on_error: OnBadFile = "raise",
        **fields: Any,
    ) -> None:
        own: dict[str, Any] = {"pattern": pattern, "encoding": encoding, "on_error": on_error}
        super().__init__(**{"input_dir": os.fspath(input_dir), **own, **fields})
        self._library = MediaLibrary() if library is None else library

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex files serialised copies."""
        return "MultiCoreReader"

    @property
    def library(self) -> MediaLibrary:
        """Where media are registered."""
        return self._library

    @property
    def failures(self) -> list[FileFailure]:
        """Files that could not be read the last time."""
        return self._failures

    @property
    def skipped(self) -> list[Path]:
        """Files that are of no known kind, or hold nothing."""
        return self._skipped

    def load_data(self, show_progress: bool = False) -> list[Document]:
        """A document for each text, picture, window of a recording and page of a PDF, by path.

        Raises:
            InvalidInputError: if there is no such folder, or with `on_error="raise"` a file cannot be read.
            FrameworkUnavailableError: if a library for a kind of file is not installed.
        """
        return list(self.lazy_load_data(show_progress))

    def lazy_load_data(self, show_progress: bool = False) -> Iterator[Document]:
        """`load_data`, each file read when it is its turn."""
        return self._entries(media_document, text_document, show_progress)

    def load_nodes(self, show_progress: bool = False) -> list[BaseNode]:
        """A node for each: a `Node` with an image or audio resource, or a `TextNode`; texts are not split."""
        return list(self.lazy_load_nodes(show_progress))

    def lazy_load_nodes(self, show_progress: bool = False) -> Iterator[BaseNode]:
        """`load_nodes`, each file read when it is its turn."""
        return self._entries(media_node, text_node, show_progress)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # LlamaIndex's own calls `__init__` with the fields alone, which would lose the library.
        BaseModel.__setstate__(self, state)

    def _entries(
        self, of_media: Callable[[MediaRecord], T], of_text: Callable[[str, str, str], T], show_progress: bool
    ) -> Iterator[T]:
        folder = MixedFolder(
            # Absolute, so that ids do not depend on where the program was started.
            Path(self.input_dir).expanduser().absolute(),
            self._library,
            pattern=self.pattern,
            encoding=self.encoding,
            on_error=self.on_error,
            show_progress=show_progress,
        )
        for content in folder:
            yield from _entries_of(content, of_media, of_text)
        self._failures, self._skipped = folder.failures, folder.skipped
        if folder.skipped:
            names = ", ".join(path.name for path in folder.skipped[:5])
            logger.warning("%d files are of no known kind, or empty: %s ...", len(folder.skipped), names)


def nodes_of_file(path: str | os.PathLike[str], library: MediaLibrary | None = None) -> list[BaseNode]:
    """The nodes of one file, as `MultiCoreReader.load_nodes` gives those of a folder.

    Args:
        path: a text, picture, recording or PDF.
        library: where media are registered.

    Raises:
        InvalidInputError: if it cannot be read, or is none of these.
    """
    file = Path(os.fspath(path)).expanduser().absolute()
    content = read_file(file, MediaLibrary() if library is None else library)
    if content is None:
        raise InvalidInputError(f"{file.name!r} is no text, picture, recording or PDF, or holds nothing")
    return list(_entries_of(content, media_node, text_node))


def _entries_of(
    content: FileContent, of_media: Callable[[MediaRecord], T], of_text: Callable[[str, str, str], T]
) -> Iterable[T]:
    if content.text is not None:
        yield of_text(content.text, str(content.path), content.mime_type)
    for record in content.records:
        yield of_media(record)
