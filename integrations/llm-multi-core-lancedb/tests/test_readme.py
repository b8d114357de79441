"""The first block of the README runs; those on pictures need a model from a hub."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("llm_multi_core_sentence_transformers")

README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")


def test_the_first_block_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    block = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)[0]
    exec(compile(block, "README.md", "exec", dont_inherit=True), {})
    assert "A cat sleeps on the windowsill." in capsys.readouterr().out
