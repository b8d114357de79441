"""Hashes: remembered safely, and the same for the same content."""

from __future__ import annotations

import hashlib
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_torch import (
    CONFIG_NOISE,
    ModelFiles,
    cache_folder,
    file_sha256,
    hashing,
    json_sha256,
    tokenizer_sha256,
    without,
)


def settled(path: Path, content: bytes, seconds: float = 60) -> Path:
    """A file that was written some time ago."""
    path.write_bytes(content)
    then = time.time_ns() - int(seconds * 1e9)
    os.utime(path, ns=(then, then))
    return path


def entries(cache: Path) -> list[Path]:
    return sorted((cache / "sha256").glob("*")) if (cache / "sha256").exists() else []


def test_a_hash_is_computed_once(tmp_path, cache, monkeypatch):
    path = settled(tmp_path / "weights", b"x" * 1000)
    expected = hashlib.sha256(b"x" * 1000).hexdigest()
    assert file_sha256(path) == expected
    monkeypatch.setattr(hashing.hashlib, "file_digest", None)  # reading it again would fail
    assert file_sha256(path) == expected
    assert len(entries(cache)) == 1


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_changed_file_is_hashed_again(change, tmp_path):
    path = settled(tmp_path / "weights", b"before")
    before = file_sha256(path)
    settled(path, b"longer than before" if change == "size" else b"after!", seconds=60 if change == "size" else 30)
    assert file_sha256(path) != before


def test_a_file_that_was_just_written_is_not_remembered(tmp_path, cache):
    (tmp_path / "weights").write_bytes(b"may change again within the clock's resolution")
    file_sha256(tmp_path / "weights")
    assert entries(cache) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"sha256": "short"}'])
def test_a_spoilt_entry_is_ignored(content, tmp_path, cache):
    path = settled(tmp_path / "weights", b"content")
    expected = file_sha256(path)
    (entry,) = entries(cache)
    known = json.loads(entry.read_text())
    entry.write_text(json.dumps({**known, **json.loads(content)}) if content.startswith('{"') else content)
    assert file_sha256(path) == expected


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("LLM_MULTI_CORE_CACHE_DIR", str(blocked / "cache"))
    path = settled(tmp_path / "weights", b"content")
    assert file_sha256(path) == hashlib.sha256(b"content").hexdigest()


def test_several_processes_share_the_cache(tmp_path, cache):
    paths = [settled(tmp_path / f"weights-{number}", bytes([number]) * 5000) for number in range(8)]
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(file_sha256, paths * 4))
    assert found == [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths * 4]
    assert [entry.suffix for entry in entries(cache)] == [".json"] * 8


def test_the_cache_folder_follows_the_environment(monkeypatch):
    monkeypatch.setenv("LLM_MULTI_CORE_CACHE_DIR", "~/elsewhere")
    assert cache_folder() == Path.home() / "elsewhere"
    monkeypatch.delenv("LLM_MULTI_CORE_CACHE_DIR")
    monkeypatch.setattr(hashing.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/xdg")
    assert cache_folder() == Path("/var/xdg/llm-multi-core")


def test_json_is_compared_by_content():
    assert json_sha256({"a": 1, "b": [2]}) == json_sha256(json.loads('{"b":[2],  "a":1}'))
    assert json_sha256({"a": 1}) != json_sha256({"a": 2})
    config = {"hidden_size": 8, "dtype": "float16", "text_config": {"_name_or_path": "x", "layers": 2}}
    assert without(config, CONFIG_NOISE) == {"hidden_size": 8, "text_config": {"layers": 2}}
    vocabulary = {"model": {"vocab": {"padding": 1, "truncation": 2}}}
    assert tokenizer_sha256({**vocabulary, "truncation": {"max_length": 9}}) == tokenizer_sha256(vocabulary)
    assert tokenizer_sha256({"model": {"vocab": {}}}) != tokenizer_sha256(vocabulary)


def test_weights_in_the_preferred_format_and_in_shards(tmp_path):
    files = ModelFiles(tmp_path, "tiny")
    assert files.weights() == {}
    (tmp_path / "pytorch_model.bin").write_bytes(b"old")
    assert list(files.weights()) == ["pytorch_model.bin"]
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"x": "b", "y": "a", "z": "a"}}')
    assert files.weights() == {name: hashlib.sha256(name.encode()).hexdigest() for name in ("a", "b")}
    (tmp_path / "a").unlink()
    with pytest.raises(ModelLoadError, match="a of model 'tiny' cannot be read"):
        files.weights()


def test_files_that_are_not_json(tmp_path):
    files = ModelFiles(tmp_path, "tiny")
    assert files.read_object("config.json") == {}
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ModelLoadError, match="holds a list, not an object"):
        files.read_object("config.json")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelLoadError, match=r"config\.json of model 'tiny' cannot be read"):
        files.read_json("config.json")
