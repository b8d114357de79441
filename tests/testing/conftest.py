"""Running the kit on encoders and plugins that are wrong on purpose, away from this pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

SETTINGS = "[pytest]\nfilterwarnings = error\npython_files = *.py\n"


@pytest.fixture(scope="session")
def run_kit(tmp_path_factory):
    """Runs a file of test classes; the names of the failed tests by class, parameters left out."""

    def run(file: Path, *import_path: Path) -> dict[str, set[str]]:
        folder = tmp_path_factory.mktemp("kit")
        (folder / "pytest.ini").write_text(SETTINGS, encoding="utf-8")
        report = folder / "report.xml"
        arguments = ["-c", folder / "pytest.ini", "--rootdir", file.parent, "--import-mode=importlib"]
        quiet = ["-q", "--tb=no", "-p", "no:cacheprovider", f"--junitxml={report}"]
        # Other pytest plugins play no part here and take seconds to load.
        alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", file, *arguments, *quiet],
            env={**os.environ, **alone, "PYTHONPATH": os.pathsep.join(map(str, import_path))},
            capture_output=True,
            text=True,
            check=False,
        )
        assert report.exists(), done.stdout + done.stderr
        failed: dict[str, set[str]] = defaultdict(set)
        for test in ET.parse(report).iter("testcase"):
            name = test.get("classname", "").rpartition(".")[2]
            failed[name] |= set()
            if test.find("failure") is not None or test.find("error") is not None:
                failed[name].add(test.get("name", "").partition("[")[0])
        assert failed, done.stdout + done.stderr
        return dict(failed)

    return run
