"""The host's conformance kit: the plugin, texts, pictures, and both in one input."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from llm_multi_core.embedder import ImageEmbedder, Item
from llm_multi_core.embedder.inputs.image import image_item
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.testing.conformance import SAMPLE_TEXTS, EncoderCase, EncoderConformance, PluginConformance
from llm_multi_core.embedder.testing.hosted import HostedServer
from llm_multi_core.embedder.testing.hosted.cohere import CohereWire

VARIATIONS = [
    {"input_type": "clustering"},
    {"embedding_type": "int8"},
    {"embedding_type": "binary"},
    {"encoding_format": "float"},
]


@pytest.fixture(scope="module")
def options():
    with HostedServer(CohereWire()) as server:
        yield {"base_url": server.base_url}
        assert server.violations == []


def pictures():
    draw = np.random.default_rng(3)
    return [Image.fromarray(draw.integers(0, 256, (20 + 7 * n, 30, 3), np.uint8)) for n in range(8)]


class TestPlugin(PluginConformance):
    distribution = "llm-multi-core-cohere"


class TestTexts(EncoderConformance):
    @pytest.fixture
    def case(self, options):
        return EncoderCase("cohere", options=options, dimensions=512, variations=VARIATIONS)


class TestTextsOfTheThirdGeneration(EncoderConformance):
    @pytest.fixture
    def case(self, options):
        return EncoderCase("cohere", model="embed-english-light-v3.0", options=options)


class TestPictures(EncoderConformance):
    @pytest.fixture
    def case(self, options):
        return EncoderCase("cohere", ImageEmbedder, options=options, samples=pictures(), dimensions=256)


class TestTextWithPictures(EncoderConformance):
    @pytest.fixture
    def case(self, options):
        samples = [
            Item((*text_item(text).parts, *image_item(picture).parts))
            for text, picture in zip(SAMPLE_TEXTS[:8], pictures(), strict=True)
        ]
        return EncoderCase("cohere", ImageEmbedder, options=options, samples=samples, dimensions=1024)
