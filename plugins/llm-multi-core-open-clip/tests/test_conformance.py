"""The host's conformance kit."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from llm_multi_core.embedder import ImageEmbedder
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance, PluginConformance


class TestPlugin(PluginConformance):
    distribution = "llm-multi-core-open-clip"


class TestTexts(EncoderConformance):
    @pytest.fixture
    def case(self, model_folder):
        variations = [{"precision": "bfloat16"}]
        return EncoderCase("clip", model=str(model_folder("vit")), device="cpu", variations=variations)


class TestTextsWithPadding(EncoderConformance):
    @pytest.fixture
    def case(self, model_folder):
        samples = ("river", "the photo of a dog", "copper whale", "python", "violin kitchen", "a", "engine", "in the")
        return EncoderCase("clip", model=str(model_folder("siglip")), device="cpu", samples=samples)


class TestImages(EncoderConformance):
    @pytest.fixture
    def case(self, model_folder):
        draw = np.random.default_rng(1)
        shapes = [(32, 32), (50, 40), (40, 60), (33, 90), (16, 16), (64, 64), (80, 20), (32, 31)]
        samples = [
            Image.fromarray(
                np.clip(draw.normal(draw.uniform(0, 255, 3), draw.uniform(5, 90), (*shape, 3)), 0, 255).astype(np.uint8)
            )
            for shape in shapes
        ]
        return EncoderCase(
            "clip",
            embedder=ImageEmbedder,
            model=str(model_folder("vit")),
            device="cpu",
            samples=samples,
            variations=[{"precision": "bfloat16"}],
        )
