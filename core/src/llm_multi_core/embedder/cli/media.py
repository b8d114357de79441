"""The images or recordings that a command line names: paths, folders, patterns and URLs."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from llm_multi_core.embedder.cli.guard import CommandError
from llm_multi_core.embedder.cli.inputs import Texts
from llm_multi_core.embedder.inputs.mixed import SUFFIXES
from llm_multi_core.embedder.items import Modality

_SCHEMES = ("http://", "https://", "file://", "data:")


class Media(Texts):
    """References to media in their order: the arguments, then each line of each file.

    A folder stands for the files of the modality in it and below, and a pattern for the files that it
    matches, in the order of their paths. Names that begin with a dot are passed over.

    Args:
        arguments: paths, folders, patterns, URLs.
        files: paths of UTF-8 files with one such reference a line, `-` for standard input.
        modality: `"image"` or `"audio"`.

    Raises:
        CommandError: for a folder or a pattern without such files, or for nothing to read.
    """

    def __init__(self, arguments: Sequence[str], files: Sequence[str], modality: Modality) -> None:
        found = [source for argument in arguments for source in expand(argument, modality)]
        super().__init__(found, files, skip_empty=True)
        self._modality = modality
        self._sources: list[str] = []

    def __iter__(self) -> Iterator[str]:
        """The references, once.

        Raises:
            CommandError: as for texts, and for a line that names a folder or pattern without such files.
        """
        for number, reference in enumerate(super().__iter__()):
            is_argument = number < len(self._arguments)
            for source in (reference,) if is_argument else expand(reference, self._modality):
                self._sources.append(source)
                yield source

    def where(self, index: int) -> str | None:
        """The reference at `index`, which names the file."""
        return self._sources[index] if index < len(self._sources) else None


def expand(reference: str, modality: Modality) -> list[str]:
    """The files that a reference stands for; itself unless it is a folder or a pattern.

    Raises:
        CommandError: for a folder or a pattern without such files.
    """
    if reference.startswith(_SCHEMES) or os.path.isfile(reference):  # noqa: PTH113 - a path may hold a null byte
        return [reference]
    if os.path.isdir(reference):  # noqa: PTH112 - as above
        found = sorted(_files_below(Path(reference), SUFFIXES[modality]), key=os.fspath)
        if not found:
            raise CommandError(
                f"no {modality} files in {reference} (looked for {', '.join(sorted(SUFFIXES[modality]))})"
            )
        return [str(path) for path in found]
    if not glob.has_magic(reference):
        return [reference]  # which the embedder refuses by its name
    found_by_pattern = glob.glob(reference, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    matched = sorted(path for path in found_by_pattern if Path(path).is_file())
    if not matched:
        raise CommandError(f"no file matches {reference}")
    return matched


def _files_below(folder: Path, suffixes: frozenset[str]) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes:
                yield Path(parent, name)


def given_inputs(
    modality: Modality, arguments: Sequence[str] | None, files: Sequence[str] | None, *, skip_empty: bool
) -> Texts:
    """The inputs of a command line: texts, or references to media.

    Raises:
        CommandError: as `Texts` and `Media`.
    """
    if modality is Modality.TEXT:
        return Texts(arguments or (), files or (), skip_empty=skip_empty)
    return Media(arguments or (), files or (), modality)
