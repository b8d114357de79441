"""What a call did, and what it did not manage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.errors import EmbedderError
from llm_multi_core.embedder.rows import FloatArray


@dataclass(frozen=True, slots=True)
class Truncation:
    """An input longer than the model's limit.

    `units` is its length (tokens, usually), `None` if a cache answered without measuring; `kept` is
    how much of it went into the vector.
    """

    index: int
    units: int | None
    kept: int

    @property
    def dropped(self) -> int | None:
        """Units that the vector knows nothing of."""
        return None if self.units is None else self.units - self.kept


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that has no vector, and why."""

    index: int
    error: EmbedderError


@dataclass(slots=True)
class Report:
    """What a call did.

    Attributes:
        items: inputs seen.
        duplicates: inputs whose content had been seen in the same window already.
        cache_hits: distinct inputs answered by the cache.
        units: tokens (or the encoder's other unit) that were encoded, after truncation.
        exact: whether `units` was counted with the model's own tokenizer.
        requests: batches or requests that gave rows.
        retries: requests that were sent again.
        truncations: the inputs that were cut.
        failures: the inputs that have no vector, in order of index.
        seconds: wall time.
        waited: seconds for which requests were held back by rate limits, added up over requests.
        billed_units: units that a provider says it counted; 0 for local models.
        cost: an estimate in US dollars; `None` where a price is not known, and for local models.
    """

    items: int = 0
    duplicates: int = 0
    cache_hits: int = 0
    units: int = 0
    exact: bool = True
    requests: int = 0
    retries: int = 0
    truncations: list[Truncation] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    waited: float = 0.0
    billed_units: int = 0
    cost: float | None = None

    def charge(self, cost: float | None) -> None:
        """Add the cost of a request; once one is not known, that of the call is not."""
        self.cost = None if cost is None or self.cost is None else self.cost + cost

    def __str__(self) -> str:
        about = "" if self.exact else "about "
        return (
            f"{self.items} items ({self.duplicates} duplicates, {self.cache_hits} from cache), {about}{self.units} "
            f"units in {self.requests} requests ({self.retries} retries), {len(self.truncations)} truncated, "
            f"{len(self.failures)} failed, {self.seconds:.2f} s"
            + (f", about ${self.cost:.6f}" if self.cost is not None else "")
        )


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingResult:
    """The vectors of a call and what happened on the way.

    Attributes:
        vectors: `(n, d)` float32, one row per input, in order; the row of a failed input is NaN.
        report: what the call did.
    """

    vectors: FloatArray
    report: Report

    @property
    def failures(self) -> list[Failure]:
        """The inputs that have no vector, in order of index."""
        return self.report.failures

    @property
    def ok(self) -> npt.NDArray[np.bool_]:
        """`(n,)`: whether each input has a vector."""
        return np.asarray(np.isfinite(self.vectors).all(axis=1))

    def __len__(self) -> int:
        return len(self.vectors)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.vectors)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call would do; nothing was encoded or sent.

    Attributes:
        items: inputs.
        duplicates: inputs that repeat another of the same window.
        cache_hits: distinct inputs that the cache would answer.
        units: tokens (or the encoder's other unit) that would be encoded, after truncation.
        exact: whether they were counted with the model's own tokenizer.
        requests: batches or requests.
        padding: share of the computed units that would be padding, from 0 to 1; 0 for hosted ones.
        truncations: the inputs that would be cut.
        cost: an estimate in US dollars, `None` where no price is known.
        failures: the inputs that would be refused, in order of index, as far as that is known
            without encoding them.
    """

    items: int
    duplicates: int
    cache_hits: int
    units: int
    exact: bool
    requests: int
    padding: float
    truncations: tuple[Truncation, ...]
    cost: float | None = None
    failures: tuple[Failure, ...] = ()
