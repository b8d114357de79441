"""One window of a call: from items to batches to run, and from their rows back to the inputs' order.

A window does no I/O and starts nothing: an engine takes its batches, runs them, and hands back rows
or errors. That keeps local and hosted runs, synchronous and asynchronous ones, on one path.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.encoders import Encoder, Intake, Limits, Measure
from llm_multi_core.embedder.errors import EmbedderError, InvalidInputError, InvalidOutputError, TruncationError
from llm_multi_core.embedder.items import Item, Task
from llm_multi_core.embedder.pipeline.cache import CacheKeys, EntryCache
from llm_multi_core.embedder.pipeline.call import Call
from llm_multi_core.embedder.pipeline.measuring import NOTHING, join_measures, measure_items, split_item
from llm_multi_core.embedder.pipeline.pieces import Pieces
from llm_multi_core.embedder.pipeline.plan import Batch, plan_batches
from llm_multi_core.embedder.pipeline.pool import EncoderHandle
from llm_multi_core.embedder.pipeline.slots import Slots
from llm_multi_core.embedder.rows import Rows

Treatment = Literal["truncated", "mean"]
"""How an over-long input was treated."""

_SHORTER = 0.75
"""What is left of an item that a provider found too long, though its estimated size was not."""
_SHORTEST = 8
"""An item of so few units is not shortened: the provider has other reasons."""


class Received(NamedTuple):
    """Rows that have come for members of a batch, and which of them are sound: `(n,)`."""

    members: list[int]
    rows: Rows
    sound: npt.NDArray[np.bool_]


class Window:
    """Some consecutive inputs of a call.

    Args:
        handle: the encoder; it is loaded unless the cache answers everything.
        call: the call's settings and report.
        items: the inputs; `None` where one was refused already.
        start: the index of the first one in the call.

    Attributes:
        batches: what an engine is to run.
    """

    def __init__(self, handle: EncoderHandle, call: Call, items: Sequence[Item | None], start: int) -> None:
        self.handle = handle
        self.call = call
        self._description = handle.describe()
        self._cache: EntryCache | None = None
        if call.cache is not None:
            keys = CacheKeys(handle.encoder_id(), call.task)
            self._cache = EntryCache(call.cache, keys, self._description.space)
        self._inputs = len(items)
        self._slots = Slots(call, handle.name, items, start)
        self._cached: dict[int, Rows] = {}  # by entry
        self._treatment: dict[int, Treatment] = {}  # of over-long entries
        self._pieces = Pieces()
        self._shortened_by = 0
        self.batches: list[Batch] = []
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
        return self.call.task

    @property
    def cancelled(self) -> bool:
        """Whether the caller has gone away."""
        return self.call.cancelled

    @property
    def limits(self) -> Limits:
        """How much the encoder takes at once."""
        return self._description.limits

    @property
    def intake(self) -> Intake | None:
        """How the encoder wants media."""
        return self._description.intake

    def content(self, batch: Batch) -> tuple[list[Item], list[object] | None]:
        """The items of a batch, and what `measure` kept for them."""
        return self._pieces.content(batch.members)

    def accept(self, batch: Batch, output: Rows | npt.ArrayLike) -> None:
        """Take the rows of a batch.

        Raises:
            InvalidOutputError: if they cannot belong to it; or, then with `indices`, if one is not
                sound and `on_error="raise"`.
        """
        received = self.receive(batch, output)
        self.store(received)
        self.conclude(batch, received)

    def receive(self, batch: Batch, output: Rows | npt.ArrayLike) -> Received:
        """The first step of accepting rows: check and keep them.

        Raises:
            InvalidOutputError: if they cannot belong to the batch.
        """
        members = batch.members
        rows = Rows.of(output)
        space = self._description.space
        sound = rows.check(len(members), space.dimension, space.output) & rows.nonzero()
        self._pieces.keep(members, rows, sound)
        self.call.report.requests += 1
        return Received(members, rows, sound)

    @property
    def keeps(self) -> bool:
        """Whether `store` does anything."""
        return self._cache is not None

    def store(self, received: Received) -> None:
        """The second step: put what was just paid for into the cache, at once, so that it survives a later failure."""
        if self._cache is not None:
            self._cache.keep(self._kept(received))

    def _kept(self, received: Received) -> Iterator[tuple[Item, str, Rows]]:
        for position in map(int, np.flatnonzero(received.sound)):
            entry = self._pieces.owner[received.members[position]]
            item, treatment = self._slots.entries[entry], self._treatment.get(entry, "whole")
            if treatment != "mean" and item.group is None:
                yield item, treatment, received.rows.take([position])

    def conclude(self, batch: Batch, received: Received, *, final: bool = True) -> Batch | None:
        """The last step: count the inputs as done.

        Args:
            batch: the batch.
            received: its rows.
            final: whether a row that is not sound is a failure. Otherwise its part of the batch is
                given back, to be tried again.

        Raises:
            InvalidOutputError: with `on_error="raise"`, if one is not sound.
        """
        members, rows, sound = received
        unsound = {members[int(position)] for position in np.flatnonzero(~sound)}
        again = None if final else batch.only(lambda atom: any(member in unsound for member in atom))
        if again is None:
            for position in map(int, np.flatnonzero(~sound)):
                finite = bool(np.isfinite(rows.take([position]).values).all())
                fault = "a zero vector, which has no direction" if finite else "a vector that is not finite"
                self._fail(members[position], InvalidOutputError(f"{self.handle.name} returned {fault}"))
        waiting = set(again.members) if again is not None else set()
        self._slots.advance(self._pieces.owner[member] for member in members if member not in waiting)
        return again

    def give_up(self, batch: Batch, error: Exception) -> None:
        """Note that a batch that cannot be split any further has failed."""
        for member in batch.members:
            self._fail(member, error)
        self._slots.advance(self._pieces.owner[member] for member in batch.members)

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
        return batch.only(lambda atom: atom not in bad)

    def abort(self, batch: Batch, error: BaseException) -> NoReturn:
        """Raise an error that no smaller batch would cure."""
        raise self._slots.explain(error, [self._pieces.owner[member] for member in batch.members])

    def shrink(self, batch: Batch) -> None:
        """Keep this and all later batches of the encoder below the cost of one that was too large."""
        self.handle.cost_cap = max(1, min(batch.cost // 2, self.handle.cost_cap or batch.cost))

    def too_large(self, batch: Batch) -> bool:
        """Whether a batch is larger than one that did not fit into memory, and can be halved."""
        cap = self.handle.cost_cap
        return cap is not None and batch.cost > cap and len(batch.atoms) > 1

    def shorten(self, batch: Batch, error: Exception) -> list[Batch]:
        """Treat the only item of a batch as over-long, since it proved to be; what to run instead.

        Args:
            batch: a batch of one atom; one of several members, which stay together, is given up.
            error: what the encoder raised for it.
        """
        (member, *others) = batch.members
        weight = self._pieces.weight[member]
        if others or weight <= _SHORTEST:
            self.give_up(batch, error)
            return []
        bound = min(int(weight * _SHORTER), self.limits.units_per_item or weight)
        limit = f"{self.limits.units_per_item or 'fewer'} {self.limits.unit}s"
        why = f"{self.handle.name} finds it longer than the {limit} that it takes"
        added = self._cut_long(self.encoder, [member], bound, why)
        weights = [self._pieces.weight[piece] for piece in added]
        self._shortened_by += weight - sum(weights)
        return [Batch(((piece,),), count) for piece, count in zip(added, weights, strict=True)]

    def close(self) -> Rows:
        """The rows of the window's inputs in their order, blank where one failed.

        Raises:
            InvalidOutputError: with `on_error="raise"`, if an input has no finite, non-zero vector.
        """
        space = self._description.space
        self.call.report.units -= self._shortened_by  # here, since `shorten` is called in another thread
        self._shortened_by = 0
        by_entry = self._join_pieces(self._pieces.done(space.dimension, space.output))
        if self._cached:
            places = np.arange(len(by_entry))
            places[list(self._cached)] = len(by_entry) + np.arange(len(self._cached))
            by_entry = Rows.concat([by_entry, *self._cached.values()]).take(places)
        if self.call.dimension is not None:
            by_entry = by_entry.cut(self.call.dimension)
        self._refuse_unsound(by_entry)
        if self.call.normalize and space.output != "sparse":
            by_entry = by_entry.normalize()
        return self._slots.rows_of_inputs(by_entry)

    # Steps of opening.

    def _refuse_empty(self) -> None:
        if self.limits.accepts_empty:
            return
        for entry, item in enumerate(self._slots.entries):
            if all(isinstance(part.payload, str) and not part.payload for part in item.parts):
                self._refuse(entry, InvalidInputError(f"the text is empty, which {self.handle.name} refuses"))

    def _look_up(self) -> list[int]:
        """The entries that the cache does not answer."""
        entries = self._slots.entries
        wanted = [entry for entry in range(len(entries)) if entry not in self._slots.failed]
        if self._cache is None:
            return wanted
        alone = {entry: entries[entry] for entry in wanted if entries[entry].group is None}
        self._cached = self._cache.find(alone, "whole")
        if self.call.truncation != "error":
            treatment: Treatment = "mean" if self.call.truncation == "mean" else "truncated"
            rest = {entry: item for entry, item in alone.items() if entry not in self._cached}
            found = self._cache.find(rest, treatment)
            self._cached.update(found)
            if treatment == "truncated":
                for entry in found:
                    self._slots.note_truncation(entry, None, self.limits.units_per_item or 0)
        self.call.report.cache_hits += len(self._cached)
        self._slots.advance(self._cached)
        return [entry for entry in wanted if entry not in self._cached]

    def _measure_and_plan(self, pending: list[int]) -> None:
        encoder, limits, report = self.handle.load(), self.limits, self.call.report
        pending, measure = self._measure(encoder, pending)
        self._pieces = Pieces([self._slots.entries[entry] for entry in pending], pending, measure)
        bound = limits.units_per_item
        if bound is not None:
            allowed = bound if measure.exact else bound * limits.slack
            long = [member for member, count in enumerate(self._pieces.weight) if count > allowed]
            if long:
                self._treat_long(encoder, long, bound)
        report.exact = report.exact and measure.exact
        members = self._pieces.current
        items = [self._pieces.items[member] for member in members]
        weights = [self._pieces.weight[member] for member in members]
        if limits.truncates and bound is not None:
            weights = [min(count, bound) for count in weights]
        report.units += sum(weights)
        batches = plan_batches(
            items,
            weights,
            self._batch_keys(encoder, items),
            limits,
            max_items=self._most_items(len(items)),
            max_units=self.handle.cost_cap,
        )
        self.batches = [batch.renumbered(members) for batch in batches]

    def _most_items(self, count: int) -> int | None:
        """The user's bound on a batch, else for a hosted encoder one that uses all its concurrency.

        Where another window follows, it is underway at the same time and uses its share of that.
        """
        if self.call.batch_size is not None or not self.handle.hosted:
            return self.call.batch_size
        together = min(2, -(-(self.call.total or 0) // max(1, self._inputs))) or 1
        return max(1, self.limits.spread, -(-count * together // self.limits.concurrency))

    def _batch_keys(self, encoder: Encoder, items: Sequence[Item]) -> Sequence[Hashable]:
        if type(encoder).batch_key is Encoder.batch_key and all(len(item.parts) == 1 for item in items):
            return [item.parts[0].modality for item in items]  # the same, without a call per item
        return [encoder.batch_key(item) for item in items]

    def _measure(self, encoder: Encoder, entries: list[int]) -> tuple[list[int], Measure]:
        """Entries with their sizes; those that cannot be measured fail, each by itself."""
        items = [self._slots.entries[entry] for entry in entries]
        try:
            return entries, measure_items(encoder, self.handle.name, items, self.task)
        except Exception as error:
            if isinstance(error, EmbedderError) and not isinstance(error, InvalidInputError):
                raise
            if len(entries) == 1:
                self._refuse(entries[0], error)
                return [], NOTHING
        middle = len(entries) // 2
        left, of_left = self._measure(encoder, entries[:middle])
        right, of_right = self._measure(encoder, entries[middle:])
        return left + right, join_measures([of_left, of_right])

    def _treat_long(self, encoder: Encoder, long: list[int], bound: int) -> None:
        """Apply the truncation policy to the pieces `long`; an encoder that cuts is left to cut."""
        if self.limits.truncates and self.call.truncation in ("warn", "truncate"):
            for member in long:
                entry = self._pieces.owner[member]
                self._slots.note_truncation(entry, self._pieces.weight[member], bound)
                self._treatment[entry] = "truncated"
        else:
            self._cut_long(encoder, long, bound)

    def _cut_long(self, encoder: Encoder, long: list[int], bound: int, why: str | None = None) -> list[int]:
        """Apply the truncation policy to the pieces `long`; the pieces that came in their place.

        `why` says, for an error, how it is known that they are too long; by default by their sizes.
        """
        policy, name, limits = self.call.truncation, self.handle.name, self.limits
        replaced: dict[int, tuple[list[Item], Measure]] = {}
        for member in long:
            entry, count = self._pieces.owner[member], self._pieces.weight[member]
            try:
                if policy == "error":
                    reason = why or f"it has {count} {limits.unit}s and {name} takes {limits.units_per_item}"
                    raise TruncationError(f"{reason}; shorten it, or choose truncation='warn', 'truncate' or 'mean'")
                most = None if policy == "mean" else 1
                replaced[member] = split_item(encoder, name, self._pieces.items[member], bound, self.task, most)
            except Exception as error:  # noqa: BLE001 - of the encoder's `split`, in any way it likes
                replaced[member] = [], NOTHING
                self._refuse(entry, error)
                continue
            if policy != "mean":
                self._slots.note_truncation(entry, count, bound)
            self._treatment[entry] = "mean" if policy == "mean" else "truncated"
        return self._pieces.replace(replaced)

    # Steps of closing.

    def _join_pieces(self, done: Rows) -> Rows:
        """One row per entry, blank for those without: the mean of its pieces, or its only one."""
        failed, entries = self._slots.failed, self._slots.entries
        places = self._pieces.places(len(entries), failed)
        averaged = [entry for entry, how in self._treatment.items() if how == "mean" and entry not in failed]
        if not averaged:
            return done.take(places)
        means = self._pieces.means(done, averaged)
        if self._cache is not None:
            # Of a call that was ended, pieces may be missing.
            sound = np.flatnonzero(np.isfinite(means.values).all(axis=1) & means.nonzero())
            self._cache.keep((entries[averaged[place]], "mean", means.take([place])) for place in sound)
        places[averaged] = len(done) + np.arange(len(averaged))
        return Rows.concat([done, means]).take(places)

    def _refuse_unsound(self, by_entry: Rows) -> None:
        """The last guard: an entry that has come this far without a sound row fails."""
        if self.cancelled:  # then nobody waits for what is missing
            return
        space = self._description.space
        finite = by_entry.check(len(by_entry), self.call.dimension or space.dimension, space.output)
        for entry in map(int, np.flatnonzero(~(finite & by_entry.nonzero()))):
            fault = "a zero vector, which has no direction" if finite[entry] else "no finite vector"
            self._slots.fail(entry, InvalidOutputError(f"{self.handle.name} gave {fault}"))

    # Steps of both.

    def _fail(self, member: int, error: Exception) -> None:
        self._slots.fail(self._pieces.owner[member], error)

    def _refuse(self, entry: int, error: Exception) -> None:
        self._slots.fail(entry, error)
        self._slots.advance([entry])
