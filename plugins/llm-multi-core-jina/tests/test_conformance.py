"""The host's conformance kit, for each modality, against a Jina on the loopback interface."""

from __future__ import annotations

import numpy as np
import pytest

from llm_multi_core.embedder import AudioEmbedder, ImageEmbedder
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance, PluginConformance
from llm_multi_core.embedder.testing.hosted import HostedServer
from llm_multi_core.embedder.testing.hosted.jina import JinaWire
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture, encode_sound, synthesise


@pytest.fixture(scope="module")
def options():
    with HostedServer(JinaWire()) as server:
        yield {"base_url": server.base_url}


@pytest.fixture(scope="module")
def pictures():
    drawn = [draw_picture(40 + 90 * place, 700 - 80 * place, place) for place in range(8)]
    return [*drawn, *(encode_picture(draw_picture(64, 48, seed), form) for seed, form in ((20, "JPEG"), (21, "PNG")))]


@pytest.fixture(scope="module")
def sounds():
    arrays = [synthesise(0.2 + place / 5, pitch=200 + 50 * place, seed=place) for place in range(6)]
    return [
        *arrays,
        *(encode_sound(synthesise(0.3, seed=seed), format=form) for seed, form in ((9, "WAV"), (10, "FLAC"))),
    ]


class TestPlugin(PluginConformance):
    distribution = "llm-multi-core-jina"


class TestTexts(EncoderConformance):
    @pytest.fixture
    def case(self, options):
        variations = [{"task": "classification"}, {"late_chunking": True}]
        return EncoderCase("jina", options=options, dimensions=256, variations=variations, examples=5)


class TestTextsOfV4(EncoderConformance):
    @pytest.fixture
    def case(self, options):
        return EncoderCase(
            "jina", model="jina-embeddings-v4", options=options, variations=[{"task": "code"}], examples=5
        )


class TestImages(EncoderConformance):
    @pytest.fixture
    def case(self, options, pictures):
        return EncoderCase("jina", ImageEmbedder, options=options, samples=pictures)


class TestSounds(EncoderConformance):
    @pytest.fixture
    def case(self, options, sounds):
        return EncoderCase(
            "jina",
            AudioEmbedder,
            model="jina-embeddings-v5-omni-nano",
            options=options,
            samples=sounds,
            long_sample=(np.ones(600_000, np.float32) / 9, 1000),
        )
