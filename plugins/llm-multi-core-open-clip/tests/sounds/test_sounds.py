"""Sounds and texts in one space, with the audio towers of open_clip 4 (see `conftest.py` for what stands in for it)."""

from __future__ import annotations

import json
import random
from contextlib import closing
from dataclasses import replace
from shutil import copytree

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from llm_multi_core.embedder import (
    AudioEmbedder,
    FrameworkUnavailableError,
    InvalidOptionError,
    Modality,
    ModelLoadError,
    create_audio_embedder,
    create_image_embedder,
    create_text_embedder,
    get_available_embedders,
)
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance
from llm_multi_core_open_clip import encoder, finding
from llm_multi_core_open_clip.encoder import OpenClipEncoder
from llm_multi_core_open_clip.plugin import CLIP, CLIP_AUDIO
from llm_multi_core_open_clip.sounds import SoundFormat, SoundInputs
from llm_multi_core_torch import EngineWarning

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")  # of open_clip's HTSAT

SECONDS = (0.3, 0.99, 0.31, 0.99, 0.0001, 0.52, 0.3, 0.7)
KINDS = ("fixed", "fused", "variable", "whisper")


@pytest.fixture
def audio():
    return lambda folder, **options: closing(
        create_audio_embedder(
            "clip", str(folder), **{"device": "cpu", "precision": "float32", "normalize": False} | options
        )
    )


def reference(folder, sounds):
    """The vectors `(n, d)` of sounds alone, by open_clip."""
    config = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    rate, length = config["audio_cfg"]["sample_rate"], config["audio_cfg"].get("audio_seq_len")
    model = open_clip.CLAP(**config)
    model.load_state_dict(load_file(folder / "open_clip_model.safetensors"))
    parsed = open_clip.audio.CLIPAudioCfg(**config["audio_cfg"])
    if length is None:
        transform = open_clip.audio.audio_transform_v2(parsed, is_train=False)
    else:
        naflex = open_clip.audio.AudioNaFlexCfg.from_clip_audio_cfg(parsed)
        transform = open_clip.audio.AudioNaFlexTransformFactory(naflex)(max_seq_len=length)
    rows = []
    for sound in sounds:
        inputs = transform((torch.from_numpy(sound)[None], rate))
        with torch.no_grad():
            rows.append(model.eval().encode_audio({name: torch.as_tensor(one)[None] for name, one in inputs.items()}))
    return torch.cat(rows).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_those_of_encode_audio(kind, audio, sound_model, make_sound, same_vectors):
    sounds = [make_sound(seconds, seed) for seed, seconds in enumerate(SECONDS)]
    expected = reference(sound_model(kind), sounds)
    order = random.Random(5).sample(range(len(sounds)), len(sounds))
    with audio(sound_model(kind)) as embedder:
        same_vectors(embedder.embed_batch(sounds), expected)
        same_vectors(embedder.embed_batch([sounds[place] for place in order]), expected[order])
        same_vectors(np.stack([embedder.embed(sound) for sound in sounds]), expected)


def test_texts_share_space_and_model(audio, sound_model, make_sound):
    folder = sound_model("fixed")
    texts = ["rain", "a dog that barks, far away", "wind"]
    with (
        audio(folder) as sounds,
        closing(create_text_embedder("clip", str(folder), device="cpu", precision="float32")) as words,
    ):
        found, _ = words.embed_batch(texts), sounds.embed(make_sound(0.3, 1))
        assert words._resolve().handle is sounds._resolve().handle
        assert words.space == sounds.space
        assert words.space.modalities == {Modality.AUDIO, Modality.TEXT}
    config = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    model = open_clip.CLAP(**config)
    model.load_state_dict(load_file(folder / "open_clip_model.safetensors"))
    tokens = open_clip.tokenize(texts, context_length=16)
    with torch.no_grad():
        expected = model.eval().encode_text(tokens, normalize=True).numpy()
    assert np.abs(found - expected).max() < 2e-5
    assert (expected @ expected.T).min() < 0.99


@pytest.mark.parametrize("kind", KINDS)
def test_long_sounds_follow_the_truncation_policy(kind, audio, sound_model, make_sound):
    long = make_sound(2.5, 3)
    window = SoundFormat.of(
        json.loads((sound_model(kind) / "open_clip_config.json").read_text())["model_cfg"]["audio_cfg"]
    )
    length = window.milliseconds * 16
    with audio(sound_model(kind), truncation="truncate") as embedder:
        result = embedder.run([long])
        assert np.allclose(result.vectors[0], embedder.embed(long[:length]), atol=1e-6)
        assert len(result.report.truncations) == 1
    with audio(sound_model(kind), truncation="mean") as embedder:
        assert not np.allclose(embedder.embed(long), result.vectors[0], atol=1e-3)


def test_bfloat16_stays_close(audio, sound_model, make_sound):
    sounds = [make_sound(seconds, seed) for seed, seconds in enumerate(SECONDS)]
    for kind in KINDS:
        settings = {"normalize": True, "engine": "torch"}
        with (
            audio(sound_model(kind), **settings) as full,
            audio(sound_model(kind), precision="bfloat16", **settings) as half,
        ):
            assert (full.embed_batch(sounds) * half.embed_batch(sounds)).sum(1).min() > 0.99


def test_the_audio_tower_runs_in_torch(audio, sound_model, make_sound):
    pytest.importorskip("openvino")
    sounds = [make_sound(0.3, 1), make_sound(0.9, 2)]
    with audio(sound_model("fixed"), engine="openvino") as ours, audio(sound_model("fixed"), engine="torch") as theirs:
        with pytest.warns(EngineWarning, match="the audio tower of model 'fixed' runs in torch"):
            found = ours.embed_batch(sounds)
        assert np.array_equal(found, theirs.embed_batch(sounds))


def test_a_loud_neighbour_does_not_matter(audio, sound_model, make_sound, monkeypatch):
    """A Whisper tower clips its spectrograms by the loudest of a batch, and so gets one recording at a time."""
    sizes = []
    prepare = OpenClipEncoder.prepare
    monkeypatch.setattr(
        OpenClipEncoder, "prepare", lambda self, items, *rest: sizes.append(len(items)) or prepare(self, items, *rest)
    )
    sounds = [make_sound(0.3, seed) for seed in range(4)]
    for kind, expected in (("whisper", [1] * 4), ("fixed", [4])):
        sizes.clear()
        with audio(sound_model(kind)) as embedder:
            embedder.embed_batch(sounds)
        assert sizes == expected


# What is refused.


def test_models_without_the_tower(audio, sound_model, model_folder, make_sound, pictures):
    with audio(model_folder("vit")) as embedder, pytest.raises(InvalidOptionError, match="not audio"):
        embedder.embed(make_sound(0.3, 1))
    images = create_image_embedder("clip", str(sound_model("fixed")), device="cpu")
    with closing(images), pytest.raises(InvalidOptionError, match="not image"):
        images.embed(pictures[0])


def test_settings_that_open_clip_does_not_know(sound_model, audio, tmp_path, make_sound):
    with pytest.raises(ModelLoadError, match="preprocessing of model 'acme' cannot be set up"):
        SoundInputs({"sample_rate": 16_000, "colour": "blue"}, "acme")
    folder = copytree(sound_model("fixed"), tmp_path / "copy")
    content = json.loads((folder / "open_clip_config.json").read_text())
    content["model_cfg"]["text_cfg"]["tokenizer_type"] = "tiktoken"
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    with audio(folder) as embedder, pytest.raises(ModelLoadError, match="of type 'tiktoken', which is not run here"):
        embedder.embed(make_sound(0.3, 1))


def test_weights_in_the_layout_of_transformers(sound_model, audio, tmp_path, make_sound, monkeypatch):
    """They lack constants, which is well, but may lack nothing else."""
    from open_clip.audio import convert

    if getattr(convert, "__file__", None):
        pytest.skip("open_clip 4 is installed, whose weights of that layout are none of these")
    folder, sound = copytree(sound_model("fixed"), tmp_path / "copy"), make_sound(0.3, 1)
    weights = folder / "open_clip_model.safetensors"
    with audio(folder) as embedder:
        expected = embedder.embed(sound)
    find, state = finding.find_clip, load_file(weights)
    monkeypatch.setattr(encoder, "find_clip", lambda *given: replace(find(*given), from_transformers=True))
    save_file({name: value for name, value in state.items() if "spectrogram" not in name}, weights)
    with audio(folder) as embedder:
        assert np.array_equal(embedder.embed(sound), expected)
    save_file({name: value for name, value in state.items() if name != "audio.layer.weight"}, weights)
    with audio(folder) as embedder, pytest.raises(ModelLoadError, match=r"audio\.layer\.weight is missing"):
        embedder.embed(sound)


@pytest.mark.usefixtures("older")
def test_older_open_clip_says_what_is_missing(model_folder, tmp_path):
    assert get_available_embedders()["audio"]["clip"] is False
    assert get_available_embedders()["image"]["clip"] is True
    with pytest.raises(FrameworkUnavailableError, match=r"needs open_clip_torch>=4.* \(3\.\S+ is installed\)"):
        create_audio_embedder("clip")
    folder = copytree(model_folder("vit"), tmp_path / "copy")
    content = json.loads((folder / "open_clip_config.json").read_text())
    content["model_cfg"]["audio_cfg"] = {"sample_rate": 16_000}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    texts = create_text_embedder("clip", str(folder), device="cpu")
    with closing(texts), pytest.raises(ModelLoadError, match=r"needs open_clip 4; installed is 3\."):
        texts.embed("rain")


# What is said of it.


def test_both_specifications_are_one_encoder():
    assert CLIP_AUDIO.options == CLIP.options
    assert CLIP_AUDIO.target == CLIP.target
    assert not set(CLIP_AUDIO.modalities) & set(CLIP.modalities)


@pytest.mark.parametrize(
    ("config", "rate", "milliseconds"),
    [
        ({}, 48_000, 10_000),
        ({"model_type": "whisper", "sample_rate": 16_000, "clip_samples": 480_000}, 16_000, 30_000),
        ({"model_type": "naflexvit"}, 48_000, 10_000),
        ({"model_type": "naflexvit", "audio_seq_len": 251}, 48_000, 10_039),
        ({"model_type": "naflexvit", "audio_seq_len": 408, "patch_freq": 8, "patch_time": 20}, 48_000, 10_199),
    ],
)
def test_the_longest_recording(config, rate, milliseconds):
    found = SoundFormat.of(config)
    assert (found.sample_rate, found.milliseconds) == (rate, milliseconds)


class TestSounds(EncoderConformance):
    @pytest.fixture
    def case(self, sound_model, make_sound):
        return EncoderCase(
            "clip",
            embedder=AudioEmbedder,
            model=str(sound_model("variable")),
            samples=[
                make_sound(seconds, seed) for seed, seconds in enumerate((0.3, 0.9, 0.31, 0.05, 0.3, 0.62, 0.9, 0.12))
            ],
            long_sample=make_sound(2.3, 2),
            device="cpu",
            variations=[{"precision": "bfloat16"}],
        )
