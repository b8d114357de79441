"""The blocks of the README run, one after the other, with a small folder and a space that needs no download."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llama_index.embeddings.llm_multi_core import MultiCoreMultiModalEmbedding

pytest.importorskip("llm_multi_core_sentence_transformers")

README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
JOINT = 'MultiCoreMultiModalEmbedding(framework="clip")'


def test_the_blocks_run(joint, media, monkeypatch, capsys):
    folder = media.folder.rename(media.folder.parent / "holiday")
    media.folder = folder
    media.picture("beach.png", 1)
    media.picture("mountain.png", 2)
    media.sound("waves.wav")
    media.text("diary.txt", "We walked along the shore.")
    monkeypatch.chdir(folder.parent)
    assert JOINT in README, "the one line that a model hub is needed for"
    blocks = re.findall(r"^```python\n(.*?)^```$", README.replace(JOINT, "joint_space()"), re.MULTILINE | re.DOTALL)
    program = {"joint_space": joint}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), program)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "A cat sleeps on the windowsill."
    assert len(printed) == 6
    assert printed[-1] == str(folder / "beach.png")
    assert isinstance(program["embed_model"], MultiCoreMultiModalEmbedding)
