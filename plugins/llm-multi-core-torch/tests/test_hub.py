"""Finding models: what is downloaded when, and what is said where one is not to be had."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_torch import find_model, loaded_files

FILES = {
    "README.md": b"# A card",
    "config.json": b'{"hidden_size": 8}',
    "model.safetensors": b"the weights" * 100,
    "pytorch_model.bin": b"the same in another format",
    "onnx/model.onnx": b"an export",
    "1_Pooling/config.json": b'{"pooling_mode": "mean"}',
    "2_Dense/model.safetensors": b"a head",
    "3_Unused/model.safetensors": b"another head",
}


def test_a_model_is_described_without_its_weights_and_loaded_with_those_it_needs(hub, tmp_path):
    served = hub(FILES)
    files = find_model("acme/tiny", cache_folder=str(tmp_path / "hub"))
    assert sorted(served.downloads) == ["1_Pooling/config.json", "config.json"]
    assert files.read_object("config.json") == {"hidden_size": 8}
    assert files.revision == served.commit
    digest = hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    assert files.weights() == {"model.safetensors": digest}

    served.downloads.clear()
    files.download(["", "1_Pooling", "2_Dense"])
    assert sorted(served.downloads) == ["2_Dense/model.safetensors", "model.safetensors"]
    assert (files.folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]

    served.downloads.clear()
    again = find_model("acme/tiny", cache_folder=str(tmp_path / "hub"))
    again.download(["", "2_Dense"])
    assert served.downloads == []
    assert again.weights() == files.weights()


def test_what_is_in_the_cache_needs_no_hub(hub, tmp_path):
    served = hub(FILES)
    folder = str(tmp_path / "hub")
    online = find_model("acme/tiny", cache_folder=folder)
    online.download([""])
    served.server.shutdown()
    served.server.server_close()
    for cached in (
        find_model("acme/tiny", cache_folder=folder),
        find_model("acme/tiny", cache_folder=folder, local_files_only=True),
        find_model("acme/tiny", cache_folder=folder, revision=online.revision, local_files_only=True),
    ):
        assert cached.weights() == online.weights()
        assert cached.revision == served.commit


def test_weights_in_the_hub_cache_are_known_without_reading_them(hub, tmp_path):
    hub(FILES)
    files = find_model("acme/tiny", cache_folder=str(tmp_path / "hub"))
    files.download([""])
    blob = (files.folder / "model.safetensors").resolve()
    if blob.parent.name != "blobs":
        pytest.skip("this file system has no symbolic links")
    blob.write_bytes(b"not read")
    assert files.weights() == {"model.safetensors": blob.name}


def test_models_that_are_not_there(hub, tmp_path):
    hub(FILES)
    folder = str(tmp_path / "hub")
    with pytest.raises(ModelLoadError, match=r"no model on the hub named 'acme/tyni' .*; did you mean 'acme/tiny'\?"):
        find_model("acme/tyni", cache_folder=folder, known=["acme/tiny"])
    with pytest.raises(ModelLoadError, match="has no revision 'v9'"):
        find_model("acme/tiny", revision="v9", cache_folder=folder)
    with pytest.raises(ModelLoadError, match=r"neither a folder nor in the local cache.*offline"):
        find_model("acme/tiny", cache_folder=folder, local_files_only=True)


def test_a_gated_model_tells_what_to_do(hub, tmp_path):
    hub(FILES, gated=True)
    with pytest.raises(ModelLoadError, match=r"accept its terms on the hub.*HF_TOKEN"):
        find_model("acme/tiny", cache_folder=str(tmp_path / "hub"))


def test_an_access_token_is_in_no_message(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnop")
    hub(FILES, gated=True)
    with pytest.raises(ModelLoadError) as caught:
        find_model("acme/tiny", cache_folder=str(tmp_path / "hub"))
    seen, error = [], caught.value
    while error is not None:
        seen.append(f"{error!r} {error}")
        error = error.__cause__
    assert "hf_abc" not in " ".join(seen)


def test_a_folder_is_taken_as_it_is(tmp_path):
    (tmp_path / "model").mkdir()
    assert find_model(str(tmp_path / "model")).folder == (tmp_path / "model").resolve()
    with pytest.raises(ModelLoadError, match="did you mean 'model'"):
        find_model(str(tmp_path / "modle"))
    (tmp_path / "file").touch()
    with pytest.raises(ModelLoadError, match="is a file"):
        find_model(str(tmp_path / "file"))


def test_exports_and_duplicate_formats_are_left_out():
    assert loaded_files(FILES) == [
        "1_Pooling/config.json",
        "2_Dense/model.safetensors",
        "3_Unused/model.safetensors",
        "config.json",
        "model.safetensors",
    ]
    assert loaded_files(["pytorch_model.bin", "a/model.safetensors"]) == ["a/model.safetensors", "pytorch_model.bin"]
    assert Path("openvino/openvino_model.bin").as_posix() not in loaded_files(["openvino/openvino_model.bin"])
