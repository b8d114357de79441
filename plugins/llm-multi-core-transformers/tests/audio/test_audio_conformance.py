"""The host's conformance kit, on encoders of sound."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder import AudioEmbedder
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance


@pytest.fixture
def tiny(sound_model, make_sound):
    """A case for a tiny model that takes one second at most."""

    def case(framework, name, rate=16_000, options=None, **settings):
        lengths = (0.3, 0.9, 0.31, 0.05, 0.3, 0.62, 0.9, 1.0, 0.12)
        return EncoderCase(
            framework,
            embedder=AudioEmbedder,
            model=str(sound_model(name)),
            options=options or {},
            samples=[make_sound(seconds, seed, rate) for seed, seconds in enumerate(lengths)],
            long_sample=make_sound(2.3, 2, rate),
            device="cpu",
            **settings,
        )

    return case


class TestEqualLengths(EncoderConformance):
    @pytest.fixture
    def case(self, tiny):
        variations = [{"pooling": "max"}, {"layer": 1}, {"max_seconds": 0.5}, {"precision": "bfloat16"}]
        return tiny("wav2vec2", "wav2vec2", options={"max_seconds": 1}, variations=variations)


class TestMasked(EncoderConformance):
    @pytest.fixture
    def case(self, tiny):
        return tiny("wav2vec2", "wav2vec2-layer", options={"max_seconds": 1})


class TestWhisper(EncoderConformance):
    @pytest.fixture
    def case(self, tiny):
        variations = [{"pooling": "first"}, {"layer": "mean"}, {"max_seconds": 0.5}]
        return tiny("whisper", "whisper", variations=variations)


class TestClapSounds(EncoderConformance):
    @pytest.fixture
    def case(self, tiny):
        return tiny("clap", "clap", rate=24_000, variations=[{"max_seconds": 0.5}])


class TestClapTexts(EncoderConformance):
    @pytest.fixture
    def case(self, sound_model):
        return EncoderCase("clap", model=str(sound_model("clap")), device="cpu", samples=TEXTS, examples=5)


TEXTS = ("rain", "a dog barks", "thunder, far away", "a choir", "an engine", "steps on gravel", "a door", "wind")
