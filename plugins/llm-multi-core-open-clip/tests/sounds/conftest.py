"""Tiny models with audio towers, and open_clip 4, or what stands in for it.

Audio towers came with open_clip 4. Where an older one is installed, a stand-in offers what the plugin uses of version
4 under the same names, with the same arguments and shapes. What these tests say of the plugin then holds as far as the
stand-in is like open_clip; with open_clip 4 installed, the same tests run against open_clip itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import open_clip
import pytest
import torch

RATE = 16_000
IS_REAL = hasattr(open_clip, "CLAP")
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
AUDIO: dict[str, dict[str, Any]] = {
    "fixed": {"model_type": "HTSAT", "sample_rate": RATE, "clip_samples": RATE, "hop_size": 160, "window_size": 512},
    "fused": {"model_type": "HTSAT", "sample_rate": RATE, "clip_samples": RATE, "hop_size": 160, "window_size": 512},
    "whisper": {"model_type": "whisper", "sample_rate": RATE, "clip_samples": RATE, "hop_size": 160, "mel_bins": 80},
    "variable": {
        "model_type": "naflexvit",
        "sample_rate": RATE,
        "hop_size": 160,
        "window_size": 512,
        "patch_freq": 32,
        "audio_seq_len": 50,
        "naflexvit_cfg": {"embed_dim": 96, "depth": 2, "num_heads": 6},
    },
}
AUDIO["fixed"]["fmax"] = AUDIO["fused"]["fmax"] = AUDIO["variable"]["fmax"] = RATE // 2
AUDIO["fused"]["enable_fusion"] = True


@dataclass
class CLIPAudioCfg:
    """The settings of an audio tower, as far as the stand-in has a use for them."""

    model_type: str = "HTSAT"
    audio_seq_len: int | None = None
    clip_samples: int = 480_000
    enable_fusion: bool = False
    fmax: int = 14_000
    hop_size: int = 480
    mel_bins: int = 64
    naflexvit_cfg: dict[str, Any] = field(default_factory=dict)
    patch_freq: int = 64
    patch_time: int = 4
    pretrained: bool = False
    sample_rate: int = 48_000
    window_size: int = 1024


def _levels(waveform: torch.Tensor, config: CLIPAudioCfg) -> torch.Tensor:
    """Levels in dB `(frames, bands)` of samples `(1, n)`, a frame at every hop."""
    bins = 2 * config.mel_bins - 2
    spectrum = torch.stft(waveform, bins, config.hop_size, window=torch.hann_window(bins), return_complex=True)
    return (10 * torch.log10(spectrum.abs()[0] ** 2 + 1e-10)).T


def audio_transform_v2(config: CLIPAudioCfg, is_train: bool = False) -> Callable[..., dict[str, Any]]:
    """Repeats what is short as often as it fits whole, and pads the rest with silence."""
    assert not is_train

    def transform(recording: tuple[torch.Tensor, int]) -> dict[str, Any]:
        waveform, rate = recording
        assert rate == config.sample_rate
        samples = waveform[0, : config.clip_samples]
        samples = samples.repeat(config.clip_samples // len(samples))
        samples = torch.nn.functional.pad(samples, (0, config.clip_samples - len(samples)))
        found = {"waveform": samples, "longer": False}
        if config.enable_fusion:
            found["mel_fusion"] = torch.stack([_levels(samples[None], config)] * 4)
        return found

    return transform


class AudioNaFlexCfg(CLIPAudioCfg):
    """The settings of preprocessing of any length."""

    @classmethod
    def from_clip_audio_cfg(cls, config: CLIPAudioCfg) -> AudioNaFlexCfg:
        return cls(**vars(config))


class AudioNaFlexTransformFactory:
    """Makes a transform for at most so many patches."""

    def __init__(self, config: AudioNaFlexCfg) -> None:
        self.config = config

    def __call__(self, max_seq_len: int | None = None) -> Callable[..., dict[str, Any]]:
        config = self.config
        rows = config.mel_bins // config.patch_freq

        def transform(recording: tuple[torch.Tensor, int]) -> dict[str, Any]:
            waveform, rate = recording
            assert rate == config.sample_rate
            short = max(0, config.window_size - waveform.shape[1])
            levels = _levels(torch.nn.functional.pad(waveform, (0, short)), config)
            if max_seq_len is not None:
                levels = levels[: max_seq_len // rows * config.patch_time]
            columns = -(-len(levels) // config.patch_time)
            levels = torch.nn.functional.pad(
                levels, (0, 0, 0, columns * config.patch_time - len(levels)), value=float(levels.min())
            )
            patches = levels.reshape(columns, config.patch_time, rows, config.patch_freq).permute(2, 0, 3, 1)
            places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
            return {
                "patches": patches.reshape(rows * columns, -1),
                "patch_coord": places.reshape(rows * columns, 2),
                "patch_valid": torch.ones(rows * columns, dtype=torch.bool),
            }

        return transform


class AudioTower(torch.nn.Module):
    """The mean of what a layer makes of each frame or patch."""

    def __init__(self, config: CLIPAudioCfg, embed_dim: int) -> None:
        super().__init__()
        self.cfg = config
        self.training_head = False
        wide = config.patch_freq * config.patch_time if config.model_type == "naflexvit" else config.mel_bins
        self.spectrogram_extractor = torch.nn.Module()
        self.spectrogram_extractor.register_buffer("scale", torch.tensor(0.05))
        self.layer = torch.nn.Linear(wide, 48)
        self.proj = torch.nn.Sequential(torch.nn.Linear(48, embed_dim), torch.nn.GELU())

    def forward(self, audio: dict[str, torch.Tensor], apply_proj: bool = True) -> torch.Tensor:
        if "patches" in audio:
            levels, weights = audio["patches"], audio["patch_valid"].float()
        elif self.cfg.enable_fusion:
            assert not audio["longer"].any()
            levels, weights = audio["mel_fusion"][:, 0], torch.ones(1, 1)
        else:
            levels = torch.stack([_levels(row[None], self.cfg) for row in audio["waveform"].float()])
            weights = torch.ones(1, 1)
            if self.cfg.model_type == "whisper":  # as openai's: the loudest of the whole batch counts
                levels = torch.maximum(levels, levels.max() - 20)
        features = torch.tanh(self.layer(levels * self.spectrogram_extractor.scale))
        weights = weights.expand(features.shape[:2])
        pooled = (features * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)
        return self.proj(pooled) if apply_proj else pooled


class CLAP(torch.nn.Module):
    """An audio and a text tower."""

    def __init__(self, embed_dim: int, audio_cfg: Any, text_cfg: Any, quick_gelu: bool = False) -> None:
        from open_clip.model import _build_text_tower

        super().__init__()
        self.audio = AudioTower(CLIPAudioCfg(**audio_cfg), embed_dim)
        self.text = _build_text_tower(embed_dim, text_cfg, quick_gelu, None)
        self.logit_scale = torch.nn.Parameter(torch.tensor(2.6))
        self.logit_bias = None

    def encode_audio(self, audio: dict[str, torch.Tensor], normalize: bool = False) -> torch.Tensor:
        features = self.audio(audio)
        return torch.nn.functional.normalize(features, dim=-1) if normalize else features

    def encode_text(self, text: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        features = self.text(text)
        return torch.nn.functional.normalize(features, dim=-1) if normalize else features


def load_hf_clap_state_dict(path: str) -> dict[str, torch.Tensor]:
    """Weights that need no translation, since the stand-in is no more like transformers' than like open_clip's."""
    from safetensors.torch import load_file

    return load_file(path)


@pytest.fixture(autouse=True)
def open_clip_4(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """open_clip 4 or its stand-in, except for tests that use `older`."""
    if IS_REAL or "older" in request.fixturenames:
        return
    audio, convert = ModuleType("open_clip.audio"), ModuleType("open_clip.audio.convert")
    for name in (AudioNaFlexCfg, AudioNaFlexTransformFactory, AudioTower, CLIPAudioCfg, audio_transform_v2):
        setattr(audio, name.__name__, name)
    convert.load_hf_clap_state_dict = load_hf_clap_state_dict
    audio.convert = convert
    monkeypatch.setitem(sys.modules, audio.__name__, audio)
    monkeypatch.setitem(sys.modules, convert.__name__, convert)
    monkeypatch.setattr(open_clip, "CLAP", CLAP, raising=False)
    monkeypatch.setattr(open_clip, "audio", audio, raising=False)
    monkeypatch.setattr("llm_multi_core.embedder.host.host.missing_requirements", lambda requires: ())


@pytest.fixture
def older() -> None:
    """open_clip as it is installed, before version 4."""
    if IS_REAL:
        pytest.skip("open_clip 4 is installed")


@pytest.fixture(scope="session")
def sound_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model by its name; made when first asked for."""
    root = tmp_path_factory.mktemp("sound-models")

    @cache
    def build(name: str) -> Path:
        from safetensors.torch import save_file

        config = {"embed_dim": 24, "audio_cfg": AUDIO[name], "text_cfg": TEXT}
        torch.manual_seed(5)
        model = open_clip.CLAP(**json.loads(json.dumps(config)))
        for part, weight in model.named_parameters():
            if weight.ndim > 1 and "extractor" not in part:
                # In open_clip's HTSAT, which is as deep here as any, wider weights double every error.
                torch.nn.init.normal_(weight, std=0.08 if IS_REAL and AUDIO[name]["model_type"] == "HTSAT" else 0.2)
        folder = root / name
        folder.mkdir()
        content = {"model_cfg": config, "preprocess_cfg": {}}
        (folder / "open_clip_config.json").write_text(json.dumps(content), encoding="utf-8")
        state = {part: tensor.contiguous() for part, tensor in model.state_dict().items()}
        save_file(state, folder / "open_clip_model.safetensors")
        return folder

    return build


@pytest.fixture(scope="session")
def make_sound() -> Callable[..., np.ndarray]:
    """A chirp in noise, of some seconds, by its seed."""

    def make(seconds: float, seed: int) -> np.ndarray:
        draw = np.random.default_rng(seed)
        moments = np.arange(max(1, round(seconds * RATE))) / RATE
        chirp = np.sin(2 * np.pi * (draw.uniform(80, 4000) + draw.uniform(0, 800) * moments) * moments)
        noise = draw.normal(0, draw.uniform(0.001, 0.3), len(moments))
        return (draw.uniform(0.01, 0.6) * chirp + noise).astype(np.float32)

    return make
