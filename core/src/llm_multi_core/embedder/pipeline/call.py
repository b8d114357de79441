"""What all windows of one call share: its settings, its report, and whether it goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

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
        trace: told of requests, where they are traced.
        cancelled: set to stop a call between two batches.
        salvaged: of a hosted call that an error ended, what its open windows had by then.
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
    trace: CallTrace | None = None
    cancelled: bool = False
    salvaged: list[Rows] = field(default_factory=list)

    def fail(self, index: int, error: EmbedderError) -> None:
        """Raise `error`, or note it for the input at `index`."""
        if self.on_error == "raise":
            raise error
        self.report.failures.append(Failure(index, error))
