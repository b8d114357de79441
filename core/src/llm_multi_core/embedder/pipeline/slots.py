"""The inputs of a window and the distinct items among them: who is told when an item is done or fails.

The pipeline works on distinct items ("entries"); callers count their inputs. This goes between the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.errors import (
    EmbedderError,
    EncoderMemoryError,
    EncodingError,
    InvalidInputError,
    InvalidOutputError,
    ProviderError,
)
from llm_multi_core.embedder.items import Item
from llm_multi_core.embedder.pipeline.call import Call
from llm_multi_core.embedder.pipeline.report import Truncation
from llm_multi_core.embedder.rows import Rows

_NAMED_INPUTS = 8
"""How many inputs a message names."""


class Slots:
    """The inputs of one window.

    Args:
        call: the call.
        name: how messages name the encoder.
        items: the inputs; `None` where one was refused already.
        start: the index of the first one in the call.

    Attributes:
        entries: the distinct items.
        failed: the entries that have no vector.
    """

    def __init__(self, call: Call, name: str, items: Sequence[Item | None], start: int) -> None:
        self._call = call
        self._name = name
        self._start = start
        self.entries, self._slots = _deduplicate(items)
        self.failed: set[int] = set()
        self._cut: dict[int, list[Truncation]] = {}  # by entry
        self._counts = np.bincount(self._slots[self._slots >= 0], minlength=len(self.entries))
        call.report.items += len(items)
        call.report.duplicates += int(self._counts.sum()) - len(self.entries)
        call.progress(int((self._slots < 0).sum()))

    def advance(self, entries: Iterable[int]) -> None:
        """Report the inputs of entries as done; an entry that is named again counts once."""
        distinct = list(set(entries))
        self._call.progress(int(self._counts[distinct].sum()))
        self._counts[distinct] = 0

    def fail(self, entry: int, error: BaseException) -> None:
        """Note that an entry has failed, for every input that it stands for; once.

        Raises:
            EmbedderError: `error` in the library's terms, with `on_error="raise"`.
        """
        if entry in self.failed:
            return
        self.failed.add(entry)
        explained = self.explain(error, [entry])
        for index in self._indices(entry):
            self._call.fail(index, explained.at(index) if isinstance(explained, InvalidInputError) else explained)

    def note_truncation(self, entry: int, units: int | None, kept: int) -> None:
        """Note that an entry was cut to `kept` of its `units`; of one that is cut again only the last note counts."""
        notes, before = self._call.report.truncations, self._cut.get(entry, [])
        for note in before:
            units = note.units
            if note in notes:  # a stream forgets them
                notes.remove(note)
        self._cut[entry] = [Truncation(index, units, kept) for index in self._indices(entry)]
        notes.extend(self._cut[entry])

    def explain(self, error: BaseException, entries: Iterable[int]) -> EmbedderError:
        """The error in the library's terms, with the inputs that it concerns."""
        if isinstance(error, EmbedderError) and not isinstance(error, EncodingError):
            return error
        indices = sorted(index for entry in set(entries) for index in self._indices(entry))
        inputs = (
            f"input {indices[0]}" if len(indices) == 1 else f"inputs {', '.join(map(str, indices[:_NAMED_INPUTS]))}"
        )
        inputs += ", ..." if len(indices) > _NAMED_INPUTS else ""
        if isinstance(error, ProviderError):
            return error.about(f"{self._name} failed on {inputs} ({error})", indices)
        kind: type[EncodingError] = EncodingError
        message = f"{self._name} failed on {inputs} ({type(error).__name__}: {error})"
        if isinstance(error, InvalidOutputError):
            kind, message = type(error), f"{error} for {inputs}"
        elif isinstance(error, MemoryError):
            kind, message = EncoderMemoryError, f"{self._name} ran out of memory on {inputs} alone ({error})"
        explained = kind(message, indices=indices)
        explained.__cause__ = None if isinstance(error, InvalidOutputError) else error
        return explained

    def rows_of_inputs(self, by_entry: Rows) -> Rows:
        """The rows of the inputs in their order, blank where one failed or was refused."""
        places = np.append(np.arange(len(by_entry)), -1)  # the last for slots of -1
        places[list(self.failed)] = -1
        wanted = places[self._slots]
        return by_entry if np.array_equal(wanted, places[:-1]) and not self.failed else by_entry.take(wanted)

    def _indices(self, entry: int) -> list[int]:
        return [self._call.position(self._start + int(slot)) for slot in np.flatnonzero(self._slots == entry)]


def _deduplicate(items: Sequence[Item | None]) -> tuple[list[Item], npt.NDArray[np.int64]]:
    """The distinct items, and for each input the place of its own, -1 for a refused one.

    Items of a group depend on their neighbours and are never taken for one another.
    """
    entries: list[Item] = []
    seen: dict[bytes, int] = {}
    slots = []
    for item in items:
        if item is None:
            slots.append(-1)
            continue
        if item.group is not None:
            slots.append(len(entries))
            entries.append(item)
            continue
        entry = seen.setdefault(item.digest, len(entries))
        if entry == len(entries):
            entries.append(item)
        slots.append(entry)
    return entries, np.asarray(slots, np.int64).reshape(-1)
