"""Where vectors are written: JSON lines or `.npy`, to a file that is whole or not there, or to a pipe."""

from __future__ import annotations

import json
import os
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import numpy as np

from llm_multi_core.embedder.cli.guard import CommandError
from llm_multi_core.embedder.errors import EmbedderError, InvalidInputError
from llm_multi_core.embedder.rows import FloatArray

FORMATS = ("jsonl", "npy")
_FORMAT_OF_SUFFIX = {".jsonl": "jsonl", ".ndjson": "jsonl", ".npy": "npy"}


def choose_format(path: Path | None, wanted: str | None) -> str:
    """The format asked for, else that of the file's suffix, else JSON lines.

    Raises:
        CommandError: if the suffix tells nothing, or binary data would go to a terminal.
    """
    chosen = wanted
    if chosen is None:
        chosen = "jsonl" if path is None else _FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if chosen is None:
        raise CommandError(f"{path} does not end in .jsonl or .npy; say which with --format")
    if chosen == "npy" and path is None and sys.stdout.isatty():
        raise CommandError("npy is binary: redirect standard output, or name a file with --output")
    return chosen


class VectorWriter(ABC):
    """Writes blocks of vectors to a stream as they come."""

    failed_inputs_have: str
    """What an input without a vector has in its place, for the user."""

    def __init__(self, stream: BinaryIO, field: str = "text") -> None:
        self._stream = stream
        self._field = field

    @abstractmethod
    def write(
        self, start: int, inputs: Sequence[str], vectors: FloatArray, failures: Mapping[int, EmbedderError]
    ) -> None:
        """The next block: `(m, d)` vectors of `m` inputs from index `start`, and the failed ones' errors by index."""

    def finish(self) -> None:
        """Make what was written complete."""


class JsonLinesWriter(VectorWriter):
    """One object per line: `index`, `text` (or `source`), `embedding`, and `error` where that is null."""

    failed_inputs_have = 'an "error" in place of the vector'

    def write(
        self, start: int, inputs: Sequence[str], vectors: FloatArray, failures: Mapping[int, EmbedderError]
    ) -> None:
        """Write a line per input, and hand them on at once."""
        for index, (given, vector) in enumerate(zip(inputs, vectors, strict=True), start):
            line: dict[str, object] = {"index": index, self._field: given, "embedding": None}
            if index in failures:
                error = failures[index]
                line["error"] = error.reason if isinstance(error, InvalidInputError) else str(error)
            else:
                line["embedding"] = vector.tolist()
            self._stream.write(_encoded(line) + b"\n")
        self._stream.flush()


class NpyWriter(VectorWriter):
    """One float32 array `(n, d)`, the rows of failed inputs NaN."""

    failed_inputs_have = "a row of NaN"

    def __init__(self, stream: BinaryIO, field: str = "text") -> None:
        super().__init__(stream, field)
        self._shape = (0, 0)
        self._data_at = 0

    def write(
        self, start: int, inputs: Sequence[str], vectors: FloatArray, failures: Mapping[int, EmbedderError]
    ) -> None:
        """Write the rows, after a header that `finish` corrects."""
        if not self._data_at:
            self._data_at = self._write_header((0, vectors.shape[1]))
        self._stream.write(np.ascontiguousarray(vectors, "<f4").data)
        self._shape = (self._shape[0] + len(vectors), vectors.shape[1])

    def finish(self) -> None:
        """Put the number of rows into the header, which numpy pads so that it can grow."""
        self._stream.seek(0)
        end = self._write_header(self._shape)
        if self._data_at not in {0, end}:
            raise AssertionError("numpy made a header of another length")
        self._stream.seek(0, os.SEEK_END)

    def _write_header(self, shape: tuple[int, int]) -> int:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._stream, header)
        return self._stream.tell()


WRITERS: dict[str, type[VectorWriter]] = {"jsonl": JsonLinesWriter, "npy": NpyWriter}


@contextmanager
def open_output(path: Path | None, *, overwrite: bool, seekable: bool) -> Iterator[BinaryIO]:
    """A stream to write to; `None` is standard output.

    A file appears under its name when the block ends without an error, and not before. Pipes and
    devices are written to as they are.

    Args:
        path: where to.
        overwrite: whether a file that exists may be replaced.
        seekable: whether the stream must be; what goes to a pipe is then put together on disk first.

    Raises:
        CommandError: if there is no writing to `path`.
    """
    if path is None:
        with _streamed(sys.stdout.buffer, seekable) as stream:
            yield stream
    elif path.exists() and not path.is_file() and not path.is_dir():
        with _opened(path, path) as target, _streamed(target, seekable) as stream:
            yield stream
    else:
        if path.is_dir():
            raise CommandError(f"cannot write {path}: it is a folder")
        if path.exists() and not overwrite:
            raise CommandError(f"{path} exists; pass --overwrite to replace it")
        target_path = path.resolve()  # of a symbolic link, what it points to
        part = target_path.with_name(f".llm-multi-core-{os.getpid()}.part")
        stream = _opened(part, path)
        try:
            with stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(target_path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


@contextmanager
def _streamed(target: BinaryIO, seekable: bool) -> Iterator[BinaryIO]:
    if not seekable:
        yield target
        return
    with TemporaryFile() as whole:
        yield whole
        whole.seek(0)
        shutil.copyfileobj(whole, target)
        target.flush()


def _opened(path: Path, name: Path) -> BinaryIO:
    try:
        return path.open("wb")
    except OSError as error:
        raise CommandError(f"cannot write {name}: {error.strerror}") from error


# Ends of a line to some readers, such as `str.splitlines`; JSON allows them within a string.
_LINE_ENDS = str.maketrans({"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def _encoded(line: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(line, ensure_ascii=False).translate(_LINE_ENDS).encode()
    except UnicodeEncodeError:  # a refused text with a lone surrogate, which only an escape can show
        return json.dumps(line).encode()
