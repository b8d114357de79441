"""The host's conformance kit, for each modality, against a NIM on the loopback interface."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder import ImageEmbedder
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance, PluginConformance
from llm_multi_core.embedder.testing.hosted import HostedServer
from llm_multi_core.embedder.testing.hosted.nvidia import NvidiaWire
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture


@pytest.fixture(scope="module")
def options():
    with HostedServer(NvidiaWire()) as server:
        yield {"base_url": server.base_url}


@pytest.fixture(scope="module")
def pictures():
    drawn = [draw_picture(40 + 60 * place, 500 - 50 * place, place) for place in range(8)]
    return [*drawn, encode_picture(draw_picture(64, 48, 20), "JPEG"), encode_picture(draw_picture(64, 48, 21))]


class TestPlugin(PluginConformance):
    distribution = "llm-multi-core-nvidia"


class TestTexts(EncoderConformance):
    @pytest.fixture
    def case(self, options):
        return EncoderCase("nemo", options=options, examples=5)


class TestTextsOfSeveralSizes(EncoderConformance):
    @pytest.fixture
    def case(self, options):
        variations = [{"model": "nvidia/llama-3.2-nv-embedqa-1b-v2-query"}]
        model = "nvidia/llama-3.2-nv-embedqa-1b-v2"
        return EncoderCase("nemo", model=model, options=options, dimensions=512, variations=variations, examples=5)


class TestImages(EncoderConformance):
    @pytest.fixture
    def case(self, options, pictures):
        return EncoderCase("nemo", ImageEmbedder, options=options, samples=pictures)
