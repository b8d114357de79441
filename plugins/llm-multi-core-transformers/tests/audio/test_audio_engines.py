"""OpenVINO against torch on models of sound: the same vectors, for other batch sizes and lengths than it was shown."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from llm_multi_core.embedder import create_audio_embedder, create_text_embedder
from llm_multi_core_torch import ENGINE_OPTION, EngineWarning
from llm_multi_core_transformers.audio_specs import AUDIO_FRAMEWORKS

needs_openvino = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed")

SECONDS = (0.3, 0.9, 0.31, 0.9, 0.01, 0.52, 1.0)
LAYERS = [
    ("wav2vec2", "wav2vec2-layer", {"layer": 1, "pooling": "first"}),
    ("wav2vec2", "wav2vec2-layer", {"layer": "mean", "pooling": "max"}),
    ("data2vec", "data2vec", {"layer": "mean:2"}),
    ("whisper", "whisper", {"layer": 0}),
    ("whisper", "whisper", {"layer": "mean", "pooling": "max"}),
]


def assert_close(found, expected):
    """Cosine at least 0.999, largest absolute error below 1e-4 of the largest component."""
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    assert ((found * expected).sum(1) / lengths).min() >= 0.999
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def assert_told_apart(vectors):
    """Some pair of different inputs lies below 0.99, so that closeness says something."""
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (units @ units.T).min() < 0.99


@pytest.fixture
def pair(sound_model):
    """Embedders of a tiny model, on OpenVINO and on torch."""
    made = []

    def make(framework, name, create=create_audio_embedder, **options):
        settings = {"device": "cpu", "precision": "float32", "normalize": False} | options
        ours, theirs = (
            create(framework, model=sound_model(name), engine=engine, **settings) for engine in ("openvino", "torch")
        )
        made.extend((ours, theirs))
        return ours, theirs

    yield make
    for embedder in made:
        embedder.close()


def test_the_option_is_that_of_all_plugins():
    assert all(ENGINE_OPTION in framework.options for framework in AUDIO_FRAMEWORKS)


@needs_openvino
@pytest.mark.parametrize(
    ("framework", "name", "longest"),
    [
        ("wav2vec2", "wav2vec2", 20.0),
        ("wav2vec2", "wav2vec2-layer", 20.0),
        ("hubert", "hubert", 5.0),
        ("wavlm", "wavlm-layer", 5.0),
        ("data2vec", "data2vec", 5.0),
        ("whisper", "whisper", 1.0),
        pytest.param("wav2vec2", "wav2vec2-adapter", 5.0, marks=pytest.mark.matrix),
        pytest.param("wav2vec2", "unispeech", 5.0, marks=pytest.mark.matrix),
        pytest.param("wav2vec2", "unispeech-sat", 5.0, marks=pytest.mark.matrix),
        pytest.param("hubert", "hubert-batch-norm", 5.0, marks=pytest.mark.matrix),
        pytest.param("wavlm", "wavlm", 5.0, marks=pytest.mark.matrix),
    ],
)
def test_frames(framework, name, longest, pair, make_sound):
    """Also alone, and 0.3 s beside the longest; a fallback to torch would be a warning, and so fail."""
    sounds = [make_sound(seconds, seed) for seed, seconds in enumerate((*SECONDS, longest))]
    ours, theirs = pair(framework, name)
    expected = theirs.embed_batch(sounds)
    assert_told_apart(expected)
    assert_close(ours.embed_batch(sounds), expected)
    assert_close(np.stack([ours.embed(sound) for sound in (sounds[0], sounds[-1])]), expected[[0, -1]])
    assert ours.space == theirs.space
    assert ours.encoder_id != theirs.encoder_id


@needs_openvino
@pytest.mark.parametrize(("framework", "name", "options"), LAYERS)
def test_layers(framework, name, options, pair, make_sound):
    """Each choice of layers is a module of its own, whatever else was converted before."""
    sounds = [make_sound(seconds, seed) for seed, seconds in enumerate(SECONDS)]
    ours, theirs = pair(framework, name, **options)
    expected = theirs.embed_batch(sounds)
    assert_told_apart(expected)
    assert_close(ours.embed_batch(sounds), expected)


@needs_openvino
@pytest.mark.parametrize("name", ["clap", "clap-fused"])
def test_clap(name, pair, make_sound):
    sounds = [make_sound(seconds, seed, 24_000) for seed, seconds in enumerate(SECONDS)]
    texts = ["rain", "the sound of the thunder in the distance, far", "", "in the inner", "a dog"]
    for create, inputs in ((create_audio_embedder, sounds), (create_text_embedder, texts)):
        ours, theirs = pair("clap", name, create)
        expected = theirs.embed_batch(inputs)
        assert_told_apart(expected)
        assert_close(ours.embed_batch(inputs), expected)
        assert_close(ours.embed(inputs[1])[None], expected[1:2])


@needs_openvino
@pytest.mark.parametrize("name", ["wav2vec2", "wav2vec2-layer", "whisper", "clap"])
def test_bfloat16_stays_close(name, sound_model, make_sound):
    framework, rate = name.partition("-")[0], 24_000 if name == "clap" else 16_000
    sounds = [make_sound(seconds, seed, rate) for seed, seconds in enumerate((0.3, 0.9, 0.6))]
    vectors = []
    for settings in ({"engine": "torch", "precision": "float32"}, {"engine": "openvino", "precision": "bfloat16"}):
        with create_audio_embedder(framework, model=sound_model(name), device="cpu", **settings) as embedder:
            vectors.append(embedder.embed_batch(sounds))
    assert (vectors[0] * vectors[1]).sum(1).min() > 0.98


@needs_openvino
@pytest.mark.parametrize("settings", [{"engine": "openvino", "precision": "float32"}, {"precision": "bfloat16"}])
def test_what_cannot_be_converted_runs_in_torch(settings, sound_model, make_sound):
    """A conformer keeps the rotary positions of the last length in Python, where a trace cannot see them."""
    folder = sound_model("conformer")
    sounds = [make_sound(seconds, seed) for seed, seconds in enumerate(SECONDS)]
    before = create_audio_embedder("wav2vec2", model=folder, device="cpu", **settings | {"engine": "torch"})
    with before, create_audio_embedder("wav2vec2", model=folder, device="cpu", **settings) as embedder:
        with pytest.warns(EngineWarning, match="conformer' runs in torch, because OpenVINO cannot run it"):
            found = embedder.embed_batch(sounds)
        assert np.array_equal(found, before.embed_batch(sounds))
