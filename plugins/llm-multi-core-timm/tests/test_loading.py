"""Which names lead to which weights, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from llm_multi_core.embedder import InvalidOptionError, ModelLoadError, create_image_embedder

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "test_resnet.r160_in1k"


@pytest.fixture(scope="module")
def hub_cache(tmp_path_factory) -> Path:
    """The hub's cache as a download of one of timm's own models leaves it, with random weights."""
    root = tmp_path_factory.mktemp("hub")
    snapshot = root / f"models--timm--{NAME}" / "snapshots" / COMMIT
    torch.manual_seed(2)
    timm.models.save_for_hf(timm.create_model(NAME), snapshot, safe_serialization=True)
    refs = root / f"models--timm--{NAME}" / "refs"
    refs.mkdir()
    (refs / "main").write_text(COMMIT)
    return root


def make(model, **options):
    return create_image_embedder("timm", str(model), device="cpu", precision="float32", **options)


@pytest.mark.parametrize(
    "name", [NAME, f"timm/{NAME}", f"hf-hub:timm/{NAME}", f"hf_hub:timm/{NAME}", f"hf-hub:timm/{NAME}@{COMMIT}"]
)
@pytest.mark.parametrize("offline", [True, False])
def test_names_of_the_hub(hub_cache, pictures, name, offline):
    """All of them are the same weights, and one space, whether or not the hub is asked."""
    folder = hub_cache / f"models--timm--{NAME}" / "snapshots" / COMMIT
    with (
        make(name, cache_folder=str(hub_cache), local_files_only=offline) as named,
        make(folder) as local,
        make(f"local-dir:{folder}") as prefixed,
    ):
        assert named.space.fingerprint == local.space.fingerprint == prefixed.space.fingerprint
        assert named.space.label in {NAME, f"timm/{NAME}"}
        assert np.array_equal(named.embed(pictures[0]), local.embed(pictures[0]))


def test_revision(hub_cache):
    with make(NAME, cache_folder=str(hub_cache), revision=COMMIT) as embedder:
        assert embedder.dimension == 96
    with pytest.raises(ModelLoadError, match="neither a folder nor in the local cache"):
        make(NAME, cache_folder=str(hub_cache), revision="other", local_files_only=True).dimension  # noqa: B018
    with pytest.raises(InvalidOptionError, match="revision"):
        make(f"hf-hub:timm/{NAME}@main", cache_folder=str(hub_cache), revision="other").dimension  # noqa: B018


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet5O", "no architecture 'resnet5O'.*did you mean 'resnet50'"),
        ("resnet50.nonsense", "no weights 'resnet50.nonsense'; there are resnet50"),
        ("legacy_senet154.in1k", "on the hub.*save_for_hf"),
        ("local-dir:nowhere", "no folder 'nowhere'"),
        ("./nowhere", "no folder"),
        ("torchvision:vgg16", "torchvision:alexnet"),
        ("torchvision:alexnet", "allow_pickle=True"),
    ],
)
def test_names_that_lead_nowhere(name, message):
    with pytest.raises(ModelLoadError, match=message):
        make(name).dimension  # noqa: B018


def test_another_librarys_model(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(ModelLoadError, match="not timm's"):
        make(tmp_path).dimension  # noqa: B018


def test_pickle_is_refused_unless_allowed(model_folder, pictures, tmp_path):
    source = model_folder("resnet")
    shutil.copy(source / "config.json", tmp_path)
    model = timm.create_model(f"local-dir:{source}", pretrained=True)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelLoadError, match=r"pytorch_model.bin.*allow_pickle=True"):
        make(tmp_path).embed(pictures[0])
    with make(tmp_path, allow_pickle=True) as pickled, make(source) as safe:
        assert np.array_equal(pickled.embed(pictures[0]), safe.embed(pictures[0]))
    shutil.copy(source / "model.safetensors", tmp_path)
    with make(tmp_path, allow_pickle=True) as both, make(source) as safe:
        assert both.space.fingerprint == safe.space.fingerprint


def test_code_in_a_pickle_does_not_run(model_folder, pictures, tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    shutil.copy(model_folder("resnet") / "config.json", tmp_path)
    torch.save({"fc.weight": Trap()}, tmp_path / "pytorch_model.bin")
    with make(tmp_path, allow_pickle=True) as embedder, pytest.raises(ModelLoadError):
        embedder.embed(pictures[0])
    assert not (tmp_path / "sprung").exists()


def test_weights_that_do_not_fit(model_folder, pictures, tmp_path):
    shutil.copy(model_folder("resnet") / "config.json", tmp_path)
    save_file({"something": torch.zeros(3)}, tmp_path / "model.safetensors")
    with make(tmp_path) as embedder, pytest.raises(ModelLoadError, match="could not be loaded"):
        embedder.embed(pictures[0])
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelLoadError, match="no weights"):
        make(tmp_path).dimension  # noqa: B018


def test_files_of_alexnet_are_checked(tmp_path, monkeypatch):
    """What lies in torch's cache under the published name must have the published hash."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ModelLoadError, match="not in torch's cache"):
        make("torchvision:alexnet", allow_pickle=True, local_files_only=True).dimension  # noqa: B018
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth").write_bytes(b"something else")
    with pytest.raises(ModelLoadError, match="hash"):
        make("torchvision:alexnet", allow_pickle=True).dimension  # noqa: B018


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet", {"extraction": "cls"}, "no class token"),
        ("resnet", {"extraction": "multi-level", "levels": 9}, "levels=9"),
        ("resnet", {"extraction": "multi-level", "levels": 0}, "levels=0"),
        ("vit", {"extraction": "mean"}, "'gap'"),
    ],
)
def test_features_that_a_model_lacks(model_folder, name, options, message):
    with pytest.raises(InvalidOptionError, match=message):
        make(model_folder(name), **options).dimension  # noqa: B018


def test_default_models_exist():
    """Every name in the catalogue is one of timm's, with the dimension that it says."""
    from timm.models import get_pretrained_cfg

    from llm_multi_core_timm.building import outline
    from llm_multi_core_timm.extraction import extract
    from llm_multi_core_timm.finding import Checkpoint
    from llm_multi_core_timm.plugin import RESNET, TIMM
    from llm_multi_core_torch import ModelFiles

    for spec in (TIMM, RESNET):
        for known in spec.models:
            if not known.name.startswith("torchvision:"):
                assert get_pretrained_cfg(known.name, allow_unregistered=False).hf_hub_id == f"timm/{known.name}"
            files = ModelFiles(Path("nowhere"), known.name)
            checkpoint = Checkpoint(known.name.partition(".")[0], known.name, known.name, "", "", files)

            def dimension(model, zeros):
                images = zeros((1, *model.pretrained_cfg["input_size"]))
                assert images.is_meta
                return extract(model, images, "auto", 3).shape[1]

            assert outline(checkpoint, dimension) == known.dimension
