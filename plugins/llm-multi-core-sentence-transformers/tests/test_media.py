"""Models of text and images, and of text and sound, against sentence-transformers' own vectors."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from llm_multi_core.embedder import (
    AudioEmbedder,
    ImageEmbedder,
    InvalidInputError,
    InvalidOptionError,
    Modality,
    TruncationWarning,
    create_audio_embedder,
    create_image_embedder,
    create_text_embedder,
)
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance

RATE = 8000


def pictures():
    from PIL import Image

    draw = np.random.default_rng(3)
    sizes = [(16, 16), (40, 20), (20, 64), (33, 33), (7, 50), (128, 96), (16, 17), (90, 90), (24, 12), (50, 50)]
    return [Image.fromarray(draw.integers(0, 256, (height, width, 3), np.uint8)) for width, height in sizes]


def sounds():
    draw = np.random.default_rng(4)
    lengths = [300, 800, 800, 1500, 2400, 4000, 5600, 7000, 7999, 8000]
    return [draw.uniform(-1, 1, length).astype(np.float32) * (0.2 + 0.08 * i) for i, length in enumerate(lengths)]


def as_sound(samples):
    return {"audio": {"array": samples, "sampling_rate": RATE}}


@pytest.fixture
def make(model_folder):
    made = []

    def make(create, name, **settings):
        settings = {"device": "cpu", "precision": "float32"} | settings
        made.append(create("sentence-transformers", str(model_folder(name)), **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_images(make, model_folder, reference, parity):
    images = pictures()
    theirs = reference(str(model_folder("clip"))).encode(images)
    parity.check(make(create_image_embedder, "clip"), images, theirs, architecture="CLIP")


def test_images_from_files_and_arrays_are_the_same(make, tmp_path, same_vectors):
    embedder, images = make(create_image_embedder, "clip"), pictures()
    for number, image in enumerate(images):
        image.save(tmp_path / f"{number}.png")
    expected = embedder.embed_batch(images)
    same_vectors(embedder.embed_batch([tmp_path / f"{number}.png" for number in range(len(images))]), expected)
    same_vectors(embedder.embed_batch([np.asarray(image) for image in images]), expected)


def test_sound(make, model_folder, reference, parity):
    recordings = sounds()
    library = reference(str(model_folder("clap")))
    theirs = np.stack([library.encode(as_sound(one), normalize_embeddings=True) for one in recordings])
    embedder = make(create_audio_embedder, "clap")
    assert embedder._resolve().description.intake.sample_rate == RATE
    parity.check(embedder, recordings, theirs, architecture="CLAP")


def test_nothing_of_a_recording_is_thrown_away_in_silence(make, same_vectors):
    embedder = make(create_audio_embedder, "clap")
    long = np.random.default_rng(5).uniform(-1, 1, 2 * RATE + 400).astype(np.float32)
    with pytest.warns(TruncationWarning):
        cut = embedder.embed(long)
    assert np.allclose(cut, embedder.embed(long[:RATE]), atol=1e-6)
    with pytest.raises(InvalidInputError):
        make(create_audio_embedder, "clap", truncation="error").embed(long)
    whole = make(create_audio_embedder, "clap", truncation="mean").embed(long)
    assert whole @ cut < 0.9999


@pytest.mark.parametrize(("name", "other"), [("clip", create_image_embedder), ("clap", create_audio_embedder)])
def test_text_and_media_share_space_and_weights(name, other, make):
    text, media = make(create_text_embedder, name, truncation="truncate"), make(other, name)
    assert text.space.fingerprint == media.space.fingerprint
    assert text.space.modalities == {Modality.TEXT, media.modality}
    assert text.space.is_joint
    assert text._resolve().handle is media._resolve().handle


@pytest.mark.parametrize(
    ("create", "name", "message"),
    [
        (create_image_embedder, "mean", "embeds text, not image; choose one that does, such as 'sentence-transformers"),
        (create_audio_embedder, "mean", "embeds text, not audio; choose one that does, such as 'google/embeddinggemma"),
        (create_image_embedder, "static", "embeds text, not image"),
        (create_audio_embedder, "clip", "embeds image and text, not audio"),
        (create_image_embedder, "clap", "embeds audio and text, not image"),
    ],
)
def test_a_model_without_the_modality_says_what_it_has(create, name, message, make):
    with pytest.raises(InvalidOptionError, match=message):
        _ = make(create, name).space


def test_the_files_say_what_is_embedded_before_anything_is_loaded(make):
    embedder = make(create_image_embedder, "clip")
    assert embedder.space.modalities == {Modality.TEXT, Modality.IMAGE}
    assert embedder._resolve().description.intake.image_side == 16
    assert embedder._resolve().handle.encoder()._model is None


def test_a_folder_of_transformers_alone_is_asked_when_loaded(model_folder, same_vectors):
    expected, settings = [], {"device": "cpu", "precision": "float32"}
    for folder in (model_folder("clip"), model_folder("clip").with_suffix(".backbone")):
        with create_image_embedder("sentence-transformers", str(folder), **settings) as embedder:
            assert embedder.space.modalities == {Modality.TEXT, Modality.IMAGE}
            expected.append(embedder.embed_batch(pictures()))
    same_vectors(*expected)


def test_how_images_are_preprocessed_enters_the_identity(make, model_folder, tmp_path):
    folder = shutil.copytree(model_folder("clip"), tmp_path / "clip")
    path = folder / "processor_config.json"
    path.write_text(path.read_text().replace("0.48145466", "0.5"))
    with create_image_embedder("sentence-transformers", str(folder), device="cpu", precision="float32") as other:
        assert other.encoder_id != make(create_image_embedder, "clip").encoder_id


def test_a_bad_file_is_reported_and_the_others_are_embedded(make, tmp_path):
    pictures()[0].save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    result = make(create_image_embedder, "clip").run([tmp_path / "bad.png", tmp_path / "good.png"], on_error="collect")
    assert list(result.ok) == [False, True]
    assert "bad.png" in str(result.failures[0].error)


def test_an_image_to_a_model_of_text_is_refused_and_the_texts_are_embedded(make):
    from llm_multi_core.embedder.inputs.image import image_item

    result = make(create_text_embedder, "mean").run(["river", image_item(pictures()[0])], on_error="collect")
    assert list(result.ok) == [True, False]
    assert "embeds text only" in str(result.failures[0].error)


class TestImages(EncoderConformance):
    @pytest.fixture
    def case(self, model_folder):
        return EncoderCase(
            "sentence-transformers",
            embedder=ImageEmbedder,
            model=str(model_folder("clip")),
            device="cpu",
            samples=pictures(),
        )


class TestSound(EncoderConformance):
    @pytest.fixture
    def case(self, model_folder):
        return EncoderCase(
            "sentence-transformers",
            embedder=AudioEmbedder,
            model=str(model_folder("clap")),
            device="cpu",
            samples=sounds(),
            long_sample=np.random.default_rng(6).uniform(-1, 1, 3 * RATE).astype(np.float32),
        )
