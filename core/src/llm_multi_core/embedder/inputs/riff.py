"""Whether a WAV or AIFF file is all there: libsndfile reads a truncated one as if it were just shorter."""

from __future__ import annotations

import os
from typing import BinaryIO, Literal

from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.inputs.sources import Source

_UNKNOWN = 0x7FFF_F000
"""32-bit sizes from here on are what programs write that do not know the length yet, as into a pipe."""

_ORDERS: dict[bytes, Literal["little", "big"]] = {
    b"RIFF": "little",
    b"RF64": "little",
    b"BW64": "little",
    b"FORM": "big",
}
_SOUND = {b"data", b"SSND"}


def check_complete(source: Source) -> None:
    """Refuse a file whose samples end before its header says. Other formats pass.

    Raises:
        InvalidInputError: naming how much is missing.
    """
    with source.open() as file:
        total = file.seek(0, os.SEEK_END)
        file.seek(0)
        promised = _promised(file)
        if promised is None:
            return
        missing = promised - (total - file.tell())
        if missing > 0:
            raise InvalidInputError(f"{source.name} is truncated: {missing} of {promised} bytes of sound are missing")


def _promised(file: BinaryIO) -> int | None:
    """How many bytes of sound the header promises, the file left at their beginning; `None` if unknown."""
    head = file.read(12)
    order = _ORDERS.get(head[:4])
    if order is None or head[8:] not in {b"WAVE", b"AIFF", b"AIFC"}:
        return None
    large: int | None = None
    while len(chunk := file.read(8)) == 8:
        size = int.from_bytes(chunk[4:], order)
        if chunk[:4] in _SOUND:
            return size if size < _UNKNOWN else large
        place = file.tell()
        if chunk[:4] == b"ds64":  # the sizes of RF64, which do not fit into 32 bits
            large = int.from_bytes(file.read(16)[8:], order)
        file.seek(place + size + size % 2)
    return None
