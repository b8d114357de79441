"""The host's conformance kit."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder import ImageEmbedder
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance, PluginConformance


class TestPlugin(PluginConformance):
    distribution = "llm-multi-core-timm"


@pytest.fixture
def tiny(model_folder, pictures):
    def case(framework, name, **settings):
        settings = {"device": "cpu", "samples": pictures, "embedder": ImageEmbedder} | settings
        return EncoderCase(framework, model=str(model_folder(name)), **settings)

    return case


class TestTransformer(EncoderConformance):
    @pytest.fixture
    def case(self, tiny):
        return tiny("timm", "vit", variations=[{"extraction": "gap"}, {"precision": "bfloat16"}])


class TestConvolutions(EncoderConformance):
    @pytest.fixture
    def case(self, tiny):
        variations = [{"extraction": "gmp"}, {"extraction": "multi-level"}]
        return tiny("resnet", "resnet", variations=variations)
