"""The texts that a command line names: arguments, and the lines of files or of standard input."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from llm_multi_core.embedder.cli.guard import CommandError

STANDARD_INPUT = "-"


class Texts:
    r"""Texts in their order: the arguments, then each line of each file. Read as they are needed.

    A line ends with `\n` or `\r\n`. An empty line is a text like any other, so that the n-th
    vector belongs to the n-th line, unless it is left out by `skip_empty`.

    Args:
        arguments: texts as they are.
        files: paths of UTF-8 files, `-` for standard input, which is also read if nothing is named.
        skip_empty: leave out lines of white space only.

    Attributes:
        empty: lines of white space only that were seen so far.

    Raises:
        CommandError: for a file that is not there, or for nothing to read.
    """

    def __init__(self, arguments: Sequence[str], files: Sequence[str], *, skip_empty: bool = False) -> None:
        if not arguments and not files:
            if sys.stdin.isatty():
                raise CommandError("no inputs: give texts, --file, or lines on standard input")
            files = (STANDARD_INPUT,)
        if files.count(STANDARD_INPUT) > 1:
            raise CommandError("standard input can be read only once")
        for file in files:
            if file != STANDARD_INPUT:
                _check_readable(file)
        self._arguments = arguments
        self._files = files
        self._skip_empty = skip_empty
        self.empty = 0
        self._count = 0
        # Where a run of consecutive lines begins: its first index, its file, the number of its first line.
        self._runs: list[tuple[int, str, int]] = []

    @property
    def total(self) -> int | None:
        """How many there are, if that is known beforehand."""
        return None if self._files else len(self._arguments)

    def __iter__(self) -> Iterator[str]:
        """The texts, once.

        Raises:
            CommandError: for a file that cannot be read or is not UTF-8, and if there was no text.
        """
        for text in self._arguments:
            self._count += 1
            yield text
        for file in self._files:
            begins_run = True
            for number, text in enumerate(_lines(file), 1):
                if not text.strip():
                    self.empty += 1
                    if self._skip_empty:
                        begins_run = True
                        continue
                if begins_run:
                    self._runs.append((self._count, _name(file), number))
                    begins_run = False
                self._count += 1
                yield text
        if not self._count:
            what = (
                f"all {self.empty} lines are empty"
                if self.empty
                else f"nothing in {', '.join(map(_name, self._files))}"
            )
            raise CommandError(f"no inputs: {what}")

    def where(self, index: int) -> str | None:
        """`"notes.txt, line 4"` for the text at `index`, `None` for an argument."""
        place = bisect_right(self._runs, index, key=lambda run: run[0]) - 1
        if place < 0:
            return None
        first, name, line = self._runs[place]
        return f"{name}, line {line + index - first}"


def _lines(file: str) -> Iterator[str]:
    name = _name(file)
    try:
        with _open(file) as stream:
            yield from _decoded(stream, name)
    except OSError as error:
        raise CommandError(f"cannot read {name}: {error.strerror}") from error


def _decoded(stream: Iterable[bytes], name: str) -> Iterator[str]:
    for number, line in enumerate(stream, 1):
        content = line.removesuffix(b"\n").removesuffix(b"\r")
        if number == 1:
            content = content.removeprefix(b"\xef\xbb\xbf")  # the mark that some editors put before UTF-8
        try:
            yield content.decode()
        except UnicodeDecodeError as error:
            raise CommandError(
                f"{name}, line {number} is not UTF-8 (byte 0x{content[error.start]:02x} at byte {error.start + 1} of "
                "the line); convert the file first, for example with iconv"
            ) from None


def _open(file: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if file == STANDARD_INPUT else Path(file).open("rb")


def _check_readable(file: str) -> None:
    # Not by opening it: a named pipe would lose its writer.
    path = Path(file)
    try:
        path.stat()
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from error
    if path.is_dir():
        raise CommandError(f"cannot read {file}: it is a folder")


def _name(file: str) -> str:
    return "standard input" if file == STANDARD_INPUT else file
