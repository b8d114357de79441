"""Images, recordings, and items that mix modalities."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
import soundfile
from PIL import Image

from llm_multi_core.embedder import InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.inputs.audio import audio_item
from llm_multi_core.embedder.inputs.image import image_item
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.items import Item

MODEL = "gemini-embedding-2"


def picture(seed, size=(40, 30), kind="PNG"):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def recording(seed, seconds=1.0, kind="WAV", rate=8000):
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, int(rate * seconds)).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind)
    return file.getvalue()


def parts_of(record):
    return [request["content"]["parts"] for request in json.loads(record.body)["requests"]]


def sent_file(part):
    blob = part["inline_data"]
    return blob["mime_type"], base64.urlsafe_b64decode(blob["data"].replace("+", "-").replace("/", "_"))


def mixed(*items):
    return Item(tuple(part for item in items for part in item.parts))


def test_images_go_six_a_request_and_as_they_are(server, make):
    files = [picture(seed, kind="PNG" if seed % 2 else "JPEG") for seed in range(14)]
    vectors = make(server, modality="image").embed_batch(files)
    assert sorted(len(call.contents) for call in server.calls) == [2, 6, 6]
    sent = [sent_file(part) for record in server.requests for (part,) in parts_of(record)]
    assert sorted(sent) == sorted(("image/png" if i % 2 else "image/jpeg", file) for i, file in enumerate(files))
    assert vectors.shape == (14, 3072)
    assert len(np.unique(vectors.round(5), axis=0)) == 14
    assert server.violations == []


def test_other_images_are_written_as_jpeg(server, make):
    make(server, modality="image").embed_batch([picture(1, kind="WEBP"), np.zeros((9, 9, 3), np.uint8)])
    assert [sent_file(part)[0] for (part,) in parts_of(server.requests[0])] == ["image/jpeg"] * 2


def test_recordings_go_as_they_are_or_as_wav(server, make):
    files = [recording(1), recording(2, kind="FLAC"), recording(3, kind="MP3", rate=16000)]
    vectors = make(server, modality="audio").embed_batch(files)
    sent = dict(sent_file(part) for record in server.requests for (part,) in parts_of(record))
    assert sent["audio/mpeg"] == files[2]
    assert len(server.requests) == 3
    assert vectors.shape == (3, 3072)
    assert server.violations == []


def test_recordings_are_cut_at_eighty_seconds_unless_told_otherwise(server, make):
    samples = np.random.default_rng(4).uniform(-0.5, 0.5, 1000 * 170).astype(np.float32)
    with pytest.warns(UserWarning, match="cut to the 80 seconds"):
        make(server, modality="audio").embed((samples, 1000))
    result = make(server, modality="audio", limits={"units_per_item": 180}).run([(samples, 1000)])
    assert not result.report.truncations
    averaged = make(server, modality="audio", truncation="mean").run([(samples, 1000)])
    assert averaged.report.requests == 3
    seconds = sorted(call.units / 25 for call in server.calls)
    assert seconds == [10, 80, 80, 80, 170]
    assert server.violations == []


def test_modalities_share_a_space_and_prices_differ(server, make):
    text = make(server, MODEL)
    image, audio = make(server, modality="image"), make(server, modality="audio")
    assert text.space == image.space == audio.space
    assert text.space.is_joint
    costs = [
        text.run(["one two"]).report.cost,
        image.run([picture(1)]).report.cost,
        audio.run([recording(1, 2.0)]).report.cost,
    ]
    words = 7  # of the prompt, with "one two"
    assert costs == pytest.approx([words * 0.2e-6, 258 * 0.45e-6, 50 * 6.5e-6])
    assert image.plan([picture(2)]).cost == pytest.approx(258 * 0.45e-6)
    assert audio.plan([recording(2, 2.0)]).cost == pytest.approx(2 * 0.1625e-3)


def test_roles_make_no_difference_to_media(server, make):
    embedder = make(server, modality="image")
    np.testing.assert_array_equal(embedder.embed(picture(1), role="query"), embedder.embed(picture(1), role="document"))


def test_an_item_of_several_parts_is_one_vector(server, make):
    caption, image, sound = text_item("a dog"), image_item(picture(1)), audio_item(recording(1), None)
    items = [mixed(caption, image), mixed(image, caption), mixed(caption, image, sound), caption]
    embedder = make(server, MODEL)
    vectors = embedder.embed_batch(items, role="document")
    assert vectors.shape == (4, 3072)
    assert len(np.unique(vectors.round(5), axis=0)) == 4
    sent = [parts for record in server.requests for parts in parts_of(record)]
    assert len(server.requests) == 4  # each mixed item in a request of its own
    texts = sorted(part["text"] for parts in sent for part in parts if "text" in part)
    assert texts == ["a dog", "a dog", "a dog", "title: none | text: a dog"]
    by_image = make(server, MODEL, modality="image").embed(items[0])
    np.testing.assert_allclose(by_image, vectors[0], atol=1e-6)
    assert server.violations == []


def test_what_a_model_does_not_take_is_refused_by_name(server, make):
    caption, image = text_item("a dog"), image_item(picture(1))
    with pytest.raises(InvalidInputError, match=r"input 1: .*does not take image"):
        make(server).embed_batch(["a", mixed(caption, image)])
    with pytest.raises(InvalidInputError, match="takes one part an item, not 2"):
        make(server).embed_batch([mixed(caption, text_item("a cat"))])
    with pytest.raises(InvalidOptionError, match="embeds text, not image"):
        make(server, "gemini-embedding-001", modality="image").embed(picture(1))
    with pytest.raises(InvalidInputError, match=r"may hold 6 image part\(s\), not 7"):
        make(server, MODEL, modality="image").embed(mixed(*[image] * 7))
    with pytest.raises(InvalidInputError, match="cannot be cut"):
        make(server, MODEL).embed(mixed(text_item("word " * 6000), image))
    assert server.requests == []
