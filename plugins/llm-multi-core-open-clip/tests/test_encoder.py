"""The encoder by itself and behind its two embedders: what is shared, found, refused, counted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from llm_multi_core.embedder import (
    EncoderConfig,
    InvalidOptionError,
    Modality,
    ModelLoadError,
    UnsupportedDimensionsError,
    UntrustedCodeError,
    create_image_embedder,
    create_text_embedder,
)
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core_open_clip import finding
from llm_multi_core_open_clip.catalogue import DEFAULT_MODEL, MODELS
from llm_multi_core_open_clip.encoder import OpenClipEncoder
from llm_multi_core_open_clip.finding import find_clip
from llm_multi_core_open_clip.names import Reference, architectures, parse_name
from llm_multi_core_open_clip.plugin import CLIP
from llm_multi_core_torch import ModelFiles

CPU = {"device": "cpu", "precision": "float32"}


def options(**given):
    return CLIP.check_options(given)


def encoder(model, **given):
    return OpenClipEncoder(EncoderConfig("clip", "llm-multi-core-open-clip", str(model), **CPU, options=given))


def items(*texts):
    return [text_item(text) for text in texts]


@pytest.fixture
def copy(model_folder, tmp_path):
    def make(name="vit", **changes):
        folder = shutil.copytree(model_folder(name), tmp_path / "copy")
        path = folder / "open_clip_config.json"
        content = json.loads(path.read_text())
        for key, value in changes.items():
            content["model_cfg"][key] = value
        path.write_text(json.dumps(content))
        return folder

    return make


# One model for images and texts.


def test_both_embedders_share_one_encoder_and_one_space(model_folder, pictures):
    folder = str(model_folder("vit"))
    with (
        closing(create_text_embedder("clip", folder, **CPU)) as texts,
        closing(create_image_embedder("clip", folder, **CPU)) as images,
    ):
        words, photos = texts.embed_batch(["a dog", "a whale"]), images.embed_batch(pictures[:3])
        assert texts._resolve().handle is images._resolve().handle
        assert texts.space == images.space
        assert texts.space.is_joint
        assert texts.space.modalities == {Modality.IMAGE, Modality.TEXT}
        similarity = texts.similarity_of_vectors(words[0], photos[0])
        assert similarity == pytest.approx(float(words[0] @ photos[0]), abs=1e-6)
        assert -1 <= similarity <= 1
        assert np.ptp(photos @ words.T) > 0.01


def test_similarity_over_both_equals_open_clips(model_folder, reference, pictures):
    folder = model_folder("quickgelu")
    model, preprocess, tokenizer = reference(folder)
    sentences = ["a dog", "the harbour and the lighthouse"]
    with torch.no_grad():
        photos = model.encode_image(torch.stack([preprocess(picture) for picture in pictures]), normalize=True)
        expected = photos @ model.encode_text(tokenizer(sentences), normalize=True).T
    with (
        closing(create_text_embedder("clip", str(folder), **CPU)) as texts,
        closing(create_image_embedder("clip", str(folder), **CPU)) as images,
    ):
        found = images.embed_batch(pictures) @ texts.embed_batch(sentences).T
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-5)


def test_the_framework_is_the_default_for_images_and_joint():
    assert CLIP.joint
    assert CLIP.default_model == {Modality.IMAGE: DEFAULT_MODEL, Modality.TEXT: DEFAULT_MODEL}


# Finding models.


@pytest.mark.parametrize(
    ("model", "pretrained", "expected"),
    [
        ("ViT-B-32@openai", None, Reference("architecture", "ViT-B-32", "openai")),
        ("ViT-B-32", "openai", Reference("architecture", "ViT-B-32", "openai")),
        ("ViT-B/32@openai", None, Reference("architecture", "ViT-B-32", "openai")),
        ("hf-hub:laion/CLIP-x", None, Reference("hub", "laion/CLIP-x")),
        ("laion/CLIP-x", None, Reference("hub", "laion/CLIP-x")),
    ],
)
def test_names(model, pretrained, expected):
    assert parse_name(model, pretrained) == expected


def test_names_that_contradict_themselves():
    with pytest.raises(InvalidOptionError, match="laion2b"):
        parse_name("ViT-B-32@openai", "laion2b_e16")
    with pytest.raises(InvalidOptionError, match="brings its own"):
        parse_name("hf-hub:laion/CLIP-x", "openai")
    with pytest.raises(ModelLoadError, match="did you mean 'ViT-B-32'"):
        parse_name("VitB-32", None)
    with pytest.raises(ModelLoadError, match="no folder"):
        parse_name("local-dir:/nowhere", None)


def test_architectures_are_open_clips():
    import open_clip

    assert set(open_clip.list_models()) == set(architectures())


def test_a_folder_is_one_space_wherever_it_lies(model_folder, copy):
    here, there = encoder(model_folder("vit")), encoder(f"local-dir:{copy()}")
    assert here.describe().space == there.describe().space
    assert here.identity() == there.identity()


def test_what_shapes_vectors_is_in_the_space(model_folder, copy):
    folder = copy()
    before = encoder(model_folder("vit")).describe().space
    config = json.loads((folder / "open_clip_config.json").read_text())
    for change in ({"model_cfg": config["model_cfg"] | {"quick_gelu": True}}, {"preprocess_cfg": {"mean": [0, 0, 0]}}):
        (folder / "open_clip_config.json").write_text(json.dumps(config | change))
        assert encoder(folder).describe().space.fingerprint != before.fingerprint


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that has every repository, each with the same weights."""
    asked = []
    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / "open_clip_model.safetensors").write_bytes(b"weights")

    def find(name, **_):
        asked.append(name)
        return ModelFiles(folder, name)

    monkeypatch.setattr(finding, "find_model", find)
    return folder, asked


def test_openais_weights_get_their_activation(hub):
    _, asked = hub
    plain, quick = find_clip("ViT-B-32@openai", options()), find_clip("ViT-B-32", options(pretrained="openai"))
    assert plain.config["quick_gelu"] is True
    assert quick.config == plain.config == find_clip(DEFAULT_MODEL, options()).config
    assert set(asked) == {"timm/vit_base_patch32_clip_224.openai"}
    assert not find_clip("ViT-B-32@laion2b_s34b_b79k", options()).config.get("quick_gelu")
    spaces = {encoder(name).describe().space.fingerprint for name in ("ViT-B-32@openai", DEFAULT_MODEL)}
    assert len(spaces) == 1


def test_a_tag_and_its_repository_are_one_space(hub):
    folder, _ = hub
    import open_clip

    content = {"model_cfg": open_clip.get_model_config("ViT-B-32-quickgelu"), "preprocess_cfg": {"fill_color": 0}}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    names = ("ViT-B-32@openai", "hf-hub:timm/vit_base_patch32_clip_224.openai", str(folder))
    assert len({encoder(name).describe().space.fingerprint for name in names}) == 1


def test_tags_that_do_not_exist(hub):
    with pytest.raises(ModelLoadError, match="'laion2b_s34b_b79k'"):
        find_clip("ViT-B-32@laion3b", options())
    with pytest.raises(ModelLoadError, match=r"choose one as 'ViT-B-32@tag'.*'openai'"):
        find_clip("ViT-B-32", options())


def test_a_repository_of_something_else(hub):
    with pytest.raises(ModelLoadError, match="not one of open_clip"):
        find_clip("openai/clip-vit-base-patch32", options())


@pytest.mark.parametrize("model", [DEFAULT_MODEL, "hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K"])
def test_without_a_hub(model, tmp_path):
    embedder = create_image_embedder("clip", model, cache_folder=str(tmp_path), **CPU)
    with closing(embedder), pytest.raises(ModelLoadError, match="local-dir:path") as caught:
        _ = embedder.dimension
    assert "open_clip_model.safetensors" in str(caught.value)


def test_the_catalogue_is_open_clips():
    import open_clip

    for spec in MODELS:
        architecture, tag = spec.name.split("@")
        config, weights = open_clip.get_model_config(architecture), open_clip.get_pretrained_cfg(architecture, tag)
        assert config["embed_dim"] == spec.dimension
        assert config["text_cfg"].get("context_length", 77) == spec.max_units
        assert spec.source == f"https://huggingface.co/{weights['hf_hub'].strip('/')}"
        assert bool(weights.get("quick_gelu")) == bool(config.get("quick_gelu"))


def test_default_preprocessing_is_open_clips():
    from open_clip.transform import PreprocessCfg

    ours, theirs = finding._DEFAULT_IMAGE, PreprocessCfg()
    assert {key: getattr(theirs, key) for key in ours} == ours


@pytest.mark.parametrize("name", ["vit", "oblong", "siglip", "resnet", "eva"])
def test_preprocessing_is_open_clips(name, model_folder, reference, pictures):
    one = encoder(model_folder(name))
    one.load()
    _, preprocess, _ = reference(model_folder(name))
    for picture in pictures[:8]:
        assert torch.equal(one._transform(picture), preprocess(picture))
    assert one.describe().intake.image_side == max(one._found.image["size"])
    one.close()


# Weights.


@pytest.fixture
def pickled(copy):
    folder = copy()
    torch.save(load_file(folder / "open_clip_model.safetensors"), folder / "open_clip_pytorch_model.bin")
    (folder / "open_clip_model.safetensors").unlink()
    return folder


def test_pickles_are_refused_unless_asked_for(pickled, model_folder, pictures, same_vectors):
    with pytest.raises(ModelLoadError, match="allow_pickle=True"):
        encoder(pickled).describe()
    with (
        closing(create_image_embedder("clip", str(pickled), allow_pickle=True, **CPU)) as embedder,
        closing(create_image_embedder("clip", str(model_folder("vit")), **CPU)) as safe,
    ):
        same_vectors(embedder.embed_batch(pictures), safe.embed_batch(pictures))


def test_pickles_with_code_never_run(pickled, tmp_path):
    class Harm:
        def __reduce__(self):
            return open, (str(tmp_path / "harm"), "w")

    torch.save({"visual.proj": Harm()}, pickled / "open_clip_pytorch_model.bin")
    one = encoder(pickled, allow_pickle=True)
    with pytest.raises(ModelLoadError, match="UnpicklingError"):
        one.load()
    assert not (tmp_path / "harm").exists()


def test_pickles_of_a_repository(hub):
    folder, _ = hub
    (folder / "open_clip_model.safetensors").rename(folder / "open_clip_pytorch_model.bin")
    with pytest.raises(ModelLoadError, match=r"open_clip_pytorch_model\.bin.*allow_pickle=True"):
        find_clip(DEFAULT_MODEL, options())
    assert find_clip(DEFAULT_MODEL, options(allow_pickle=True)).is_pickle


def test_weights_of_another_architecture(copy):
    one = encoder(copy(embed_dim=23))
    assert one.describe().native_dimension == 23
    with pytest.raises(ModelLoadError, match="could not be loaded from open_clip_model"):
        one.load()


def test_weights_from_a_file(model_folder):
    path = model_folder("vit") / "open_clip_model.safetensors"
    found = find_clip("RN50-quickgelu", options(pretrained=str(path)))
    assert found.weights_path() == path
    assert found.dimension == 1024
    assert found.label == "RN50-quickgelu@open_clip_model.safetensors"


def test_folders_without_a_model(copy, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelLoadError, match=r"open_clip_config\.json is missing"):
        encoder(tmp_path / "empty").describe()
    folder = copy()
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(ModelLoadError, match="has no weights"):
        encoder(folder).describe()
    (folder / "open_clip_config.json").write_text("{")
    with pytest.raises(ModelLoadError, match="cannot be read"):
        encoder(folder).describe()


def test_dimensions_are_the_models_own(model_folder):
    embedder = create_image_embedder("clip", str(model_folder("vit")), dimensions=7, **CPU)
    with closing(embedder), pytest.raises(UnsupportedDimensionsError):
        _ = embedder.dimension


def test_code_of_a_tokenizer_is_not_trusted(copy):
    folder = copy("siglip")
    path = folder / "open_clip_config.json"
    content = json.loads(path.read_text())
    content["model_cfg"]["text_cfg"]["tokenizer_kwargs"]["trust_remote_code"] = True
    path.write_text(json.dumps(content))
    with pytest.raises(UntrustedCodeError):
        encoder(folder).describe()
    assert encoder(folder, trust_remote_code=True).describe().native_dimension == 32


def test_describing_a_folder_imports_neither_torch_nor_open_clip(model_folder):
    script = f"""
import sys
from llm_multi_core.embedder import create_image_embedder
embedder = create_image_embedder("clip", {str(model_folder("vit"))!r}, device="cpu", precision="float32")
assert embedder.dimension == 24
assert not {{"torch", "open_clip"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_loading_is_silent(model_folder, capfd, caplog):
    one = encoder(model_folder("coca"))
    capfd.readouterr()
    caplog.clear()
    one.load()
    one.close()
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
