"""Inside Chroma, embedded: filled, opened again, asked by text, picture and sound."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow

from llm_multi_core.embedder import IncompatibleSpacesError, InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.stores import UnstampedIndexWarning
from llm_multi_core_chromadb import MediaLoader, MultiCoreEmbeddingFunction, check_collection, stamp_collection

TEXTS = ["the cat sleeps", "rain falls", "stocks rose today", "bread is baked"]


@pytest.fixture
def filled(client, function, pictures, sounds):
    """A collection of four texts, pictures and recordings."""
    collection = client().create_collection("things", embedding_function=function, data_loader=MediaLoader())
    collection.add(ids=[f"text {number}" for number in range(4)], documents=TEXTS)
    collection.add(ids=[f"image {number}" for number in range(4)], uris=pictures)
    collection.add(ids=[f"audio {number}" for number in range(4)], uris=sounds)
    return collection


def first(found):
    return [ids[0] for ids in found["ids"]]


def test_each_finds_itself(filled, pictures, sounds, function):
    assert filled.count() == 12
    assert filled.configuration["hnsw"]["space"] == "cosine"
    assert first(filled.query(query_uris=pictures)) == [f"image {number}" for number in range(4)]
    assert first(filled.query(query_uris=sounds)) == [f"audio {number}" for number in range(4)]
    own = filled.query(query_embeddings=function(TEXTS))
    assert first(own) == [f"text {number}" for number in range(4)]
    expected = function.embed_query(TEXTS)
    by_text = filled.query(query_texts=TEXTS, include=["distances"], n_results=12)
    by_vector = filled.query(query_embeddings=expected, include=["distances"], n_results=12)
    assert by_text["ids"] == by_vector["ids"], "queries are embedded as queries"


def test_pixels_go_in_and_ask(client, function, pictures):
    collection = client().create_collection("pixels", embedding_function=function)
    pixels = [np.asarray(Pillow.open(path).convert("RGB")) for path in pictures]
    collection.add(ids=list("abcd"), images=pixels)
    assert first(collection.query(query_images=pixels)) == list("abcd")


def test_it_is_opened_again_without_a_function(filled, client, sounds, function):
    again = client().get_collection("things", data_loader=MediaLoader())
    assert first(again.query(query_uris=sounds[:2])) == ["audio 0", "audio 1"]
    expected = client().get_collection("things", embedding_function=function).query(query_texts=TEXTS, n_results=3)
    assert again.query(query_texts=TEXTS, n_results=3)["ids"] == expected["ids"]
    made = again.configuration["embedding_function"]
    assert isinstance(made, MultiCoreEmbeddingFunction)
    assert made.get_config() == function.get_config()


def test_a_swapped_model_is_refused_by_the_settings(filled, client, joint, tmp_path):
    joint(seed=1)
    for path in tmp_path.glob("image-*.safetensors"):
        if "-1-" in path.name:
            path.replace(str(path).replace("-1-", "-0-"))
    again = client().get_collection("things")
    with pytest.raises(IncompatibleSpacesError, match="no longer holds"):
        again.query(query_texts=["words"])
    assert again.count() == 12, "what needs no vector works"


def test_a_swapped_model_of_the_same_dimension_is_refused_by_the_stamp(filled, client, joint):
    with pytest.warns(UnstampedIndexWarning, match="has no stamp"):
        assert check_collection(filled) is None
    stamp_collection(filled)
    assert check_collection(client().get_collection("things")) == pytest.approx(1.0, abs=1e-5)
    swapped = joint(seed=1)
    opened = client().get_collection("things", embedding_function=swapped)  # Chroma compares names only
    with pytest.raises(IncompatibleSpacesError, match="cosine"):
        check_collection(opened)
    with pytest.raises(IncompatibleSpacesError):
        stamp_collection(opened)
    stamp_collection(opened, replace=True)
    assert check_collection(opened, swapped) == pytest.approx(1.0, abs=1e-5)


def test_another_function_is_no_ones_guard(client):
    collection = client().create_collection("plain", embedding_function=None)
    with pytest.raises(InvalidOptionError, match="pass embedding_function="):
        check_collection(collection)


def test_a_bad_file_is_named_and_nothing_is_added(filled, pictures, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_text("no picture")
    with pytest.raises(InvalidInputError, match=r"input 1: .*broken\.png"):
        filled.add(ids=["a", "b"], uris=[pictures[0], str(broken)])
    assert filled.count() == 12


# The loader.


def test_pictures_are_upright_and_sound_is_mono(tmp_path, pictures, sounds):
    turned = tmp_path / "turned.jpg"
    exif = Pillow.Exif()
    exif[0x0112] = 6
    Pillow.new("RGB", (60, 40), "red").save(turned, exif=exif)
    picture, sound, upright, nothing = MediaLoader()([pictures[0], sounds[0], f"file://{turned}", None])
    assert (picture.shape, picture.dtype) == ((64, 96, 3), np.uint8)
    assert upright.shape == (60, 40, 3)
    samples, rate = sound
    assert (samples.shape, samples.dtype, rate) == ((4800,), np.float32, 16_000)
    assert nothing is None


def test_urls_are_fetched_only_when_allowed_and_public(on_this_machine):
    with pytest.raises(InvalidInputError, match=r"input 0: .*allow_urls"):
        MediaLoader()(["http://169.254.169.254/a.png"])
    with pytest.raises(InvalidInputError, match="not a public address"):
        MediaLoader(allow_urls=True)(["http://127.0.0.1:9/a.wav?b"])
    assert on_this_machine == []


def test_the_loader_serves_the_data(filled, pictures):
    (data,) = filled.get(ids=["image 2"], include=["data"])["data"]
    with Pillow.open(pictures[2]) as picture:
        np.testing.assert_array_equal(data, np.asarray(picture))
