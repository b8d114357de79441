"""What the host itself costs: processor time a text with an encoder that does nothing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from paired import publish

from llm_multi_core.embedder import Item, Measure, Modality, Rows, Task, TextEmbedder
from llm_multi_core.embedder.settings import EmbedderSettings
from llm_multi_core.embedder.testing.fakes import FakeTextEncoder, fake_offer

TEXTS = 100_000
TURNS = 5
DIMENSION = 384
ONES = np.ones((64, DIMENSION), np.float32)


class NullEncoder(FakeTextEncoder):
    """Returns ones at once, so that only the pipeline's own work is left."""

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """Eight words each."""
        return Measure([8] * len(items))

    def forward(self, batch: Any) -> Rows:
        """Ones."""
        return Rows(ONES[: len(batch[0])])


def main() -> None:
    """Run the benchmark."""
    settings = EmbedderSettings(fake_offer(NullEncoder), "null", {"dimension": DIMENSION})
    texts = [f"a short text with the number {number}" for number in range(TEXTS)]
    micros: dict[str, list[float]] = {"embed_batch": [], "embed_stream": []}
    with TextEmbedder(settings) as embedder:
        embedder.embed_batch(texts[:5000])
        for _ in range(TURNS):
            started = time.process_time()
            embedder.embed_batch(texts)
            between = time.process_time()
            for _block in embedder.embed_stream(iter(texts)):
                pass
            micros["embed_batch"].append((between - started) / TEXTS * 1e6)
            micros["embed_stream"].append((time.process_time() - between) / TEXTS * 1e6)
    publish(
        "host_overhead",
        f"{TEXTS} short texts, an encoder that does nothing, {DIMENSION} dimensions, {TURNS} turns",
        ["call", "microseconds of CPU a text (median)", "least", "most"],
        [[call, statistics.median(values), min(values), max(values)] for call, values in micros.items()],
        {"modality": str(Modality.TEXT)},
    )


if __name__ == "__main__":
    main()
