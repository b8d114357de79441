"""The host's conformance kit, for each modality, against an OpenAI on the loopback interface."""

from __future__ import annotations

import numpy as np
import pytest

from llm_multi_core.embedder import AudioEmbedder, ImageEmbedder
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance, PluginConformance
from llm_multi_core.embedder.testing.hosted import HostedServer
from llm_multi_core.embedder.testing.hosted.openai import OpenAIWire
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture, encode_sound, synthesise


@pytest.fixture(scope="module")
def options():
    with HostedServer(OpenAIWire()) as server:
        yield {"base_url": server.base_url}


@pytest.fixture(scope="module")
def pictures():
    drawn = [draw_picture(40 + 90 * place, 700 - 80 * place, place) for place in range(8)]
    files = [encode_picture(draw_picture(64, 48, seed), form) for seed, form in ((20, "JPEG"), (21, "PNG"))]
    return [*drawn, *files]


@pytest.fixture(scope="module")
def sounds():
    arrays = [synthesise(0.2 + place / 5, pitch=200 + 50 * place, seed=place) for place in range(6)]
    files = [encode_sound(synthesise(0.3, seed=seed), format=form) for seed, form in ((9, "WAV"), (10, "FLAC"))]
    return [*arrays, *files]


class TestPlugin(PluginConformance):
    distribution = "llm-multi-core-openai"


class TestTexts(EncoderConformance):
    @pytest.fixture
    def case(self, options):
        variations = [
            {"encoding_format": "float"},
            {"prompts": {"query": "query: "}},
            {"extra_body": {"user": "me"}},
            {"dimensions": 256},
            {"space_name": "mine"},
        ]
        return EncoderCase("openai", options=options, dimensions=512, variations=variations, examples=5)


class TestTextsWithPrompts(EncoderConformance):
    @pytest.fixture
    def case(self, options):
        prompts = {"query": "query: ", "document": "passage: "}
        return EncoderCase("openai", options={**options, "prompts": prompts, "encoding_format": "float"}, examples=5)


class TestImages(EncoderConformance):
    @pytest.fixture
    def case(self, options, pictures):
        variations = [
            {"caption_model": "gpt-4o-mini"},
            {"caption_prompt": "What is it?"},
            {"caption_detail": "low"},
            {"caption_options": {"temperature": 0}},
        ]
        return EncoderCase("openai", ImageEmbedder, options=options, samples=pictures, variations=variations)


class TestSounds(EncoderConformance):
    @pytest.fixture
    def case(self, options, sounds):
        return EncoderCase(
            "openai",
            AudioEmbedder,
            options=options,
            samples=sounds,
            long_sample=(np.ones(1_500_000, np.float32) / 9, 1000),
            variations=[{"transcription_model": "whisper-1"}, {"language": "de"}, {"transcription_prompt": "Names"}],
        )
