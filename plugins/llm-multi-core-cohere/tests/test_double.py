"""The double of Cohere is as strict as the documentation, so that other tests mean something."""

from __future__ import annotations

import base64
import json

import pytest

from llm_multi_core.embedder.testing.hosted.cohere import MODELS, CohereWire
from llm_multi_core.embedder.testing.hosted.wire import EmbeddingCall, HttpRequest, WireError
from llm_multi_core_cohere import catalogue

PLAIN = {
    "model": "embed-v4.0",
    "texts": ["one two"],
    "input_type": "search_document",
    "embedding_types": ["float"],
}
URL = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
PART = {"type": "image_url", "image_url": {"url": URL}}


def read(body, path="/v2/embed", key="Bearer k", content_type="application/json") -> EmbeddingCall:
    headers = {"authorization": key, "content-type": content_type}
    return CohereWire().read(HttpRequest("POST", path, {}, headers, json.dumps(body).encode()))


def changed(**fields):
    body = {**PLAIN, **fields}
    return {name: value for name, value in body.items() if value is not None}


def test_a_plain_request_is_read():
    call = read(PLAIN)
    assert [(content.key, content.units) for content in call.contents] == [("one two", 2)]
    assert (call.model, call.dimension, call.role) == ("embed-v4.0", 1536, "search_document")


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"unheard": 1}, 400, "unknown field 'unheard'"),
        ({"texts": "one"}, 400, "'texts' is of the wrong type"),
        ({"output_dimension": True}, 400, "'output_dimension' is of the wrong type"),
        ({"model": None}, 400, "a model parameter is required"),
        ({"model": "embed-v9.0"}, 404, "model 'embed-v9.0' not found"),
        ({"input_type": None}, 400, "valid input_type must be provided"),
        ({"input_type": "query"}, 400, "valid input_type must be provided"),
        ({"input_type": "image"}, 400, "input_type=image cannot be used with texts"),
        ({"embedding_types": None}, 400, "embedding_types parameter is required"),
        ({"embedding_types": ["float16"]}, 400, "embedding_types cannot be"),
        ({"truncate": "none"}, 400, "truncate must be one of"),
        ({"priority": 1000}, 400, "priority must be between"),
        ({"max_tokens": 0}, 400, "max_tokens must be at least 1"),
        ({"output_dimension": 300}, 400, "output_dimension 300 is not supported"),
        ({"model": "embed-english-v3.0", "output_dimension": 1024}, 400, "output_dimension 1024 is not supported"),
        ({"texts": []}, 400, "texts must not be empty"),
        ({"texts": [1]}, 400, "a text must be a string"),
        ({"texts": ["x"] * 97}, 400, "total number of texts must be at most 96 - received 97"),
        ({"texts": None}, 400, "exactly one of texts, images and inputs"),
        ({"images": [URL]}, 400, "exactly one of texts, images and inputs"),
        ({"texts": None, "images": [URL]}, 400, "images must be used with input_type=image"),
        ({"texts": None, "images": ["http://x/y.png"], "input_type": "image"}, 400, "must be a data URI"),
        ({"texts": None, "images": [URL[:-1] + "!"], "input_type": "image"}, 400, "not valid base64"),
        (
            {"texts": None, "images": [URL] * 2, "input_type": "image", "model": "embed-english-v3.0"},
            400,
            "total number of images must be at most 1 - received 2",
        ),
        ({"texts": None, "inputs": [{"content": [PART]}], "input_type": "image"}, 400, "cannot be used with inputs"),
        (
            {"texts": None, "inputs": [{"content": [PART]}], "model": "embed-english-v3.0"},
            400,
            "inputs is not supported",
        ),
        ({"texts": None, "inputs": [{"content": []}]}, 400, "must not be empty"),
        ({"texts": None, "inputs": [{"content": [PART], "id": 1}]}, 400, "an input is an object"),
        (
            {"texts": None, "inputs": [{"content": [{**PART, "detail": "low"}]}]},
            400,
            "must be of type text or image_url",
        ),
        ({"truncate": "NONE", "texts": ["w " * 513], "model": "embed-english-v3.0"}, 400, "too many tokens"),
    ],
)
def test_what_is_not_documented_is_refused(fields, status, message):
    with pytest.raises(WireError) as caught:
        read(changed(**fields))
    assert caught.value.status == status
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ({"key": ""}, 401),
        ({"key": "Bearer "}, 401),
        ({"path": "/v1/embed"}, 404),
        ({"content_type": "text/plain"}, 400),
    ],
)
def test_a_request_of_another_kind_is_refused(arguments, status):
    with pytest.raises(WireError) as caught:
        read(PLAIN, **arguments)
    assert caught.value.status == status


@pytest.mark.parametrize(("truncate", "kept"), [(None, "one two"), ("END", "one two"), ("START", "two three")])
def test_long_texts_are_cut_where_that_is_asked_for(truncate, kept):
    (content,) = read(changed(texts=["one two three"], max_tokens=2, truncate=truncate)).contents
    assert content.key == kept


def test_pictures_may_be_as_large_as_documented():
    large = "data:image/png;base64," + base64.b64encode(bytes(4_900_000)).decode()
    huge = "data:image/png;base64," + base64.b64encode(bytes(5_000_001)).decode()
    body = changed(texts=None, images=[large] * 4, input_type="image")
    assert len(read(body).contents) == 4
    for images in ([huge], [large] * 5):
        with pytest.raises(WireError, match="larger than"):
            read({**body, "images": images})
    with pytest.raises(WireError, match="the payload is larger than 20mb"):
        read(changed(texts=None, inputs=[{"content": [{**PART, "image_url": {"url": large}}]}] * 4))


def test_a_single_part_is_what_it_would_be_by_itself():
    text, image, both = read(
        changed(
            texts=None,
            inputs=[
                {"content": [{"type": "text", "text": "one two"}]},
                {"content": [PART]},
                {"content": [{"type": "text", "text": "one two"}, PART]},
            ],
        )
    ).contents
    assert text == read(PLAIN).contents[0]
    assert image == read(changed(texts=None, images=[URL], input_type="image")).contents[0]
    assert both.modality == "text+image"
    assert both.units == text.units + image.units


@pytest.mark.parametrize("model", catalogue.MODELS, ids=lambda model: model.name)
def test_the_catalogue_agrees(model):
    served = MODELS[model.name]
    assert served.dimensions[0] == model.dimension
    assert set(served.dimensions[1:]) == set(model.dimensions)
    assert (served.max_tokens, served.mixed) == (model.max_tokens, model.mixed)
