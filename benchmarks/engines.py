"""OpenVINO against torch as the engine of all-MiniLM-L6-v2, on this CPU, in turns of one process.

Every turn embeds other texts, so that batches come in sizes that neither engine has seen, as in use.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable

import numpy as np
from paired import median_ratio, publish, take_turns
from text_cpu import model_folder, sample_texts

from llm_multi_core.embedder import TextEmbedder, create_text_embedder

CONTESTANTS = [(engine, precision) for precision in ("float32", "bfloat16") for engine in ("torch", "openvino")]


def loaded(engine: str, precision: str) -> tuple[TextEmbedder, float]:
    """An embedder that is ready, and the seconds that took."""
    embedder = create_text_embedder(
        "sentence-transformers", model_folder(), device="cpu", engine=engine, precision=precision
    )
    started = time.perf_counter()
    embedder.embed("warm up")
    return embedder, time.perf_counter() - started


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--turns", type=int, default=7)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    pool = sample_texts(arguments.texts * (arguments.turns + 1))
    with tempfile.TemporaryDirectory() as cache:
        os.environ["LLM_MULTI_CORE_CACHE_DIR"] = cache
        loaded("torch", "float32")  # torch and transformers are imported by now
        _, converting = loaded("openvino", "float32")
        ready = {contestant: loaded(*contestant) for contestant in CONTESTANTS}

    def contestant(embedder: TextEmbedder) -> Callable[[], object]:
        windows = iter([pool[start : start + arguments.texts] for start in range(0, len(pool), arguments.texts)])
        return lambda: embedder.embed_batch(next(windows))

    contestants = {f"{engine} {precision}": contestant(ready[engine, precision][0]) for engine, precision in ready}
    seconds = take_turns(contestants, arguments.turns)
    exact = ready["torch", "float32"][0].embed_batch(pool[: arguments.texts])
    rows = []
    for (engine, precision), (embedder, load) in ready.items():
        times = seconds[f"{engine} {precision}"]
        median = sorted(times)[len(times) // 2]
        vectors = embedder.embed_batch(pool[: arguments.texts])
        ratio = median_ratio(seconds[f"torch {precision}"], times)
        cosine = float(np.min((vectors * exact).sum(axis=1)))
        rows.append([engine, precision, median, arguments.texts / median, ratio, cosine, load])
    publish(
        "engines",
        f"{arguments.texts} texts a turn, all-MiniLM-L6-v2, {arguments.turns} turns (medians)",
        ["engine", "precision", "seconds", "texts/s", "speed against torch", "lowest cosine", "seconds to load"],
        rows,
        {
            "torch/openvino in float32": median_ratio(seconds["torch float32"], seconds["openvino float32"]),
            "torch/openvino in bfloat16": median_ratio(seconds["torch bfloat16"], seconds["openvino bfloat16"]),
            "seconds of the first load, which converts": converting,
        },
    )


if __name__ == "__main__":
    main()
