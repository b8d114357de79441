"""The image encoder beyond parity: defaults, errors, files, conformance."""

from __future__ import annotations

import json
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from llm_multi_core.embedder import ImageEmbedder, InvalidOptionError, ModelLoadError, create_image_embedder
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance

SIDE = 32
VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": SIDE,
    "patch_size": 8,
}


@pytest.fixture
def save(tmp_path, widen):
    def make(name, **settings):
        import torch
        import transformers

        torch.manual_seed(21)
        config = getattr(transformers, f"{name}Config")(**(settings if name == "Swin" else VIT | settings))
        widen(getattr(transformers, f"{name}Model")(config)).save_pretrained(tmp_path)
        transformers.ViTImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(tmp_path)
        return tmp_path

    return make


@pytest.fixture(scope="session")
def pictures():
    draw = np.random.default_rng(5)
    sizes = [(32, 32), (64, 48), (31, 77), (100, 33), (9, 9), (33, 80), (41, 40), (50, 52), (18, 90)]
    return [Image.fromarray(draw.integers(0, 256, (height, width, 3), np.uint8)) for width, height in sizes]


def embedder_for(folder, **options):
    return closing(create_image_embedder("vit", str(folder), **({"device": "cpu", "precision": "float32"} | options)))


def test_the_default_is_the_cls_token(save, pictures):
    folder = save("ViT")
    with embedder_for(folder) as default, embedder_for(folder, extraction="cls") as cls:
        assert default.embed_batch(pictures).tolist() == cls.embed_batch(pictures).tolist()
        assert default.dimension == 32


def test_a_model_tuned_for_its_mean_gives_that(save, pictures, parity):
    import torch
    from transformers import AutoImageProcessor, AutoModel

    folder = save("Beit", use_mean_pooling=True)
    model, processor = AutoModel.from_pretrained(folder), AutoImageProcessor.from_pretrained(folder, backend="pil")
    with torch.inference_mode():
        theirs = model.eval()(**processor(images=pictures, return_tensors="pt")).pooler_output.numpy()
    with embedder_for(folder) as embedder:
        parity.check(embedder, pictures, theirs, architecture="BEiT", variant="pooled by itself")


def test_files_of_any_size_and_form(save, pictures, tmp_path, same_vectors):
    folder = save("ViT")
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number}.png")
    (tmp_path / "bad.png").write_bytes((tmp_path / "0.png").read_bytes()[:60])
    with embedder_for(folder) as embedder:
        expected = embedder.embed_batch(pictures)
        paths = [str(tmp_path / f"{number}.png") for number in range(len(pictures))]
        same_vectors(embedder.embed_batch(paths), expected)
        result = embedder.run([paths[0], str(tmp_path / "bad.png"), paths[1]], on_error="collect")
        assert result.ok.tolist() == [True, False, True]
        grey = Image.new("L", (40, 20), 77)
        same_vectors(embedder.embed_batch([grey]), embedder.embed_batch([grey.convert("RGB")]))


def test_a_large_jpeg_is_decoded_small_and_stays_close(save, tmp_path):
    folder = save("ViT")
    ramp = np.linspace(0, 255, 900)
    smooth = np.stack(
        [ramp[None, :] + 0 * ramp[:, None], ramp[:, None] + 0 * ramp[None, :], 128 + 0 * ramp + 0 * ramp[:, None]]
    )
    picture = Image.fromarray(smooth.transpose(1, 2, 0).astype(np.uint8))
    picture.save(tmp_path / "large.jpg", quality=95)
    with embedder_for(folder) as embedder:
        assert embedder.embed(str(tmp_path / "large.jpg")) @ embedder.embed(picture) > 0.99


@pytest.mark.parametrize("extraction", ["cls", "attention"])
def test_what_a_model_lacks_is_refused(extraction, save):
    settings = {
        "embed_dim": 8,
        "depths": [1, 1],
        "num_heads": [2, 2],
        "window_size": 4,
        "patch_size": 2,
        "image_size": SIDE,
    }
    folder = save("Swin", **settings)
    with (
        embedder_for(folder, extraction=extraction) as embedder,
        pytest.raises(InvalidOptionError, match="no CLS token"),
    ):
        embedder.embed(Image.new("RGB", (8, 8)))


def test_a_model_without_preprocessing_is_refused(save):
    folder = save("ViT")
    (folder / "preprocessor_config.json").unlink()
    with embedder_for(folder) as embedder, pytest.raises(ModelLoadError, match="preprocessor_config"):
        embedder.embed(Image.new("RGB", (8, 8)))


def test_a_joint_model_is_left_to_its_framework(save):
    folder = save("ViT")
    (folder / "config.json").write_text(json.dumps({"model_type": "clip", "projection_dim": 8}))
    with embedder_for(folder) as embedder, pytest.raises(InvalidOptionError, match="'clip-transformers'"):
        embedder.embed(Image.new("RGB", (8, 8)))


@pytest.mark.parametrize(
    ("name", "extraction"), [("ViT", "cls"), pytest.param("ViTMAE", "multi-layer", marks=pytest.mark.matrix)]
)
def test_openvino_stays_close(name, extraction, save, pictures):
    pytest.importorskip("openvino")
    folder = save(name)
    with (
        embedder_for(folder, extraction=extraction) as exact,
        embedder_for(folder, extraction=extraction, engine="openvino") as fast,
    ):
        assert (exact.embed_batch(pictures) * fast.embed_batch(pictures)).sum(axis=1).min() > 0.999


class TestEncoder(EncoderConformance):
    @pytest.fixture
    def case(self, save, pictures):
        return EncoderCase(
            "vit",
            embedder=ImageEmbedder,
            model=str(save("ViT")),
            samples=pictures,
            device="cpu",
            variations=[{"extraction": "mean"}, {"processor_backend": "torchvision"}],
        )
