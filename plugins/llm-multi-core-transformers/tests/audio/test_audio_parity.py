"""Vectors of sound equal those of transformers, whatever else is in the batch."""

from __future__ import annotations

import numpy as np
import pytest

from llm_multi_core.embedder import create_audio_embedder

SECONDS = (0.3, 20.0, 1.7, 1.7, 0.31, 4.2, 0.3, 2.0)
"""Mixed lengths, two pairs of them equal."""

MATRIX = [
    ("wav2vec2", "wav2vec2", "Wav2Vec2", "group norm"),
    ("wav2vec2", "wav2vec2-layer", "Wav2Vec2", "layer norm"),
    ("hubert", "hubert", "HuBERT", "group norm"),
    ("wavlm", "wavlm", "WavLM", "group norm"),
    ("wavlm", "wavlm-layer", "WavLM", "layer norm"),
    ("data2vec", "data2vec", "Data2Vec audio", "layer norm"),
    pytest.param("wav2vec2", "wav2vec2-layer-plain", "Wav2Vec2", "raw samples", marks=pytest.mark.matrix),
    pytest.param("wav2vec2", "wav2vec2-adapter", "Wav2Vec2", "adapter", marks=pytest.mark.matrix),
    pytest.param("wav2vec2", "unispeech", "UniSpeech", "group norm", marks=pytest.mark.matrix),
    pytest.param("wav2vec2", "unispeech-sat", "UniSpeech-SAT", "layer norm", marks=pytest.mark.matrix),
    pytest.param("wav2vec2", "conformer", "Wav2Vec2 Conformer", "layer norm", marks=pytest.mark.matrix),
    pytest.param("hubert", "hubert-layer", "HuBERT", "layer norm", marks=pytest.mark.matrix),
    pytest.param("hubert", "hubert-batch-norm", "HuBERT", "batch norm of positions", marks=pytest.mark.matrix),
]
"""Framework, name of the tiny model, architecture, variant."""


def waveform_reference(parts, sound, pool=lambda states: states.last_hidden_state.mean(1)):
    """The vector of one sound alone, straight from the library."""
    import torch

    model, extractor = parts
    inputs = extractor(sound, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        return pool(model(**inputs, output_hidden_states=True))[0].numpy()


def whisper_frames(sound):
    """Frames of a sound: hops of 160 samples, two of them a frame."""
    hops = -(-len(sound) // 160)
    return (hops - 1) // 2 + 1


def whisper_reference(parts, sound, pool=lambda states, frames: states.last_hidden_state[:, :frames].mean(1)):
    import torch

    model, extractor = parts
    inputs = extractor(sound, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        states = model.get_encoder()(inputs["input_features"], output_hidden_states=True)
        return pool(states, whisper_frames(sound))[0].numpy()


def embedder_for(framework, folder, **options):
    settings = {"device": "cpu", "precision": "float32", "normalize": False}
    return create_audio_embedder(framework, model=folder, **settings, **options)


@pytest.mark.parametrize(("framework", "name", "architecture", "variant"), MATRIX)
def test_waveforms(framework, name, architecture, variant, sound_model, library, make_sound, parity):
    folder = sound_model(name)
    sounds = [make_sound(seconds, seed) for seed, seconds in enumerate(SECONDS)]
    expected = np.stack([waveform_reference(library(folder), sound) for sound in sounds])
    with embedder_for(framework, folder) as embedder:
        parity.check(embedder, sounds, expected, architecture=architecture, variant=variant)


def test_whisper(sound_model, library, make_sound, parity):
    folder = sound_model("whisper")
    sounds = [make_sound(seconds, seed) for seed, seconds in enumerate((0.3, 1.0, 0.02, 0.5, 0.5, 0.987, 0.001))]
    expected = np.stack([whisper_reference(library(folder), sound) for sound in sounds])
    with embedder_for("whisper", folder) as embedder:
        parity.check(embedder, sounds, expected, architecture="Whisper", variant="mean")


CHOICES = [
    ({"pooling": "max"}, lambda states, n: states.last_hidden_state[:, :n].amax(1)),
    ({"pooling": "first"}, lambda states, n: states.last_hidden_state[:, 0]),
    ({"layer": 0}, lambda states, n: states.hidden_states[0][:, :n].mean(1)),
    ({"layer": -2, "pooling": "max"}, lambda states, n: states.hidden_states[1][:, :n].amax(1)),
    ({"layer": "mean"}, lambda states, n: sum(states.hidden_states)[:, :n].mean(1) / 3),
    ({"layer": "mean:2"}, lambda states, n: sum(states.hidden_states[1:])[:, :n].mean(1) / 2),
]


@pytest.mark.parametrize(("options", "pool"), CHOICES)
@pytest.mark.parametrize(
    ("framework", "name", "architecture"),
    [
        ("wav2vec2", "wav2vec2-layer", "Wav2Vec2"),
        ("data2vec", "data2vec", "Data2Vec audio"),
        ("whisper", "whisper", "Whisper"),
    ],
)
def test_layers_and_poolings(framework, name, architecture, options, pool, sound_model, library, make_sound, parity):
    """The same choices behind a mask, without one, and with Whisper's silence."""
    sounds = [make_sound(seconds, seed) for seed, seconds in enumerate((0.3, 0.9, 0.9, 0.05))]
    folder = sound_model(name)
    if framework == "whisper":
        expected = [whisper_reference(library(folder), sound, pool) for sound in sounds]
    else:
        expected = [waveform_reference(library(folder), sound, lambda states: pool(states, None)) for sound in sounds]
    variant = " ".join(f"{name}={value}" for name, value in options.items())
    with embedder_for(framework, folder, **options) as embedder:
        parity.check(embedder, sounds, np.stack(expected), architecture=architecture, variant=variant)


def test_file_of_another_rate(sound_model, library, make_sound, tmp_path, same_vectors):
    """A stereo file at 44.1 kHz is mixed down and resampled to the model's rate."""
    import soundfile
    import soxr

    left, right = make_sound(0.7, 1, 44_100), make_sound(0.7, 2, 44_100)
    path = tmp_path / "sound.wav"
    soundfile.write(path, np.stack([left, right], axis=1), 44_100, subtype="FLOAT")
    mono = soxr.resample((left + right) / 2, 44_100, 16_000).astype(np.float32)
    folder = sound_model("wav2vec2")
    expected = waveform_reference(library(folder), mono)
    with embedder_for("wav2vec2", folder) as embedder:
        same_vectors(embedder.embed(path)[None], expected[None])


def test_less_than_a_frame(sound_model, library, make_sound, same_vectors):
    """What is shorter than one frame (400 samples) is followed by silence, after normalisation."""
    sounds = [make_sound(0.005, 2), make_sound(0.01, 5), make_sound(0.4, 8)]
    for name in ("wav2vec2", "wav2vec2-layer"):
        folder = sound_model(name)
        model, _ = library(folder)
        expected = []
        for sound in sounds:
            values = np.pad((sound - sound.mean()) / np.sqrt(sound.var() + 1e-7), (0, max(0, 400 - len(sound))))
            expected.append(waveform_reference((model, lambda values, **_: _tensors(values)), values))
        with embedder_for("wav2vec2", folder) as embedder:
            same_vectors(embedder.embed_batch(sounds), np.stack(expected))


def _tensors(values):
    import torch

    return {"input_values": torch.from_numpy(values.astype(np.float32))[None]}


@pytest.mark.parametrize("name", ["wav2vec2", "wav2vec2-layer", "wavlm-layer", "data2vec", "whisper"])
def test_bfloat16_stays_close(name, sound_model, make_sound):
    sounds = [make_sound(seconds, seed) for seed, seconds in enumerate((0.3, 0.9, 0.6))]
    vectors = []
    for precision in ("float32", "bfloat16"):
        framework = name.partition("-")[0]
        with create_audio_embedder(framework, model=sound_model(name), device="cpu", precision=precision) as embedder:
            vectors.append(embedder.embed_batch(sounds))
    assert (vectors[0] * vectors[1]).sum(1).min() > 0.98
