"""Paired timing: contestants take turns in one process, and ratios are taken turn by turn.

Turns make the figures hold when the machine's speed drifts; medians make them hold when it stutters.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


def take_turns(contestants: Mapping[str, Callable[[], Any]], turns: int) -> dict[str, list[float]]:
    """Seconds of wall time of every contestant in each of `turns` turns, after a warm-up each."""
    for run in contestants.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for turn in range(turns):
        # Each goes first as often as last, so that none always follows the same one.
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            started = time.perf_counter()
            contestants[name]()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def median_ratio(numerator: list[float], denominator: list[float]) -> float:
    """The median of the ratios, turn by turn."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


def publish(name: str, title: str, columns: list[str], rows: list[list[Any]], facts: Mapping[str, Any]) -> None:
    """Print a table and its facts, and write both as JSON to `results/NAME.json`."""
    console = Console(width=120)
    table = Table(title=title)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row))
    console.print(table)
    for fact, value in facts.items():
        console.print(f"{fact}: {value:.5g}" if isinstance(value, float) else f"{fact}: {value}")
    RESULTS.mkdir(exist_ok=True)
    content = {
        "benchmark": name,
        "machine": {"processor": processor(), "python": platform.python_version()},
        "rows": [dict(zip(columns, row, strict=True)) for row in rows],
        **facts,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
