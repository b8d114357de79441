"""The host's conformance kit, for each modality."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from llm_multi_core.embedder import AudioEmbedder, ImageEmbedder
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance, PluginConformance


class TestPlugin(PluginConformance):
    distribution = "llm-multi-core-classic"


class TestImages(EncoderConformance):
    @pytest.fixture
    def case(self):
        draw = np.random.default_rng(1)
        sizes = [(40, 30), (128, 128), (300, 90), (64, 512), (7, 9), (200, 200), (33, 31), (1, 1), (640, 480)]
        samples = [
            Image.fromarray(draw.integers(0, 60 + 20 * place, (*size, 3), np.uint8)) for place, size in enumerate(sizes)
        ]
        return EncoderCase("classic", ImageEmbedder, samples=samples, variations=[{"colour_weight": 0.8}])


class TestAudio(EncoderConformance):
    @pytest.fixture
    def case(self):
        draw = np.random.default_rng(2)
        rates = [8000, 16000, 22050, 44100]
        samples = []
        for place in range(10):
            rate = rates[place % 4]
            time = np.arange(int(rate * (0.02, 0.3, 1.1, 2.5)[(place + place // 4) % 4])) / rate
            tone = np.sin(2 * np.pi * 110 * 1.5**place * time) + 0.05 * draw.normal(size=len(time))
            samples.append((0.4 * tone.astype(np.float32), rate))
        minutes = draw.normal(scale=0.1, size=1000 * 305).astype(np.float32)
        return EncoderCase("classic", AudioEmbedder, samples=samples, long_sample=(minutes, 1000))


class TestText(EncoderConformance):
    @pytest.fixture
    def case(self):
        return EncoderCase("classic", dimensions=300)
