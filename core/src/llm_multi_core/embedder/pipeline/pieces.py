"""What a window encodes: its entries, each whole or in pieces, and the rows that have come back for them.

Plain book-keeping; it asks no encoder and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.encoders import Measure
from llm_multi_core.embedder.items import Item
from llm_multi_core.embedder.pipeline.measuring import NOTHING
from llm_multi_core.embedder.rows import Output, Rows


class Pieces:
    """Pieces by number ("members"), each with the entry that owns it.

    Attributes:
        items: what is encoded.
        owner: the entry of each piece.
        weight: the units of each piece.
    """

    def __init__(self, items: Sequence[Item] = (), owner: Sequence[int] = (), measure: Measure = NOTHING) -> None:
        self.items = list(items)
        self.owner = list(owner)
        self.weight = [int(count) for count in measure.units]
        self._state = None if measure.state is None else list(measure.state)
        self._dropped: set[int] = set()
        self._place: npt.NDArray[np.int64] = np.full(len(self.items), -1, np.int64)
        self._blocks: list[Rows] = []
        self._rows = 0

    def __len__(self) -> int:
        return len(self.items)

    def content(self, members: Sequence[int]) -> tuple[list[Item], list[Any] | None]:
        """The items of members, and what `measure` kept for them."""
        state = None if self._state is None else [self._state[member] for member in members]
        return [self.items[member] for member in members], state

    def replace(self, replaced: Mapping[int, tuple[list[Item], Measure]]) -> list[int]:
        """Put other pieces in the place of some; the numbers of the new ones. No number changes its meaning."""
        added: list[int] = []
        for member, (pieces, measure) in replaced.items():
            self._dropped.add(member)
            added.extend(range(len(self.items), len(self.items) + len(pieces)))
            self.items += pieces
            self.owner += [self.owner[member]] * len(pieces)
            self.weight += [int(count) for count in measure.units]
            if self._state is not None:
                self._state += measure.state or [None] * len(pieces)
        self._place = np.concatenate([self._place, np.full(len(added), -1, np.int64)])
        return added

    @property
    def current(self) -> list[int]:
        """The members that nothing was put in the place of, in order."""
        return [member for member in range(len(self.items)) if member not in self._dropped]

    def keep(self, members: Sequence[int], rows: Rows, sound: npt.NDArray[np.bool_]) -> None:
        """Keep the rows of members, those that are `sound`."""
        self._place[members] = np.where(sound, np.arange(self._rows, self._rows + len(members)), -1)
        self._blocks.append(rows)
        self._rows += len(members)

    def done(self, dimension: int, output: Output) -> Rows:
        """All rows that were kept."""
        return Rows.concat(self._blocks) if self._blocks else Rows.empty(dimension, output)

    def places(self, entries: int, skipped: set[int]) -> npt.NDArray[np.int64]:
        """By entry the place of its row among those that were kept; -1 without one, and for `skipped` entries."""
        owner = np.asarray(self.owner, np.int64)
        known = self._place >= 0
        for entry in skipped:
            known &= owner != entry
        places = np.full(entries, -1, np.int64)
        places[owner[known]] = self._place[known]
        return places

    def means(self, done: Rows, entries: Sequence[int]) -> Rows:
        """The length-weighted mean of the normalised rows of each entry's pieces; blank where one is missing."""
        number = {entry: position for position, entry in enumerate(entries)}
        members = [member for member in self.current if self.owner[member] in number]
        normalised = done.take(self._place[members]).normalize()
        weights = [max(1, self.weight[member]) for member in members]
        return normalised.weighted_mean([number[self.owner[member]] for member in members], weights, len(entries))
