"""One window of a call: from items to batches to run, and from their rows back to the inputs' order.

A window does no I/O and starts nothing: an engine takes its batches, runs them, and hands back rows
or errors. That keeps local and hosted runs, synchronous and asynchronous ones, on one path.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.encoders import Encoder, Intake, Limits, Measure
from llm_multi_core.embedder.errors import (
    EmbedderError,
    EncoderMemoryError,
    EncodingError,
    InvalidInputError,
    InvalidOutputError,
    TruncationError,
)
from llm_multi_core.embedder.items import Item, Task
from llm_multi_core.embedder.pipeline.cache import CacheKeys, VectorCache, look_up
from llm_multi_core.embedder.pipeline.measuring import NOTHING, join_measures, measure_items, split_item
from llm_multi_core.embedder.pipeline.plan import Batch, plan_batches
from llm_multi_core.embedder.pipeline.pool import EncoderHandle
from llm_multi_core.embedder.pipeline.progress import Progress, silent
from llm_multi_core.embedder.pipeline.report import Failure, Report, Truncation
from llm_multi_core.embedder.rows import Rows

TruncationPolicy = Literal["warn", "error", "truncate", "mean"]
OnError = Literal["raise", "collect"]
Treatment = Literal["truncated", "mean"]
"""How an over-long input was treated."""


@dataclass(slots=True)
class Call:
    """What all windows of one call share.

    Attributes:
        task: the task, with roles folded that the encoder does not distinguish.
        dimension: what rows are cut to, `None` for what the encoder returns.
        normalize: whether rows are brought to length 1.
        truncation: what to do with over-long items.
        on_error: whether the first failure is raised, or all are collected.
        batch_size: the user's bound on the items of a batch.
        cache: where vectors are looked up and kept.
        report: filled in as the call goes on.
        progress: told of inputs that are done.
        cancelled: set to stop a call between two batches.
    """

    task: Task
    dimension: int | None = None
    normalize: bool = True
    truncation: TruncationPolicy = "warn"
    on_error: OnError = "raise"
    batch_size: int | None = None
    cache: VectorCache | None = None
    report: Report = field(default_factory=Report)
    progress: Progress = silent
    cancelled: bool = False

    def fail(self, index: int, error: EmbedderError) -> None:
        """Raise `error`, or note it for the input at `index`."""
        if self.on_error == "raise":
            raise error
        self.report.failures.append(Failure(index, error))


class Window:
    """Some consecutive inputs of a call.

    Args:
        handle: the encoder; it is loaded unless the cache answers everything.
        call: the call's settings and report.
        items: the inputs; `None` where one was refused already.
        start: the index of the first one in the call.
    """

    def __init__(self, handle: EncoderHandle, call: Call, items: Sequence[Item | None], start: int) -> None:
        self.handle = handle
        self._call = call
        self._start = start
        self._description = handle.describe()
        self._keys = CacheKeys(handle.encoder_id(), call.task) if call.cache is not None else None
        self._entries, self._slots = _deduplicate(items)
        self._counts = np.bincount(self._slots[self._slots >= 0], minlength=len(self._entries))
        self._failed: set[int] = set()  # entries
        self._cached: dict[int, Rows] = {}  # by entry
        self._treatment: dict[int, Treatment] = {}  # of over-long entries
        # Pieces are what is encoded: an entry each, or several of an over-long one.
        self._pieces: list[Item] = []
        self._owner: list[int] = []  # the entry of each piece
        self._weight: list[int] = []
        self._state: list[Any] | None = None
        self._blocks: list[Rows] = []
        self._place: npt.NDArray[np.int64] = np.empty(0, np.int64)  # of each piece's row in the blocks, joined
        self._rows_in_blocks = 0
        self.batches: list[Batch] = []
        report = call.report
        report.items += len(items)
        report.duplicates += int(self._counts.sum()) - len(self._entries)
        call.progress(int((self._slots < 0).sum()))
        self._refuse_empty()
        pending = self._look_up()
        if pending:
            self._measure_and_plan(pending)

    # What an engine asks and tells.

    @property
    def encoder(self) -> Encoder:
        """The encoder, loaded."""
        return self.handle.load()

    @property
    def task(self) -> Task:
        """What the vectors are for."""
        return self._call.task

    @property
    def cancelled(self) -> bool:
        """Whether the caller has gone away."""
        return self._call.cancelled

    @property
    def limits(self) -> Limits:
        """How much the encoder takes at once."""
        return self._description.limits

    @property
    def intake(self) -> Intake | None:
        """How the encoder wants media."""
        return self._description.intake

    @property
    def report(self) -> Report:
        """The call's report."""
        return self._call.report

    def content(self, batch: Batch) -> tuple[list[Item], list[Any] | None]:
        """The items of a batch, and what `measure` kept for them."""
        members = batch.members
        state = None if self._state is None else [self._state[member] for member in members]
        return [self._pieces[member] for member in members], state

    def accept(self, batch: Batch, output: Rows | npt.ArrayLike) -> None:
        """Take the rows of a batch.

        Raises:
            InvalidOutputError: if they cannot belong to it, or, with `on_error="raise"`, if one is
                not finite.
        """
        members = batch.members
        rows = Rows.of(output)
        space = self._description.space
        sound = rows.check(len(members), space.dimension, space.output) & rows.nonzero()
        places = np.arange(self._rows_in_blocks, self._rows_in_blocks + len(members))
        self._place[members] = np.where(sound, places, -1)
        self._blocks.append(rows)
        self._rows_in_blocks += len(members)
        self._call.report.requests += 1
        self._store(members, rows, sound)
        for position in np.flatnonzero(~sound):
            finite = bool(rows.take([position]).check(1, space.dimension, space.output)[0])
            fault = "a zero vector, which has no direction" if finite else "a vector that is not finite"
            self._fail(members[int(position)], InvalidOutputError(f"{self.handle.name} returned {fault}"))
        self._advance([self._owner[member] for member in members])

    def give_up(self, batch: Batch, error: Exception) -> None:
        """Note that a batch that cannot be split any further has failed."""
        for member in batch.members:
            self._fail(member, error)
        self._advance([self._owner[member] for member in batch.members])

    def drop(self, batch: Batch, errors: Mapping[int, Exception]) -> Batch | None:
        """Give up some members of a batch, each for its own reason; what is left, if anything.

        Args:
            batch: the batch.
            errors: by the member's place in the batch. What must stay together with it fails as well.
        """
        members = batch.members
        by_member = {members[place]: error for place, error in errors.items()}
        bad = {atom for atom in batch.atoms if any(member in by_member for member in atom)}
        for atom in sorted(bad):  # so that the first input is the one that a call raises for
            self.give_up(Batch((atom,), 0), next(by_member[member] for member in atom if member in by_member))
        kept = tuple(atom for atom in batch.atoms if atom not in bad)
        return Batch(kept, batch.cost * len(kept) // len(batch.atoms)) if kept else None

    def abort(self, batch: Batch, error: BaseException) -> NoReturn:
        """Raise an error that no smaller batch would cure."""
        raise self._explain(error, [self._owner[member] for member in batch.members])

    def shrink(self, batch: Batch) -> None:
        """Keep this and all later batches of the encoder below the cost of one that was too large."""
        self.handle.cost_cap = max(1, min(batch.cost // 2, self.handle.cost_cap or batch.cost))

    def too_large(self, batch: Batch) -> bool:
        """Whether a batch is larger than one that did not fit into memory, and can be halved."""
        cap = self.handle.cost_cap
        return cap is not None and batch.cost > cap and len(batch.atoms) > 1

    def close(self) -> Rows:
        """The rows of the window's inputs in their order, blank where one failed.

        Raises:
            InvalidOutputError: with `on_error="raise"`, if an input has no finite, non-zero vector.
        """
        space = self._description.space
        done = Rows.concat(self._blocks) if self._blocks else Rows.empty(space.dimension, space.output)
        by_entry = self._join_pieces(done)
        if self._cached:
            places = np.arange(len(by_entry))
            places[list(self._cached)] = len(by_entry) + np.arange(len(self._cached))
            by_entry = Rows.concat([by_entry, *self._cached.values()]).take(places)
        if self._call.dimension is not None:
            by_entry = by_entry.cut(self._call.dimension)
        self._refuse_unsound(by_entry)
        if self._call.normalize and space.output != "sparse":
            by_entry = by_entry.normalize()
        places = np.append(np.arange(len(by_entry)), -1)  # the last for slots of -1
        places[list(self._failed)] = -1
        return by_entry.take(places[self._slots])

    # Steps of opening.

    def _refuse_empty(self) -> None:
        if self._description.limits.accepts_empty:
            return
        for entry, item in enumerate(self._entries):
            if all(isinstance(part.payload, str) and not part.payload for part in item.parts):
                self._fail_entry(entry, InvalidInputError(f"the text is empty, which {self.handle.name} refuses"))
                self._advance([entry])

    def _look_up(self) -> list[int]:
        """The entries that the cache does not answer."""
        wanted = [entry for entry in range(len(self._entries)) if entry not in self._failed]
        cache, keys = self._call.cache, self._keys
        if cache is None or keys is None:
            return wanted
        alone = [entry for entry in wanted if self._entries[entry].group is None]
        self._cached = self._kept_rows(cache, keys, alone, "whole")
        if self._call.truncation != "error":
            treatment: Treatment = "mean" if self._call.truncation == "mean" else "truncated"
            rest = [entry for entry in alone if entry not in self._cached]
            found = self._kept_rows(cache, keys, rest, treatment)
            self._cached.update(found)
            if treatment == "truncated":
                for entry in found:
                    self._note_truncation(entry, None)
        self._call.report.cache_hits += len(self._cached)
        self._advance(list(self._cached))
        return [entry for entry in wanted if entry not in self._cached]

    def _kept_rows(self, cache: VectorCache, keys: CacheKeys, entries: list[int], treatment: str) -> dict[int, Rows]:
        """What the cache has for entries."""
        found = look_up(
            cache, [keys.key(self._entries[entry], treatment) for entry in entries], self._description.space
        )
        return {entry: rows for entry, rows in zip(entries, found, strict=True) if rows is not None}

    def _measure_and_plan(self, pending: list[int]) -> None:
        encoder, call, limits = self.handle.load(), self._call, self._description.limits
        pending, measure = self._measure(encoder, pending)
        units = [int(count) for count in measure.units]
        bound = limits.units_per_item
        long = [place for place, count in enumerate(units) if bound is not None and count > bound]
        self._owner = pending
        self._pieces = [self._entries[entry] for entry in pending]
        self._weight = units
        self._state = None if measure.state is None else list(measure.state)
        if bound is not None and long:
            self._treat_long(encoder, long, bound)
        call.report.exact = call.report.exact and measure.exact
        counted = self._weight if bound is None else [min(count, bound) for count in self._weight]
        call.report.units += sum(counted)
        self._place = np.full(len(self._pieces), -1, np.int64)
        self.batches = plan_batches(
            self._pieces,
            counted,
            self._batch_keys(encoder),
            limits,
            max_items=call.batch_size,
            max_units=self.handle.cost_cap,
        )

    def _batch_keys(self, encoder: Encoder) -> Sequence[Hashable]:
        if type(encoder).batch_key is Encoder.batch_key and all(len(item.parts) == 1 for item in self._pieces):
            return [item.parts[0].modality for item in self._pieces]  # the same, without a call per item
        return [encoder.batch_key(item) for item in self._pieces]

    def _measure(self, encoder: Encoder, entries: list[int]) -> tuple[list[int], Measure]:
        """Entries with their sizes; those that cannot be measured fail, each by itself."""
        items = [self._entries[entry] for entry in entries]
        try:
            return entries, measure_items(encoder, self.handle.name, items, self._call.task)
        except Exception as error:
            if isinstance(error, EmbedderError) and not isinstance(error, InvalidInputError):
                raise
            if len(entries) == 1:
                self._fail_entry(entries[0], self._explain(error, entries))
                self._advance(entries)
                return [], NOTHING
        middle = len(entries) // 2
        left, of_left = self._measure(encoder, entries[:middle])
        right, of_right = self._measure(encoder, entries[middle:])
        return left + right, join_measures([of_left, of_right])

    def _treat_long(self, encoder: Encoder, long: list[int], bound: int) -> None:
        """Apply the truncation policy to the pieces at `long`."""
        policy, task, limits = self._call.truncation, self._call.task, self._description.limits
        replaced: dict[int, tuple[list[Item], Measure]] = {}
        for place in long:
            entry, count = self._owner[place], self._weight[place]
            try:
                if policy == "error":
                    raise TruncationError(
                        f"it has {count} {limits.unit}s and {self.handle.name} takes {bound}; shorten it, or choose "
                        "truncation='warn', 'truncate' or 'mean'"
                    )
                if policy == "mean" or not limits.truncates:
                    most = None if policy == "mean" else 1
                    replaced[place] = split_item(encoder, self.handle.name, self._pieces[place], bound, task, most)
            except Exception as error:  # noqa: BLE001 - of the encoder's `split`, in any way it likes
                replaced[place] = [], NOTHING
                self._fail_entry(entry, self._explain(error, [entry]))
                self._advance([entry])
                continue
            self._treatment[entry] = "mean" if policy == "mean" else "truncated"
            if policy != "mean":
                self._note_truncation(entry, count)
        if replaced:
            self._replace(replaced)

    def _replace(self, replaced: Mapping[int, tuple[list[Item], Measure]]) -> None:
        """Put the new pieces at the end and drop the ones that they stand for."""
        kept = [place for place in range(len(self._pieces)) if place not in replaced]
        if self._state is not None:
            fresh = [state for pieces, measure in replaced.values() for state in measure.state or [None] * len(pieces)]
            self._state = [self._state[place] for place in kept] + fresh
        new = [(self._owner[place], piece) for place, (pieces, _) in replaced.items() for piece in pieces]
        sizes = [int(count) for _, measure in replaced.values() for count in measure.units]
        self._pieces = [self._pieces[place] for place in kept] + [piece for _, piece in new]
        self._weight = [self._weight[place] for place in kept] + sizes
        self._owner = [self._owner[place] for place in kept] + [entry for entry, _ in new]

    # Steps of closing.

    def _join_pieces(self, done: Rows) -> Rows:
        """One row per entry, blank for those without: the mean of its pieces, or its only one."""
        owner = np.asarray(self._owner, np.int64)
        whole = self._place >= 0
        for entry in self._failed:
            whole &= owner != entry
        averaged = [entry for entry, how in self._treatment.items() if how == "mean" and entry not in self._failed]
        place = np.full(len(self._entries), -1, np.int64)
        place[owner[whole]] = self._place[whole]
        if not averaged:
            return done.take(place)
        number = {entry: position for position, entry in enumerate(averaged)}
        members = [piece for piece, entry in enumerate(self._owner) if entry in number]
        means = (
            done.take(self._place[members])
            .normalize()
            .weighted_mean(
                [number[self._owner[piece]] for piece in members],
                [max(1, self._weight[piece]) for piece in members],
                len(averaged),
            )
        )
        if self._keys is not None and self._call.cache is not None:
            self._call.cache.set_many(
                {self._keys.key(self._entries[e], "mean"): means.take([i]) for i, e in enumerate(averaged)}
            )
        place[averaged] = len(done) + np.arange(len(averaged))
        return Rows.concat([done, means]).take(place)

    def _refuse_unsound(self, by_entry: Rows) -> None:
        """The last guard: an entry that has come this far without a sound row fails."""
        if self._call.cancelled:  # then nobody waits for the rows
            return
        space = self._description.space
        finite = by_entry.check(len(by_entry), self._call.dimension or space.dimension, space.output)
        for entry in map(int, np.flatnonzero(~(finite & by_entry.nonzero()))):
            if entry not in self._failed:
                fault = "a zero vector, which has no direction" if finite[entry] else "no finite vector"
                self._fail_entry(entry, self._explain(InvalidOutputError(f"{self.handle.name} gave {fault}"), [entry]))

    def _store(self, members: list[int], rows: Rows, sound: npt.NDArray[np.bool_]) -> None:
        """Keep what was just paid for, at once, so that it survives a later failure."""
        if self._call.cache is None or self._keys is None:
            return
        entries = {}
        for position, member in enumerate(members):
            entry = self._owner[member]
            treatment = self._treatment.get(entry)
            if sound[position] and treatment != "mean" and self._entries[entry].group is None:
                entries[self._keys.key(self._entries[entry], treatment or "whole")] = rows.take([position])
        self._call.cache.set_many(entries)

    # Failures and truncations, told in the caller's indices.

    def _indices(self, entry: int) -> list[int]:
        return [self._start + int(slot) for slot in np.flatnonzero(self._slots == entry)]

    def _note_truncation(self, entry: int, units: int | None) -> None:
        kept = self._description.limits.units_per_item or 0
        self._call.report.truncations.extend(Truncation(index, units, kept) for index in self._indices(entry))

    def _fail(self, member: int, error: Exception) -> None:
        entry = self._owner[member]
        if entry not in self._failed:
            self._fail_entry(entry, self._explain(error, [entry]))

    def _fail_entry(self, entry: int, error: EmbedderError) -> None:
        self._failed.add(entry)
        for index in self._indices(entry):
            self._call.fail(index, error.at(index) if isinstance(error, InvalidInputError) else error)

    def _explain(self, error: BaseException, entries: list[int]) -> EmbedderError:
        """The error in the library's terms, with the inputs that it concerns."""
        indices = sorted(index for entry in set(entries) for index in self._indices(entry))
        if isinstance(error, EmbedderError) and not isinstance(error, EncodingError):
            return error
        inputs = f"input {indices[0]}" if len(indices) == 1 else f"inputs {', '.join(map(str, indices[:8]))}"
        inputs += ", ..." if len(indices) > 8 else ""
        kind: type[EncodingError] = EncodingError
        message = f"{self.handle.name} failed on {inputs} ({type(error).__name__}: {error})"
        if isinstance(error, InvalidOutputError):
            kind, message = type(error), f"{error} for {inputs}"
        elif isinstance(error, MemoryError):
            kind, message = EncoderMemoryError, f"{self.handle.name} ran out of memory on {inputs} alone ({error})"
        explained = kind(message, indices=indices)
        explained.__cause__ = None if isinstance(error, InvalidOutputError) else error
        return explained

    def _advance(self, entries: list[int]) -> None:
        """Report inputs as done; pieces of one entry count it once, at its first."""
        distinct = list(set(entries))
        self._call.progress(int(self._counts[distinct].sum()))
        self._counts[distinct] = 0


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
