"""The host's conformance kit, for each modality and both role rules."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from llm_multi_core.embedder import AudioEmbedder, ImageEmbedder
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance, PluginConformance


@pytest.fixture(scope="module")
def base_url(start_server):
    return start_server().base_url


class TestPlugin(PluginConformance):
    distribution = "llm-multi-core-google"


class TestTaskTypes(EncoderConformance):
    @pytest.fixture
    def case(self, base_url):
        variations = [{"task_type": "CLUSTERING"}, {"task_type": "QUESTION_ANSWERING"}]
        return EncoderCase("gemini", options={"base_url": base_url}, variations=variations, dimensions=256)


class TestPrompts(EncoderConformance):
    @pytest.fixture
    def case(self, base_url):
        variations = [{"task_type": "CLASSIFICATION"}, {"vertexai": True}]
        options = {"base_url": base_url}
        return EncoderCase("gemini", model="gemini-embedding-2", options=options, variations=variations, dimensions=256)


class TestVertex(EncoderConformance):
    @pytest.fixture
    def case(self, base_url):
        return EncoderCase("gemini", options={"base_url": base_url, "vertexai": True}, dimensions=256)


class TestImages(EncoderConformance):
    @pytest.fixture
    def case(self, base_url):
        draw = np.random.default_rng(1)
        samples = [draw.integers(0, 256, (20 + place, 30, 3), np.uint8) for place in range(7)]
        png = io.BytesIO()
        Image.fromarray(samples[0]).save(png, "PNG")
        samples = [*samples, png.getvalue(), Image.fromarray(samples[1][:, :, 0])]
        return EncoderCase("gemini", ImageEmbedder, options={"base_url": base_url}, samples=samples, dimensions=256)


class TestAudio(EncoderConformance):
    @pytest.fixture
    def case(self, base_url):
        draw = np.random.default_rng(2)
        samples = [(draw.uniform(-0.5, 0.5, 400 + 1000 * place).astype(np.float32), 8000) for place in range(9)]
        minutes = (draw.uniform(-0.5, 0.5, 1000 * 170).astype(np.float32), 1000)
        options = {"base_url": base_url}
        return EncoderCase(
            "gemini", AudioEmbedder, options=options, samples=samples, long_sample=minutes, dimensions=256
        )
