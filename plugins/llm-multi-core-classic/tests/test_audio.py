"""What the audio descriptor says is alike."""

from __future__ import annotations

import numpy as np
import pytest

from llm_multi_core.embedder import TruncationWarning, create_audio_embedder

RATE = 22_050


def tone(frequency, seconds=1.0, rate=RATE, level=0.3):
    return (level * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


@pytest.fixture
def embedder():
    with create_audio_embedder("classic") as made:
        yield made


def noise(seconds=1.0):
    return np.random.default_rng(4).normal(scale=0.1, size=int(seconds * RATE)).astype(np.float32)


def test_register_and_timbre(embedder):
    """A sine is nearer to one of nearly its pitch than to one octaves off, and than to noise."""
    one, near, far, hiss = embedder.embed_batch([tone(440), tone(466), tone(7040), noise()])
    assert one @ near > 0.9
    assert one @ far < 0.5
    assert one @ hiss < 0.5


def test_loudness_does_not_count(embedder):
    assert embedder.similarity(tone(300, level=0.5), tone(300, level=0.005)) > 0.999


def test_length_hardly_counts(embedder):
    assert embedder.similarity(noise(0.5), noise(20.0)) > 0.99


def test_silence_around_a_sound_hardly_counts(embedder):
    quiet = np.zeros(RATE // 5, np.float32)
    assert embedder.similarity(tone(500), np.concatenate([quiet, tone(500), quiet])) > 0.95


def test_sample_rate_hardly_counts(embedder):
    assert embedder.similarity((tone(500, rate=44_100), 44_100), tone(500)) > 0.98


@pytest.mark.parametrize(
    "silence",
    [np.zeros(RATE, np.float32), np.zeros(3, np.float32), np.full(RATE, 0.5, np.float32), tone(1000, level=1e-7)],
    ids=["zeros", "three samples", "constant", "below -100 dB"],
)
def test_silence_has_a_vector(embedder, silence):
    """One and the same, far from every sound."""
    vector = embedder.embed(silence)
    assert vector[-1] == pytest.approx(1)
    assert np.abs(vector[:-1]).max() == 0
    assert vector @ embedder.embed(tone(440)) < 0.5


@pytest.mark.parametrize("samples", [1, 511, 2047, 2048, 2049, 3000])
def test_short_sounds(embedder, samples):
    vector = embedder.embed(noise()[:samples])
    assert np.isfinite(vector).all()


def test_a_long_sound_is_computed_in_blocks_that_do_not_show(monkeypatch):
    from llm_multi_core_classic import audio

    sound = noise(8.0)
    monkeypatch.setattr(audio, "_BLOCK", 7)
    in_blocks = audio.describe_sound(sound)
    monkeypatch.setattr(audio, "_BLOCK", 10**6)
    assert np.allclose(in_blocks, audio.describe_sound(sound), atol=1e-5)


def test_recordings_beyond_five_minutes_are_cut_with_a_warning(embedder):
    """The first five minutes; with `"mean"` all of them."""
    five = np.tile(tone(400, 1.0, 1000), 300)
    six = np.concatenate([five, np.zeros(60_000, np.float32)])
    with pytest.warns(TruncationWarning):
        cut = embedder.embed((six, 1000))
    assert cut @ embedder.embed((five, 1000)) == pytest.approx(1, abs=1e-5)
    with create_audio_embedder("classic", truncation="mean") as averaging:
        mean = averaging.embed((six, 1000))
    assert mean[-1] > cut[-1] + 0.05


def test_equals_librosas_coefficients(embedder):
    """Of a sound without silence: means and deviations of librosa's own, from its own spectrogram."""
    import librosa

    sound = noise(2.0)[: 2048 + 512 * 60]
    power = librosa.feature.melspectrogram(
        y=sound - sound.mean(), sr=RATE, n_fft=2048, hop_length=512, n_mels=64, center=False
    )
    scaled = 1 + librosa.power_to_db(power, ref=power.max(), top_db=80.0) / 80
    coefficients = librosa.feature.mfcc(S=scaled, n_mfcc=40)
    coefficients[0] /= 4
    expected = np.concatenate([coefficients.mean(axis=1), coefficients.std(axis=1), [0]])
    assert np.abs(embedder.embed(sound) - expected / np.linalg.norm(expected)).max() < 1e-5
