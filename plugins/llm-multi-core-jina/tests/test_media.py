"""Images and sound on their way to Jina: the form, the format, the size."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from llm_multi_core.embedder import InvalidInputError, InvalidOptionError, Item, TruncationWarning
from llm_multi_core.embedder.inputs.image import image_item
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.testing.hosted import Content, EmbeddingCall
from llm_multi_core.embedder.testing.hosted.openai import media_key
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture, encode_sound, synthesise

CLIP, OMNI = "jina-clip-v2", "jina-embeddings-v5-omni-nano"


def sent(server):
    return [entry for record in server.requests for entry in json.loads(record.body)["input"]]


def expected(server, data, model, modality, task, dimension):
    call = EmbeddingCall([], model, dimension, task)
    return np.stack([server.wire.vector(Content(media_key(entry), 1, 1, modality), call) for entry in data])


def test_files_are_sent_as_they_are(server, make):
    files = [encode_picture(draw_picture(seed=seed), form) for seed, form in enumerate(("JPEG", "PNG", "WEBP"))]
    vectors = make(CLIP, "image").embed_batch(files)
    assert sent(server) == [{"image": base64.b64encode(data).decode()} for data in files]
    assert np.allclose(vectors, expected(server, files, CLIP, "image", "", 1024), atol=1e-6)


def test_pictures_and_other_formats_are_written_as_jpeg(server, make):
    make(CLIP, "image").embed_batch([draw_picture(), encode_picture(draw_picture(seed=1), "BMP")])
    assert all(base64.b64decode(entry["image"]).startswith(b"\xff\xd8\xff") for entry in sent(server))
    assert server.violations == []


def test_texts_and_images_share_a_space(server, make):
    text, image = make(CLIP), make(CLIP, "image")
    text.space.require_same(image.space)
    assert text.space.is_joint
    assert set(make(OMNI).space.modalities) == {"text", "image", "audio"}


def test_large_images_are_shrunk_and_kept_apart(server, make):
    noise = np.random.default_rng(5).integers(0, 256, (1800, 1800, 3), np.uint8)
    make(CLIP, "image").embed_batch([noise, noise[::-1], noise[:, ::-1], noise[::-1, ::-1]])
    assert server.violations == []
    assert len(server.calls) > 1
    assert all(sum(content.nbytes for content in call.contents) <= 16_000_000 for call in server.calls)


def test_an_image_is_never_too_long(make):
    with make("jina-embeddings-v4", "image", truncation="error") as embedder:
        assert embedder.embed(np.zeros((40, 9000, 3), np.uint8)).shape == (2048,)


def test_a_poor_file_among_good_ones(server, make):
    good = [encode_picture(draw_picture(seed=seed)) for seed in range(3)]
    result = make(CLIP, "image").run([good[0], good[1][:200], good[2]], on_error="collect")
    assert [(failure.index, type(failure.error)) for failure in result.failures] == [(1, InvalidInputError)]
    assert result.ok.tolist() == [True, False, True]


def test_sound_is_sent_in_the_form_of_the_omni_models(server, make):
    files = [encode_sound(synthesise(0.3, seed=1)), encode_sound(synthesise(0.3, seed=2), format="FLAC")]
    vectors = make(OMNI, "audio").embed_batch(files, role="document")
    assert sent(server) == [{"audio": base64.b64encode(data).decode()} for data in files]
    assert np.allclose(vectors, expected(server, files, OMNI, "audio", "retrieval.passage", 768), atol=1e-6)


def test_bare_samples_are_taken_at_16_khz_and_written_as_wav(server, make):
    make(OMNI, "audio").embed(synthesise(0.25))
    data = base64.b64decode(sent(server)[0]["audio"])
    assert data.startswith(b"RIFF")
    assert int.from_bytes(data[24:28], "little") == 16_000


def test_sound_beyond_the_context_is_cut(server, make):
    quiet = np.full(600_000, 0.1, np.float32)
    with pytest.warns(TruncationWarning, match="1 of 1 inputs were cut"):
        make(OMNI, "audio").embed((quiet, 1000))
    data = base64.b64decode(sent(server)[0]["audio"])
    seconds = (len(data) - 44) / 2 / 1000
    assert 300 < seconds <= 8192 / 25


def test_sound_that_takes_too_many_bytes_says_so(make):
    with pytest.raises(InvalidInputError, match="6000000 are taken at most"):
        make(OMNI, "audio").embed((np.zeros(3_100_000, np.float32) + 0.1, 44_100))


@pytest.mark.parametrize(
    ("modality", "model"), [("audio", CLIP), ("image", "jina-embeddings-v3"), ("audio", "jina-embeddings-v4")]
)
def test_models_refuse_what_they_do_not_embed(make, modality, model):
    with pytest.raises(InvalidOptionError, match=f"embeds .*not {modality}; choose one that does, such as 'jina-"):
        _ = make(model, modality).space


def test_items_of_several_parts_are_refused(make):
    both = Item((*text_item("a red square").parts, *image_item(draw_picture()).parts))
    result = make(CLIP, "image").run([both, draw_picture()], on_error="collect")
    assert [failure.index for failure in result.failures] == [0]
    assert "takes one part an item, not 2" in str(result.failures[0].error)
