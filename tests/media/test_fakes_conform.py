"""The fake of images passes the kit that plugin authors run."""

import pytest

from llm_multi_core.embedder import ImageEmbedder
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance
from llm_multi_core.embedder.testing.media import draw_picture, fake_image_spec

PICTURES = [draw_picture(20 + 3 * seed, 30 - 2 * seed, seed) for seed in range(10)]


class TestFakeImageEncoder(EncoderConformance):
    @pytest.fixture
    def case(self):
        return EncoderCase(fake_image_spec(), embedder=ImageEmbedder, samples=PICTURES, examples=5)
