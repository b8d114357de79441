"""CLAP: both towers equal those of transformers, and nothing is random."""

from __future__ import annotations

import numpy as np
import pytest

from llm_multi_core.embedder import ModelLoadError, create_audio_embedder, create_text_embedder

RATE = 24_000
TEXTS = ("rain", "the sound of the thunder in the distance, far", "a dog", "", "in the inner", "birds 🐦 singing")


@pytest.fixture
def settings():
    return {"device": "cpu", "precision": "float32", "normalize": False}


@pytest.fixture
def sounds(make_sound):
    return [make_sound(seconds, seed, RATE) for seed, seconds in enumerate((0.03, 1.0, 0.4, 0.4, 0.9, 0.26))]


def sound_reference(parts, sound):
    import torch

    model, extractor = parts
    inputs = extractor(sound, sampling_rate=RATE, return_tensors="pt")
    # Which sound of a batch counts as longer than it is, the extractor of a fused model draws by lot.
    with torch.inference_mode():
        found = model.get_audio_features(inputs["input_features"], torch.zeros(1, 1, dtype=torch.bool))
        return found.pooler_output[0].numpy()


@pytest.mark.parametrize(("name", "variant"), [("clap", "not fused"), ("clap-fused", "fused")])
def test_sounds(name, variant, sound_model, library, sounds, settings, parity):
    folder = sound_model(name)
    expected = np.stack([sound_reference(library(folder), sound) for sound in sounds])
    with create_audio_embedder("clap", model=folder, **settings) as embedder:
        parity.check(embedder, sounds, expected, architecture="CLAP", variant=variant)


def test_texts(sound_model, library, settings, parity):
    import torch
    from transformers import AutoTokenizer

    folder = sound_model("clap")
    model, tokenizer = library(folder)[0], AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        expected = np.stack(
            [model.get_text_features(**tokenizer([text], return_tensors="pt")).pooler_output[0] for text in TEXTS]
        )
    with create_text_embedder("clap", model=folder, **settings) as embedder:
        parity.check(embedder, TEXTS, expected, architecture="CLAP")


def test_one_space(sound_model, settings):
    """Texts and sounds share a space, and one loaded model."""
    folder = sound_model("clap")
    texts = create_text_embedder("clap", model=folder, **settings)
    audio = create_audio_embedder("clap", model=folder, **settings)
    with texts, audio:
        assert texts.space == audio.space
        assert texts.space.is_joint
        assert texts.space.dimension == 24


@pytest.mark.parametrize("name", ["clap", "clap-fused"])
def test_long_sound_is_no_lottery(name, sound_model, make_sound, settings):
    """Beyond the window a sound is cut at its end, or averaged; the same each time."""
    long = make_sound(2.5, 2, RATE)
    folder = sound_model(name)
    with create_audio_embedder("clap", model=folder, truncation="truncate", **settings) as embedder:
        cut, again, window = embedder.embed(long), embedder.embed(long), embedder.embed(long[:RATE])
    assert np.array_equal(cut, again)
    assert np.allclose(cut, window, atol=1e-6)
    with create_audio_embedder("clap", model=folder, truncation="mean", **settings) as embedder:
        pieces = embedder.embed_batch([long[:RATE], long[RATE : 2 * RATE], long[2 * RATE :]])
        mean = (pieces * np.array([[2.0], [2.0], [1.0]])).sum(0)
        found = embedder.embed(long)
    assert found @ mean / np.linalg.norm(found) / np.linalg.norm(mean) >= 0.9999


def test_extractor_of_another_model(sound_model, tmp_path, settings):
    """An extractor for a model without fusion makes other spectrograms."""
    import json
    from shutil import copytree

    folder = copytree(sound_model("clap-fused"), tmp_path / "mixed")
    file = folder / "processor_config.json"
    content = json.loads(file.read_text())
    content["feature_extractor"]["truncation"] = "rand_trunc"
    file.write_text(json.dumps(content))
    with (
        create_audio_embedder("clap", model=folder, **settings) as embedder,
        pytest.raises(ModelLoadError, match="enable_fusion"),
    ):
        embedder.dimension  # noqa: B018
