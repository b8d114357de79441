"""What encoders of sound refuse, and what they say; what they do with odd models."""

from __future__ import annotations

import json
from shutil import copytree

import numpy as np
import pytest

from llm_multi_core.embedder import (
    InvalidInputError,
    InvalidOptionError,
    ModelLoadError,
    Task,
    UnsupportedDimensionsError,
    UntrustedCodeError,
    create_audio_embedder,
)
from llm_multi_core.embedder.inputs.audio import audio_item


@pytest.fixture
def embedder():
    """Makes embedders on the CPU in full precision, one at a time: open ones share what they read of a folder."""
    made = []

    def make(framework, folder, **options):
        for one in made:
            one.close()
        made.append(create_audio_embedder(framework, model=folder, device="cpu", precision="float32", **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def copy(sound_model, tmp_path):
    """A copy of a tiny model's folder that may be changed."""
    return lambda name: copytree(sound_model(name), tmp_path / name)


def change(file, **values):
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize(
    ("framework", "name", "instead"),
    [("wav2vec2", "whisper", "whisper"), ("whisper", "hubert", "hubert"), ("clap", "data2vec", "data2vec")],
)
def test_model_of_another_framework(framework, name, instead, sound_model, embedder):
    with pytest.raises(ModelLoadError, match=f"use framework='{instead}'"):
        embedder(framework, sound_model(name)).dimension  # noqa: B018


def test_model_of_no_known_type(copy, embedder):
    folder = copy("wav2vec2")
    change(folder / "config.json", model_type="bert")
    with pytest.raises(ModelLoadError, match="of type 'bert', which wav2vec2 does not run"):
        embedder("wav2vec2", folder).dimension  # noqa: B018


def test_kin_of_the_named_model(sound_model, embedder, make_sound):
    """The names of frameworks for waveforms choose the default model; each runs them all, in one space."""
    folder, sound = sound_model("hubert"), make_sound(0.3, 1)
    found = []
    for framework in ("hubert", "wav2vec2"):
        one = embedder(framework, folder)
        found.append((one.space, one.embed(sound)))
    assert found[0][0] == found[1][0]
    assert np.array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 3}, "layers 0 to 2"),
        ({"layer": "first"}, "is not 'last'"),
        ({"layer": "mean:4"}, "3 hidden states"),
        ({"layer": "mean:0"}, "3 hidden states"),
        ({"pooling": "sum"}, "'mean', 'max', 'first'"),
        ({"max_seconds": 0}, "at least a millisecond"),
        ({"max_seconds": float("nan")}, "at least a millisecond"),
    ],
)
def test_options(options, message, sound_model, embedder):
    with pytest.raises(InvalidOptionError, match=message):
        embedder("wav2vec2", sound_model("wav2vec2"), **options).dimension  # noqa: B018


def test_sound_as_fine_as_tokens(sound_model, embedder):
    with pytest.raises(InvalidOptionError, match="is too short"):
        embedder("clap", sound_model("clap"), max_seconds=0.05).dimension  # noqa: B018


@pytest.mark.parametrize("framework", ["whisper", "clap"])
def test_no_longer_than_the_window(framework, sound_model, embedder):
    with pytest.raises(InvalidOptionError, match="hears 1 s"):
        embedder(framework, sound_model(framework), max_seconds=2).dimension  # noqa: B018


def test_dimensions(sound_model, embedder):
    with pytest.raises(UnsupportedDimensionsError, match="gives 16 dimensions"):
        embedder("wav2vec2", sound_model("wav2vec2"), dimensions=8).dimension  # noqa: B018


def test_pickled_weights(copy, embedder, make_sound):
    import torch
    from safetensors.torch import load_file

    folder, sound = copy("hubert"), make_sound(0.3, 1)
    expected = embedder("hubert", folder).embed(sound)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelLoadError, match="allow_pickle=True"):
        embedder("hubert", folder).embed(sound)
    found = embedder("hubert", folder, allow_pickle=True).embed(sound)
    assert found @ expected >= 0.9999


def test_weights_that_lack_a_layer(copy, embedder, make_sound):
    folder = copy("wav2vec2")
    change(folder / "config.json", num_hidden_layers=3)
    with pytest.raises(ModelLoadError, match="lack"):
        embedder("wav2vec2", folder).embed(make_sound(0.3, 1))


def test_no_feature_extractor(copy, embedder):
    folder = copy("wavlm")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelLoadError, match="no feature extractor"):
        embedder("wavlm", folder).dimension  # noqa: B018


def test_feature_extractor_within_a_processor(copy, embedder, make_sound):
    folder, sound = copy("wavlm"), make_sound(0.3, 1)
    one = embedder("wavlm", folder)
    expected, space = one.embed(sound), one.space
    own = folder / "preprocessor_config.json"
    content = {"processor_class": "Wav2Vec2Processor", "feature_extractor": json.loads(own.read_text())}
    (folder / "processor_config.json").write_text(json.dumps(content))
    own.unlink()
    one = embedder("wavlm", folder)
    assert one.space == space
    assert np.array_equal(one.embed(sound), expected)


def test_preprocessing_is_part_of_the_identity(copy, embedder):
    folder = copy("wav2vec2")
    before = embedder("wav2vec2", folder).space
    change(folder / "preprocessor_config.json", do_normalize=False)
    assert embedder("wav2vec2", folder).space != before


def test_spectrograms_of_another_length(copy, embedder):
    folder = copy("whisper")
    change(folder / "preprocessor_config.json", chunk_length=2)
    with pytest.raises(ModelLoadError, match="200 frames where the model takes 100"):
        embedder("whisper", folder).dimension  # noqa: B018


def test_code_of_its_own(copy, embedder, make_sound):
    folder, sound = copy("wav2vec2"), make_sound(0.3, 1)
    expected = embedder("wav2vec2", folder).embed(sound)
    (folder / "own.py").write_text(
        "from transformers import Wav2Vec2Config, Wav2Vec2Model\n\n\n"
        "class OwnConfig(Wav2Vec2Config):\n    model_type = 'own-sound'\n\n\n"
        "class OwnModel(Wav2Vec2Model):\n    config_class = OwnConfig\n"
    )
    code = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    change(folder / "config.json", model_type="own-sound", auto_map=code)
    with pytest.raises(UntrustedCodeError, match="trust_remote_code=True"):
        embedder("wav2vec2", folder).embed(sound)
    found = embedder("wav2vec2", folder, trust_remote_code=True).embed(sound)
    assert found @ expected >= 0.9999


def test_damaged_file_leaves_the_others_alone(sound_model, embedder, make_sound, tmp_path):
    import soundfile

    path = tmp_path / "sound.wav"
    soundfile.write(path, make_sound(0.3, 1), 16_000)
    sounds = [make_sound(0.3, 2), path, make_sound(0.5, 3)]
    one = embedder("wav2vec2", sound_model("wav2vec2-layer"))
    expected = one.embed_batch(sounds)
    path.write_bytes(b"RIFF")
    result = one.run(sounds, on_error="collect")
    assert [failure.index for failure in result.failures] == [1]
    assert isinstance(result.failures[0].error, InvalidInputError)
    assert np.allclose(result.vectors[[0, 2]], expected[[0, 2]], atol=1e-6)


def test_header_that_lies(waveform_encoder, decoded, make_sound):
    """What is decoded may be shorter than the header said; lengths that differ are then run apart."""
    encoder = waveform_encoder("wav2vec2")
    items = [decoded(make_sound(seconds, seed)) for seed, seconds in enumerate((0.3, 0.2, 0.3, 0.25))]
    together = encoder.forward(encoder.prepare(items, Task()))
    alone = np.concatenate([encoder.forward(encoder.prepare([item], Task())) for item in items])
    assert np.allclose(together, alone, atol=1e-5)


def test_pieces_cover_a_recording(make_sound):
    """Pieces follow one another without a gap, and say where they lie."""
    from llm_multi_core_torch import milliseconds_of, split_sound

    for seconds in (2.3, 2.0, 1.0000625, 0.4, 2.99999):
        item = audio_item(make_sound(seconds, 1), 16_000)
        pieces = split_sound(item, 1000)
        assert all(milliseconds_of(piece) <= 1000 for piece in pieces)
        joined = np.concatenate([piece.parts[0].payload.decode(16_000).samples for piece in pieces])
        assert np.array_equal(joined, item.parts[0].payload.decode(16_000).samples)
        assert [piece.span.start for piece in pieces] == [1000 * number for number in range(len(pieces))]
        assert len({piece.digest for piece in pieces}) == len(pieces)
