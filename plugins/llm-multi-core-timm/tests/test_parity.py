"""Vectors against timm's own, and torchvision's for AlexNet."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from timm.data import create_transform, resolve_data_config

from llm_multi_core.embedder import create_image_embedder
from llm_multi_core.embedder.testing.conformance import Tolerance

matrix = pytest.mark.matrix
ERROR = Tolerance(error=1e-4)
"""Random weights of many convolutions, one behind another, blow rounding errors up."""

FAMILIES = {
    "resnet": "ResNet",
    "vit": "ViT",
    "efficientnet": "EfficientNet",
    "vgg": "VGG",
    "convnext": "ConvNeXt",
    "swin": "Swin",
    "registers": "DINOv2 with registers",
}
MORE = {
    "resnet18": "ResNet-18",
    "resnet50": "ResNet-50",
    "vgg16": "VGG-16",
    "inception_v3": "Inception v3",
    "inception_v4": "Inception v4",
    "inception_resnet_v2": "Inception-ResNet v2",
    "efficientnet_b0": "EfficientNet-B0",
    "efficientnetv2": "EfficientNetV2",
    "mobilenetv3": "MobileNetV3",
    "convnext_atto": "ConvNeXt atto",
    "densenet": "DenseNet-121",
    "vit_tiny": "ViT tiny",
    "deit": "DeiT, distilled",
    "beit": "BEiT",
    "eva02": "EVA-02",
}
ARCHITECTURES = {"grey": "ResNet"} | FAMILIES | MORE
"""The architecture of each model in `MODELS`."""


def reference(folder):
    """timm's model, and what turns a picture into its input."""
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = create_transform(**resolve_data_config({}, model=model), is_training=False)
    return model, transform


@torch.inference_mode()
def expected(features, transform, pictures):
    """One picture at a time, brought to length 1."""
    rows = torch.cat([features(transform(picture)[None]) for picture in pictures])
    return torch.nn.functional.normalize(rows.double(), dim=1).numpy()


@pytest.fixture
def check(model_folder, pictures, parity):
    """Compares a model of timm's, by its name in `MODELS`."""

    def compare(name, theirs, *, variant="", framework="timm", **options):
        settings = {"precision": "float32", "device": "cpu"}
        with create_image_embedder(framework, str(model_folder(name)), **settings, **options) as embedder:
            architecture = ARCHITECTURES[name]
            parity.check(
                embedder, pictures, theirs, architecture=architecture, variant=variant, tolerance=ERROR, alone=12
            )
            assert embedder.dimension == theirs.shape[1]

    return compare


def pooled(model):
    return lambda x: model.forward_head(model.forward_features(x), pre_logits=True)


@pytest.mark.parametrize("name", [*FAMILIES, *(pytest.param(name, marks=matrix) for name in MORE)])
def test_pooled_features(model_folder, pictures, name, check):
    model, transform = reference(model_folder(name))
    check(name, expected(pooled(model), transform, pictures), variant="auto")


@pytest.mark.parametrize("name", ["resnet", pytest.param("resnet50", marks=matrix)])
def test_framework_resnet(model_folder, pictures, name, check):
    model, transform = reference(model_folder(name))
    check(name, expected(pooled(model), transform, pictures), framework="resnet")


@pytest.mark.parametrize("name", ["vit", "registers"])
@pytest.mark.parametrize("extraction", ["cls", "gap", "gmp"])
def test_tokens(model_folder, pictures, name, extraction, check):
    model, transform = reference(model_folder(name))
    prefix = {"vit": 1, "registers": 5}[name]

    def features(x):
        tokens = model.forward_features(x)
        if extraction == "cls":
            return tokens[:, 0]
        patches = tokens[:, prefix:]
        assert patches.shape[1] == 16
        return patches.mean(1) if extraction == "gap" else patches.max(1).values

    check(name, expected(features, transform, pictures), variant=extraction, extraction=extraction)


@pytest.mark.parametrize("name", ["resnet", "convnext", "swin"])
@pytest.mark.parametrize("extraction", ["gap", "gmp"])
def test_maps(model_folder, pictures, name, extraction, check):
    model, transform = reference(model_folder(name))

    def features(x):
        maps = model.forward_features(x)
        places = (1, 2) if name == "swin" else (2, 3)
        return maps.mean(places) if extraction == "gap" else maps.amax(places)

    check(name, expected(features, transform, pictures), variant=extraction, extraction=extraction)


@pytest.mark.parametrize("name", ["resnet", "efficientnet"])
def test_levels_of_convolutions(model_folder, pictures, name, check):
    """Against timm's `features_only`."""
    folder = model_folder(name)
    _, transform = reference(folder)
    model = timm.create_model(f"local-dir:{folder}", pretrained=True, features_only=True, out_indices=(-3, -2, -1))
    model.eval()
    theirs = expected(lambda x: torch.cat([level.mean((2, 3)) for level in model(x)], 1), transform, pictures)
    check(name, theirs, variant="multi-level", extraction="multi-level")


def test_levels_of_a_transformer(model_folder, pictures, check):
    model, transform = reference(model_folder("vit"))

    def features(x):
        x = model.norm_pre(model._pos_embed(model.patch_embed(x)))
        layers = []
        for block in model.blocks:
            x = block(x)
            layers.append(model.norm(x)[:, 1:].mean(1))
        return torch.cat(layers[-2:], 1)

    theirs = expected(features, transform, pictures)
    check("vit", theirs, variant="multi-level", extraction="multi-level", levels=2)


def test_grey(model_folder, pictures, check):
    model, transform = reference(model_folder("grey"))
    greys = [picture.convert("L") for picture in pictures]
    theirs = expected(lambda x: model.forward_features(x).mean((2, 3)), transform, greys)
    check("grey", theirs, variant="one channel")


@pytest.mark.parametrize("extraction", ["auto", "multi-level", pytest.param("gap", marks=matrix)])
def test_alexnet(alexnet_folder, pictures, extraction, parity):
    """Against torchvision's model under torchvision's own preprocessing."""
    from safetensors.torch import load_file
    from torchvision.models import AlexNet_Weights, alexnet

    model = alexnet(num_classes=5)
    model.load_state_dict(load_file(alexnet_folder / "model.safetensors"))
    model.eval()
    transform = AlexNet_Weights.IMAGENET1K_V1.transforms()

    def features(x):
        if extraction == "auto":
            return model.classifier[:6](model.avgpool(model.features(x)).flatten(1))
        ends = (13,) if extraction == "gap" else (3, 6, 13)
        return torch.cat([model.features[:end](x).mean((2, 3)) for end in ends], 1)

    few = pictures[:5]
    theirs = expected(features, transform, few)
    settings = {"precision": "float32", "device": "cpu", "extraction": extraction}
    with create_image_embedder("timm", str(alexnet_folder), **settings) as embedder:
        parity.check(embedder, few, theirs, architecture="AlexNet (torchvision)", variant=extraction, tolerance=ERROR)


def test_files_are_as_pictures(model_folder, pictures, tmp_path):
    """Paths, bytes and arrays give the vectors of the pictures that they hold."""
    forms = []
    for place, picture in enumerate(pictures[:4]):
        picture.save(tmp_path / f"{place}.png")
        forms.append(tmp_path / f"{place}.png")
    forms += [(tmp_path / "0.png").read_bytes(), np.asarray(pictures[1])]
    with create_image_embedder("timm", str(model_folder("vit")), precision="float32", device="cpu") as embedder:
        ours, theirs = embedder.embed_batch(forms), embedder.embed_batch([*pictures[:4], *pictures[:2]])
    assert np.abs(ours - theirs).max() < 1e-6


def test_large_jpegs_are_decoded_at_reduced_scale(model_folder, tmp_path):
    """What that does to a vector is bounded: cosine at least 0.999 for a photograph-like picture."""
    from PIL import Image

    draw = np.random.default_rng(8)
    coarse = Image.fromarray(draw.integers(0, 256, (12, 16, 3), np.uint8))
    coarse.resize((1600, 1200), Image.Resampling.BICUBIC).save(tmp_path / "large.jpg", quality=92)
    model, transform = reference(model_folder("vit"))
    with Image.open(tmp_path / "large.jpg") as picture:
        picture.load()
        theirs = expected(pooled(model), transform, [picture])
    with create_image_embedder("timm", str(model_folder("vit")), precision="float32", device="cpu") as embedder:
        ours = embedder.embed(tmp_path / "large.jpg")

    assert float(ours @ theirs[0]) >= 0.999
