"""How long `import llm_multi_core.embedder` takes, against `import numpy`, in fresh processes."""

from __future__ import annotations

import subprocess
import sys
import time

from paired import median_ratio, publish

TURNS = 15
STATEMENTS = {"nothing": "pass", "numpy": "import numpy", "ours": "import llm_multi_core.embedder"}


def seconds_of(statement: str) -> float:
    """Wall time of a fresh interpreter that runs a statement."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - started


def main() -> None:
    """Run the benchmark."""
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(TURNS):
        for name, statement in STATEMENTS.items():
            times[name].append(seconds_of(statement))
    bare = sorted(times["nothing"])[TURNS // 2]
    net = {name: [value - bare for value in values] for name, values in times.items()}
    publish(
        "import_time",
        f"Fresh processes, {TURNS} turns (medians)",
        ["import", "seconds"],
        [[name, sorted(values)[TURNS // 2]] for name, values in times.items()],
        {
            "ours against numpy, interpreter start taken off": median_ratio(net["ours"], net["numpy"]),
            "ours against numpy, whole process": median_ratio(times["ours"], times["numpy"]),
        },
    )


if __name__ == "__main__":
    main()
