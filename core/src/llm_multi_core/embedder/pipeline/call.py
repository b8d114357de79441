"""What all windows of one call share: its settings, its report, and whether it goes on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from llm_multi_core.embedder.errors import EmbedderError
from llm_multi_core.embedder.items import Task
from llm_multi_core.embedder.pipeline.cache import VectorCache
from llm_multi_core.embedder.pipeline.progress import Progress, silent
from llm_multi_core.embedder.pipeline.report import Failure, Report

if TYPE_CHECKING:
    from llm_multi_core.embedder.pipeline.telemetry import CallTrace
    from llm_multi_core.embedder.rows import Rows

TruncationPolicy = Literal["warn", "error", "truncate", "mean"]
OnError = Literal["raise", "collect"]


class Running(Protocol):
    """Requests that are underway. Told by any thread."""

    def stop(self) -> None:
        """Send nothing any more, but wait for what is on its way."""

    def cancel(self) -> None:
        """Wait for nothing."""


class CallGroup:
    """Calls that are parts of a larger one. Once that has ended, none of them begins another batch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether nobody waits for the parts any more."""
        return self._ended

    def add(self, call: Call) -> None:
        """Count a call in."""
        with self._lock:
            self._calls.append(call)
            call.cancelled = call.cancelled or self._ended

    def end(self) -> None:
        """Stop all of them, and those that are still to begin."""
        with self._lock:
            self._ended = True
            for call in self._calls:
                call.stop()


@dataclass(frozen=True, slots=True)
class Portion:
    """Which of a larger call's inputs a call embeds.

    Attributes:
        positions: where they stand among the larger call's; failures have these indices.
        group: the calls that embed the others, and this one.
    """

    positions: Sequence[int]
    group: CallGroup


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
        total: how many inputs there are, where that is known beforehand.
        cache: where vectors are looked up and kept.
        report: filled in as the call goes on.
        progress: told of inputs that are done.
        trace: told of requests, where they are traced.
        portion: which of a larger call's inputs these are, if it is part of one.
        cancelled: set to stop a call between two batches.
        running: of a hosted call, what goes on on the I/O loop.
        salvages: whether the vectors that a hosted call has by the time of an error are wanted.
        salvaged: those of its open windows, once an error has ended it.
    """

    task: Task
    dimension: int | None = None
    normalize: bool = True
    truncation: TruncationPolicy = "warn"
    on_error: OnError = "raise"
    batch_size: int | None = None
    total: int | None = None
    cache: VectorCache | None = None
    report: Report = field(default_factory=Report)
    progress: Progress = silent
    trace: CallTrace | None = None
    portion: Portion | None = None
    cancelled: bool = False
    running: set[Running] = field(default_factory=set)
    salvages: bool = False
    salvaged: list[Rows] | None = None

    def stop(self) -> None:
        """Begin no other batch, and wait for nothing but what is on its way."""
        self.cancelled = True  # before the others are looked for: one that is about to begin looks at it
        for running in list(self.running):
            running.stop()

    def end(self) -> None:
        """Cancel what still runs, since nobody waits for it any more."""
        self.cancelled = True
        for running in list(self.running):
            running.cancel()

    def position(self, index: int) -> int:
        """The caller's index of the call's input at `index`."""
        return index if self.portion is None else self.portion.positions[index]

    def fail(self, index: int, error: EmbedderError) -> None:
        """Raise `error`, or note it for the input at `index`."""
        if self.on_error == "raise":
            raise error
        self.report.failures.append(Failure(index, error))
