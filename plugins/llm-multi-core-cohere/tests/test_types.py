"""Quantized vectors, and the two ways in which floats travel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llm_multi_core.embedder import InvalidOptionError, InvalidOutputError, UnsupportedDimensionsError
from llm_multi_core.embedder.testing.hosted import HttpReply
from llm_multi_core.embedder.testing.hosted.cohere import CohereWire, quantized

INPUTS = [f"the sky on day {day}" for day in range(7)]
WRITTEN = {"int8": "int8", "uint8": "uint8", "binary": "ubinary", "ubinary": "ubinary"}


@pytest.mark.parametrize("kind", WRITTEN)
def test_each_type_gives_one_vector_an_input(texts, bodies, server, expected, kind):
    vectors = texts(embedding_type=kind, dimensions=256, normalize=False).embed_batch(INPUTS)
    due = np.stack([quantized(expected(text, dimension=256), kind) for text in INPUTS])
    assert vectors.dtype == np.float32
    assert np.array_equal(vectors, due)
    assert [body["embedding_types"] for body in bodies()] == [[WRITTEN[kind]]]
    assert server.violations == []


@pytest.mark.parametrize("kind", WRITTEN)
def test_quantized_vectors_are_brought_to_length_1(texts, kind):
    vectors = texts(embedding_type=kind).embed_batch(INPUTS)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_bits_can_be_packed_again(texts, expected):
    bits = texts(embedding_type="binary", normalize=False).embed_batch(INPUTS)
    due = np.stack([np.packbits(expected(text) > 0) for text in INPUTS])
    assert np.array_equal(np.packbits(bits > 0, axis=1), due)


def test_quantized_vectors_have_spaces_of_their_own(texts):
    spaces = {kind: texts(embedding_type=kind).space.fingerprint for kind in ("float", *WRITTEN)}
    assert spaces["binary"] == spaces["ubinary"]
    assert len(set(spaces.values())) == 4


def test_floats_travel_in_two_ways(texts, bodies):
    plain, packed = texts(encoding_format="float"), texts()
    assert np.allclose(plain.embed_batch(INPUTS), packed.embed_batch(INPUTS), atol=1e-6)
    assert [body["embedding_types"] for body in bodies()] == [["float"], ["base64"]]
    assert plain.space == packed.space
    assert plain.encoder_id != packed.encoder_id


def test_pictures_are_quantized_as_well(images, server, noise):
    vectors = images(embedding_type="int8", normalize=False).embed_batch([noise(1), noise(2)])
    assert np.array_equal(vectors, np.round(vectors))
    assert np.abs(vectors).max() == 127
    assert server.violations == []


def test_dimensions_that_do_not_fill_bytes(texts):
    with pytest.raises(UnsupportedDimensionsError, match="whole bytes"):
        texts("some-model", native_dimension=100, embedding_type="binary").dimension  # noqa: B018


def test_a_misspelt_type_is_refused(texts):
    with pytest.raises(InvalidOptionError, match="embedding_type='int4'"):
        texts(embedding_type="int4")


class FloatsOnly(CohereWire):
    """A server that writes floats whatever it is asked for."""

    def read(self, request):
        call = super().read(request)
        return replace(call, extra={**call.extra, "embedding_types": ("float",)})


def test_a_server_without_base64_is_told_of(serve, texts, expected):
    server = serve(FloatsOnly())
    with pytest.raises(InvalidOutputError, match="no vectors of type 'base64'; encoding_format='float'"):
        texts(base_url=server.base_url).embed("x")
    vector = texts(base_url=server.base_url, encoding_format="float").embed("x")
    assert np.allclose(vector, expected("x"), atol=1e-6)


class WithoutVectors(CohereWire):
    """A server that answers something else."""

    def read(self, request):
        super().read(request)
        return HttpReply.of_json({"id": "1"})


def test_a_reply_of_another_kind_is_told_of(serve, texts):
    server = serve(WithoutVectors())
    with pytest.raises(InvalidOutputError, match="no vectors of type 'int8'"):
        texts(base_url=server.base_url, embedding_type="int8").embed("x")
