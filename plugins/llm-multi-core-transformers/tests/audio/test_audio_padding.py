"""Padding never changes a vector of sound; each test shows as well that it could have."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from llm_multi_core.embedder import Task, create_audio_embedder
from llm_multi_core_transformers.audio_waveforms import WaveformEncoder

pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning")  # of WavLM

GROUP_NORM = ("wav2vec2", "hubert", "wavlm")
MASKED = ("wav2vec2-layer", "hubert-layer", "wavlm-layer")
ENGINES = [
    "torch",
    pytest.param(
        "openvino", marks=pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="needs openvino")
    ),
]


def cosine(one, other):
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.fixture
def padded(library, sound_model):
    """Vectors of a short and a long sound, straight from the library: each alone, and the short one padded in a batch.

    The padded one is computed with the mask and without it, from its own frames only, and with the mask
    from all frames.
    """
    import torch

    def vectors(name, short, long):
        model, extractor = library(sound_model(name))
        inputs = [
            extractor(sound, sampling_rate=16_000, return_tensors="pt")["input_values"][0] for sound in (short, long)
        ]
        batch = torch.nn.utils.rnn.pad_sequence(inputs, batch_first=True)
        mask = (torch.arange(len(long)) < torch.tensor([[len(short)], [len(long)]])).long()
        with torch.inference_mode():
            alone = [model(values[None]).last_hidden_state[0] for values in inputs]
            count = len(alone[0])
            masked, unmasked = model(batch, attention_mask=mask), model(batch)
        return {
            "short": alone[0].mean(0).numpy(),
            "long": alone[1].mean(0).numpy(),
            "masked": masked.last_hidden_state[0, :count].mean(0).numpy(),
            "unmasked": unmasked.last_hidden_state[0, :count].mean(0).numpy(),
            "all frames": masked.last_hidden_state[0].mean(0).numpy(),
        }

    return vectors


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", MASKED)
def test_short_beside_long_behind_a_mask(name, engine, waveform_encoder, decoded, padded, make_sound, same_vectors):
    """In one batch, which the pipeline would rather not make: 0.3 s beside 20 s."""
    short, long = make_sound(0.3, 1), make_sound(20, 2)
    expected = padded(name, short, long)
    assert cosine(expected["short"], expected["unmasked"]) < 0.99
    assert cosine(expected["short"], expected["all frames"]) < 0.99
    encoder = waveform_encoder(name, engine)
    batch = encoder.prepare([decoded(short), decoded(long)], Task())
    assert [part.values.shape for part in batch] == [(2, 320_000)]
    same_vectors(encoder.forward(batch), np.stack([expected["short"], expected["long"]]))


@pytest.mark.parametrize("name", GROUP_NORM)
def test_short_beside_long_apart(name, waveform_encoder, decoded, padded, make_sound, same_vectors):
    """A norm over time sees padding even where a mask hides it; such a batch runs length by length."""
    short, long = make_sound(0.3, 1), make_sound(20, 2)
    expected = padded(name, short, long)
    assert cosine(expected["short"], expected["masked"]) < 0.9999
    encoder = waveform_encoder(name)
    batch = encoder.prepare([decoded(sound) for sound in (short, long, short)], Task())
    assert [part.values.shape for part in batch] == [(2, 4_800), (1, 320_000)]
    same_vectors(encoder.forward(batch), np.stack([expected[key] for key in ("short", "long", "short")]))


@pytest.mark.parametrize(
    ("name", "together"),
    [*((name, False) for name in GROUP_NORM), ("data2vec", False), *((name, True) for name in MASKED)],
)
def test_what_shares_a_batch(name, together, sound_model, make_sound, monkeypatch):
    """In the pipeline, equal lengths share a batch everywhere, unequal ones only behind a mask."""
    lengths = []

    def prepare(self, items, task, state=None):
        batch = prepared(self, items, task, state)
        lengths.append([length for part in batch for length in part.lengths])
        return batch

    prepared = WaveformEncoder.prepare
    monkeypatch.setattr(WaveformEncoder, "prepare", prepare)
    sounds = [make_sound(seconds, seed) for seed, seconds in enumerate((0.3, 0.5, 0.3, 0.7, 0.5, 0.3))]
    settings = {"device": "cpu", "precision": "float32", "engine": "torch"}
    with create_audio_embedder("wav2vec2", model=sound_model(name), **settings) as embedder:
        embedder.embed_batch(sounds)
    if together:
        assert [sorted(batch) for batch in lengths] == [[4_800] * 3 + [8_000] * 2 + [11_200]]
    else:
        assert sorted(lengths) == [[4_800] * 3, [8_000] * 2, [11_200]]


@pytest.mark.parametrize("engine", ENGINES)
def test_whisper_leaves_its_silence_out(engine, sound_model, library, make_sound, same_vectors):
    """It hears silence to the end of its window; the frames of that are no part of a vector."""
    import torch

    model, extractor = library(sound_model("whisper"))
    sounds = [make_sound(0.3, 1), make_sound(1.0, 2)]
    inputs = [extractor(sound, sampling_rate=16_000, return_tensors="pt")["input_features"] for sound in sounds]
    with torch.inference_mode():
        frames = [model.get_encoder()(features).last_hidden_state[0] for features in inputs]
    assert cosine(frames[0].mean(0).numpy(), frames[0][:15].mean(0).numpy()) < 0.99
    settings = {"device": "cpu", "precision": "float32", "normalize": False}
    with create_audio_embedder("whisper", model=sound_model("whisper"), engine=engine, **settings) as embedder:
        found = embedder.embed_batch(sounds)
    same_vectors(found, np.stack([frames[0][:15].mean(0).numpy(), frames[1].mean(0).numpy()]))
