"""Which items go into which batch. Pure arithmetic, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from llm_multi_core.embedder.encoders import Limits
from llm_multi_core.embedder.items import Item


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes into one forward pass or request.

    Attributes:
        atoms: what must stay together, as positions in the window's pieces: single pieces, or all
            pieces of one group.
        cost: its units, padding included where the encoder pads.
    """

    atoms: tuple[tuple[int, ...], ...]
    cost: int

    @property
    def members(self) -> list[int]:
        """The positions of its pieces, in order."""
        return [member for atom in self.atoms for member in atom]

    def only(self, wanted: Callable[[tuple[int, ...]], bool]) -> Batch | None:
        """The part of it whose atoms are wanted; `None` if none is."""
        kept = tuple(atom for atom in self.atoms if wanted(atom))
        return Batch(kept, self.cost * len(kept) // len(self.atoms)) if kept else None

    def renumbered(self, numbers: Sequence[int]) -> Batch:
        """The same, its positions looked up in `numbers`."""
        return Batch(tuple(tuple(numbers[member] for member in atom) for atom in self.atoms), self.cost)

    def halve(self) -> tuple[Batch, Batch]:
        """Two batches of half the atoms each; only for a batch of several."""
        middle = len(self.atoms) // 2
        share = self.cost * middle // len(self.atoms)
        return Batch(self.atoms[:middle], share), Batch(self.atoms[middle:], self.cost - share)


def payload_bytes(payload: Any) -> int:
    """About how many bytes a payload takes as a file: text in UTF-8, pictures in memory without compression."""
    if isinstance(payload, str):
        return len(payload.encode())
    if isinstance(payload, bytes):
        return len(payload)
    if (known := getattr(payload, "nbytes", None)) is not None:
        return int(known)
    width, height = getattr(payload, "size", (0, 0))
    return int(width * height * 3)


def plan_batches(
    items: Sequence[Item],
    units: Sequence[int],
    keys: Sequence[Hashable],
    limits: Limits,
    *,
    max_items: int | None = None,
    max_units: int | None = None,
) -> list[Batch]:
    """Batches that keep within the limits, every item in exactly one.

    Items of one batch have one key. Where the encoder pads, items are taken longest first, so that
    those of a batch are about equally long; otherwise in order. Items of one group stay together,
    even beyond a limit.

    Args:
        items: what is to be encoded.
        units: the size of each.
        keys: what may share a batch, per item.
        limits: the encoder's limits.
        max_items: the user's bound on the items of a batch, below that of the limits.
        max_units: a bound on the units of a batch, below that of the limits.
    """
    by_key: dict[Hashable, list[tuple[int, ...]]] = {}
    for key, atom in _atoms(items, keys):
        by_key.setdefault(key, []).append(atom)
    item_bound = min(limits.items_per_batch, max_items or limits.items_per_batch)
    unit_bounds = [bound for bound in (limits.units_per_batch, max_units) if bound is not None]
    unit_bound = min(unit_bounds, default=None)
    batches: list[Batch] = []
    for atoms in by_key.values():
        if limits.padded:
            atoms.sort(key=lambda atom: -max(units[member] for member in atom))
        batches.extend(_pack(atoms, items, units, limits, item_bound, unit_bound))
    return batches


def _atoms(items: Sequence[Item], keys: Sequence[Hashable]) -> list[tuple[Hashable, tuple[int, ...]]]:
    """What must stay together, with its key: single items, and whole groups."""
    atoms: list[tuple[Hashable, tuple[int, ...]]] = []
    groups: dict[Hashable, int] = {}
    for position, item in enumerate(items):
        if item.group is None:
            atoms.append((keys[position], (position,)))
        elif item.group in groups:
            place = groups[item.group]
            atoms[place] = (atoms[place][0], (*atoms[place][1], position))
        else:
            groups[item.group] = len(atoms)
            atoms.append((("group", keys[position]), (position,)))
    return atoms


def _pack(
    atoms: Sequence[tuple[int, ...]],
    items: Sequence[Item],
    units: Sequence[int],
    limits: Limits,
    item_bound: int,
    unit_bound: int | None,
) -> list[Batch]:
    batches: list[Batch] = []
    current: list[tuple[int, ...]] = []
    count = longest = total = size = 0
    for atom in atoms:
        atom_units = [units[member] for member in atom]
        atom_size = 0
        if limits.bytes_per_batch is not None:
            atom_size = sum(payload_bytes(part.payload) for member in atom for part in items[member].parts)
        new_count, new_longest, new_total = count + len(atom), max(longest, *atom_units), total + sum(atom_units)
        cost = new_count * new_longest if limits.padded else new_total
        too_large = (
            new_count > item_bound
            or (unit_bound is not None and cost > unit_bound)
            or (limits.bytes_per_batch is not None and size + atom_size > limits.bytes_per_batch)
        )
        if current and too_large:
            batches.append(Batch(tuple(current), count * longest if limits.padded else total))
            current, size = [], 0
            new_count, new_longest, new_total = len(atom), max(atom_units), sum(atom_units)
        current.append(atom)
        count, longest, total, size = new_count, new_longest, new_total, size + atom_size
    if current:
        batches.append(Batch(tuple(current), count * longest if limits.padded else total))
    return batches
