"""CLIP, SigLIP and FLAVA checkpoints: both towers equal transformers' own features, in one space."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from llm_multi_core.embedder import ImageEmbedder, create_image_embedder, create_text_embedder
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance

WIDTH, SIDE, LIMIT = 32, 32, 20
_TOWER = {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
_VISION = _TOWER | {"image_size": SIDE, "patch_size": 8}
_TEXT = _TOWER | {"vocab_size": 400, "max_position_embeddings": LIMIT, "pad_token_id": 1, "bos_token_id": 0}

WORDS = ("river", "a whale", "copper", "the violin", "no", "glacier", "of protein", "orchard", "x", "an engine " * 3)
KINDS = {"clip": "CLIP", "siglip": "SigLIP", "flava": "FLAVA", "chinese-clip": "Chinese-CLIP"}


def _build(kind):
    import transformers as t

    if kind == "clip":
        text = _TEXT | {"eos_token_id": 2, "projection_dim": 24}
        return t.CLIPModel(t.CLIPConfig(text_config=text, vision_config=_VISION, projection_dim=24))
    if kind == "siglip":
        return t.SiglipModel(t.SiglipConfig(text_config=_TEXT | {"eos_token_id": 2}, vision_config=_VISION))
    if kind == "flava":
        text = {key: value for key, value in _TEXT.items() if key != "bos_token_id"}
        config = t.FlavaConfig(text_config=text, image_config=_VISION, projection_dim=24, hidden_size=WIDTH)
        return t.FlavaModel(config)
    text = {key: value for key, value in _TEXT.items() if key != "bos_token_id"}
    return t.ChineseCLIPModel(t.ChineseCLIPConfig(text_config=text, vision_config=_VISION, projection_dim=24))


@pytest.fixture
def checkpoint(tmp_path, widen, save_tokenizer):
    def make(kind):
        import torch
        import transformers

        torch.manual_seed(31)
        widen(_build(kind)).save_pretrained(tmp_path)
        wordpiece = kind in {"flava", "chinese-clip"}
        save_tokenizer(tmp_path, "wordpiece" if wordpiece else "roberta", model_max_length=LIMIT, type_ids=wordpiece)
        processors = {"clip": "CLIP", "siglip": "Siglip", "flava": "Flava", "chinese-clip": "ChineseCLIP"}
        size = {"height": SIDE, "width": SIDE}
        processor = getattr(transformers, f"{processors[kind]}ImageProcessorPil")
        cut = {} if kind == "siglip" else {"crop_size": size}
        shortest = {"shortest_edge": SIDE} if kind in {"clip", "chinese-clip"} else size
        processor(size=shortest, **cut).save_pretrained(tmp_path)
        return tmp_path

    return make


@pytest.fixture(scope="session")
def pictures():
    draw = np.random.default_rng(5)
    sizes = [(32, 32), (64, 48), (31, 77), (100, 33), (9, 9), (33, 80), (41, 40), (50, 52), (18, 90)]
    made = [Image.fromarray(draw.integers(0, 256, (height, width, 3), np.uint8)) for width, height in sizes]
    return [*made, Image.new("RGB", (50, 40), "red")]


def first(features):
    features = features if not hasattr(features, "pooler_output") else features.pooler_output
    return (features[:, 0] if features.ndim == 3 else features)[0].numpy()


def reference(folder, kind, texts, images):
    """One at a time, as the models' documentation does it."""
    import torch
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    padding = {"padding": "max_length", "return_attention_mask": False} if kind == "siglip" else {}
    with torch.inference_mode():
        text_rows = []
        for text in texts:
            tokens = tokenizer(text, truncation=True, max_length=LIMIT, return_tensors="pt", **padding)
            text_rows.append(first(model.get_text_features(**tokens)))
        image_rows = [
            first(model.get_image_features(processor(images=image, return_tensors="pt")["pixel_values"]))
            for image in images
        ]
    return np.stack(text_rows), np.stack(image_rows)


@pytest.mark.parametrize(
    "kind", [kind if kind != "chinese-clip" else pytest.param(kind, marks=pytest.mark.matrix) for kind in KINDS]
)
def test_both_towers_equal_those_of_transformers(kind, checkpoint, texts, pictures, parity):
    folder = checkpoint(kind)
    their_texts, their_images = reference(folder, kind, texts, pictures)
    settings = {"device": "cpu", "precision": "float32", "truncation": "truncate"}
    with (
        closing(create_text_embedder("clip-transformers", str(folder), **settings)) as text,
        closing(create_image_embedder("clip-transformers", str(folder), **settings)) as image,
    ):
        parity.check(text, texts, their_texts, architecture=KINDS[kind])
        parity.check(image, pictures, their_images, architecture=KINDS[kind])
        assert text.space == image.space
        assert text.space.is_joint


def test_both_towers_are_loaded_once(checkpoint, pictures, monkeypatch):
    from llm_multi_core_transformers import towers

    loads = []
    monkeypatch.setattr(
        towers, "load_weights", lambda *a, load=towers.load_weights, **k: loads.append(1) or load(*a, **k)
    )
    folder = str(checkpoint("clip"))
    settings = {"device": "cpu", "precision": "float32"}
    with (
        closing(create_text_embedder("clip-transformers", folder, **settings)) as text,
        closing(create_image_embedder("clip-transformers", folder, **settings)) as image,
    ):
        text.embed("river")
        image.embed(pictures[0])
    assert loads == [1]


@pytest.mark.matrix
@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_openvino_stays_close(kind, checkpoint, texts, pictures):
    pytest.importorskip("openvino")
    folder = str(checkpoint(kind))
    settings = {"device": "cpu", "precision": "float32", "truncation": "truncate"}
    for make, inputs in ((create_text_embedder, texts), (create_image_embedder, pictures)):
        with (
            closing(make("clip-transformers", folder, **settings)) as exact,
            closing(make("clip-transformers", folder, engine="openvino", **settings)) as fast,
        ):
            assert (exact.embed_batch(inputs) * fast.embed_batch(inputs)).sum(axis=1).min() > 0.999


class TestText(EncoderConformance):
    @pytest.fixture
    def case(self, checkpoint):
        return EncoderCase("clip-transformers", model=str(checkpoint("clip")), device="cpu", samples=WORDS, examples=5)


class TestImages(EncoderConformance):
    @pytest.fixture
    def case(self, checkpoint, pictures):
        return EncoderCase(
            "clip-transformers",
            embedder=ImageEmbedder,
            model=str(checkpoint("siglip")),
            samples=pictures,
            device="cpu",
            variations=[{"processor_backend": "torchvision"}],
        )
