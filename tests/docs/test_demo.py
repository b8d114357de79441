"""The demo runs offline and finds the right answers."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_demo_answers_every_question(tmp_path):
    environment = {**os.environ, "HF_HOME": str(tmp_path), "COLUMNS": "120"}
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Right answer first in both: 5 of 5" in done.stdout
    assert "sentence-transformers" in done.stdout
    assert "duplicates" in done.stdout
