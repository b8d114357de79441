"""Vectors equal those of open_clip's `encode_image` and `encode_text`, in any order and batch."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
import torch

from llm_multi_core.embedder import create_image_embedder, create_text_embedder

MODELS = {
    "vit": "CLIP ViT",
    "quickgelu": "CLIP ViT, QuickGELU",
    "oblong": "CLIP ViT, not square",
    "resnet": "CLIP ResNet",
    "coca": "CoCa",
    "siglip": "SigLIP",
    "eva": "EVA-CLIP",
    "bert": "CLIP ViT, BERT as text tower",
}
"""The architecture of each tiny model."""


def image_embedder(folder, **options):
    return closing(create_image_embedder("clip", str(folder), **{"device": "cpu", "precision": "float32"} | options))


def text_embedder(folder, **options):
    settings = {"device": "cpu", "precision": "float32", "truncation": "truncate"} | options
    return closing(create_text_embedder("clip", str(folder), **settings))


def reference_images(loaded, pictures):
    model, preprocess, _ = loaded
    with torch.no_grad():
        return torch.cat([model.encode_image(preprocess(picture)[None]) for picture in pictures]).numpy()


def reference_texts(loaded, texts):
    model, _, tokenizer = loaded
    with torch.no_grad():
        return torch.cat([model.encode_text(tokenizer([text])) for text in texts]).numpy()


@pytest.mark.parametrize("name", MODELS)
def test_images(name, model_folder, reference, pictures, parity):
    folder = model_folder(name)
    expected = reference_images(reference(folder), pictures)
    with image_embedder(folder) as embedder:
        parity.check(embedder, pictures, expected, architecture=MODELS[name])


@pytest.mark.parametrize("name", MODELS)
def test_texts(name, model_folder, reference, texts, parity):
    folder = model_folder(name)
    expected = reference_texts(reference(folder), texts)
    with text_embedder(folder) as embedder:
        parity.check(embedder, texts, expected, architecture=MODELS[name])


@pytest.mark.parametrize("name", ["vit", "siglip"])
def test_files(name, model_folder, pictures, same_vectors, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        picture.save(path)
    with image_embedder(model_folder(name)) as embedder:
        same_vectors(embedder.embed_batch(paths), embedder.embed_batch(pictures))


def test_large_jpegs_stay_close(model_folder, reference, pictures, tmp_path):
    large = [picture.resize((640, 480)) for picture in pictures[:6]]
    paths = [tmp_path / f"{number}.jpg" for number in range(len(large))]
    for path, picture in zip(paths, large, strict=True):
        picture.save(path, quality=90)
    from PIL import Image

    folder = model_folder("vit")
    expected = reference_images(reference(folder), [Image.open(path) for path in paths])
    with image_embedder(folder) as embedder:
        ours = embedder.embed_batch(paths)
    cosines = (ours * expected).sum(axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() > 0.99


@pytest.mark.parametrize("name", ["vit", "coca", "siglip", "bert"])
@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_bfloat16_stays_close(name, engine, model_folder, reference, pictures, texts):
    if engine == "openvino":
        pytest.importorskip("openvino")
    folder = model_folder(name)
    loaded = reference(folder)
    settings = {"precision": "bfloat16", "engine": engine}
    with image_embedder(folder, **settings) as images, text_embedder(folder, **settings) as words:
        pairs = [
            (images.embed_batch(pictures), reference_images(loaded, pictures)),
            (words.embed_batch(texts), reference_texts(loaded, texts)),
        ]
    for ours, theirs in pairs:
        cosines = (ours * theirs).sum(axis=1) / np.linalg.norm(theirs, axis=1)
        assert cosines.min() > 0.999


def test_vectors_are_the_models_own_when_not_normalised(model_folder, reference, pictures, texts):
    folder = model_folder("vit")
    with image_embedder(folder, normalize=False) as images, text_embedder(folder, normalize=False) as words:
        np.testing.assert_allclose(
            images.embed_batch(pictures), reference_images(reference(folder), pictures), rtol=1e-4, atol=1e-4
        )
        np.testing.assert_allclose(
            words.embed_batch(texts[:9]), reference_texts(reference(folder), texts[:9]), rtol=1e-4, atol=1e-4
        )


def test_the_activation_matters(model_folder, pictures):
    with image_embedder(model_folder("vit")) as plain, image_embedder(model_folder("quickgelu")) as quick:
        assert plain.space.fingerprint != quick.space.fingerprint
        cosines = (plain.embed_batch(pictures) * quick.embed_batch(pictures)).sum(axis=1)
    assert cosines.min() < 0.9999
