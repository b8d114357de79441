"""Folders of files of several kinds, read one by one: texts, pictures, recordings, PDFs.

What becomes of them, documents or nodes, is for an adapter to say.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from llm_multi_core.embedder.errors import EmbedderError, EmbedderWarning, InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.inputs.mixed import suffix_modality
from llm_multi_core.embedder.media.files import files_below, is_text_type, mime_type_of
from llm_multi_core.embedder.media.library import MediaLibrary
from llm_multi_core.embedder.media.records import MediaRecord

OnBadFile = Literal["raise", "warn", "collect"]
"""What becomes of a file that cannot be read. In any case the others are."""


class UnreadableFileWarning(EmbedderWarning):
    """A file of a folder cannot be read, and was left out."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """What a file holds.

    Attributes:
        path: the file.
        mime_type: by its suffix.
        records: of a picture, a recording or a PDF.
        text: of a text, else `None`.
    """

    path: Path
    mime_type: str
    records: tuple[MediaRecord, ...] = ()
    text: str | None = None


@dataclass(frozen=True, slots=True)
class FileFailure:
    """A file that cannot be read, and why."""

    path: Path
    error: EmbedderError


class MixedFolder:
    """The files below a folder, in the order of their paths, each read when it is its turn.

    Args:
        folder: the folder; hidden files and folders are passed over.
        library: where media are registered.
        pattern: which files.
        encoding: of texts.
        on_error: `"raise"` ends with the first file that cannot be read; `"warn"` and `"collect"` go on,
            and list it in `failures`.
        show_progress: draw a progress bar on standard error.

    Attributes:
        failures: files that could not be read when the folder was last gone through.
        skipped: files that are none of the known kinds, or empty.

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
        encoding: str = "utf-8",
        on_error: OnBadFile = "raise",
        show_progress: bool = False,
    ) -> None:
        if on_error not in get_args(OnBadFile):
            known = ", ".join(repr(name) for name in get_args(OnBadFile))
            raise InvalidOptionError(f"on_error={on_error!r} is not one of {known}")
        self.folder = Path(os.fspath(folder)).expanduser()
        if not self.folder.is_dir():
            raise InvalidInputError(f"no such folder: {os.fspath(folder)!r}")
        self.library = library
        self.pattern = pattern
        self.encoding = encoding
        self.on_error = on_error
        self.show_progress = show_progress
        self.failures: list[FileFailure] = []
        self.skipped: list[Path] = []

    def __iter__(self) -> Iterator[FileContent]:
        self.failures, self.skipped = [], []
        paths = list(files_below(self.folder, self.pattern))
        for path in self._with_progress(paths):
            try:
                content = read_file(path, self.library, self.encoding)
            except EmbedderError as error:
                self.failures.append(FileFailure(path, error))
                if self.on_error == "raise":
                    raise
                if self.on_error == "warn":
                    warnings.warn(f"{path.name!r} was left out: {error}", UnreadableFileWarning, stacklevel=2)
                continue
            if content is None:
                self.skipped.append(path)
            else:
                yield content

    def _with_progress(self, paths: list[Path]) -> Iterator[Path]:
        if not self.show_progress:
            yield from paths
            return
        from tqdm.auto import tqdm

        yield from tqdm(paths, desc=self.folder.name, unit="file", dynamic_ncols=True)


def read_file(path: Path, library: MediaLibrary, encoding: str = "utf-8") -> FileContent | None:
    """What a file holds; `None` if it is of no known kind, or holds nothing. Media are registered.

    Raises:
        InvalidInputError: if it cannot be read.
        FrameworkUnavailableError: if a library for its kind is not installed.
    """
    mime_type = mime_type_of(path)
    if suffix_modality(path) is not None or mime_type == "application/pdf":
        return FileContent(path, mime_type, records=tuple(library.add(path)))
    if not is_text_type(mime_type):
        return None
    text = _read_text(path, encoding)
    return FileContent(path, mime_type, text=text) if text.strip() else None


def _read_text(path: Path, encoding: str) -> str:
    try:
        return path.read_text(encoding=encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        where = f" (byte {error.start})" if isinstance(error, UnicodeDecodeError) else ""
        raise InvalidInputError(f"{path.name!r} is not a text in {encoding}{where}") from None
    except OSError as error:
        raise InvalidInputError(f"{path.name!r} cannot be read: {error.strerror or error}") from None
