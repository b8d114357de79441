"""What reaches the wire: forms, roles, dimensions, limits."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from llm_multi_core.embedder import (
    InvalidInputError,
    InvalidOptionError,
    InvalidOutputError,
    Item,
    UnsupportedDimensionsError,
    create_multimodal_embedder,
    interleaved,
)
from llm_multi_core.embedder.inputs.image import image_item
from llm_multi_core.embedder.inputs.mixed import Image as Picture
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.testing.hosted.cohere import MODELS, CohereWire


def file_in(url):
    return base64.b64decode(url.partition(",")[2])


def urls_in(body):
    return [part["image_url"]["url"] for entry in body["inputs"] for part in entry["content"] if "image_url" in part]


def test_texts_go_in_the_plainest_form(texts, bodies, server):
    texts().embed_batch(["one", "two"])
    assert bodies() == [
        {
            "model": "embed-v4.0",
            "texts": ["one", "two"],
            "input_type": "search_document",
            "embedding_types": ["base64"],
            "truncate": "NONE",
        }
    ]
    assert server.violations == []


@pytest.mark.parametrize("model", ["embed-v4.0", "embed-multilingual-v3.0"])
@pytest.mark.parametrize(
    ("role", "input_type"),
    [
        ("query", "search_query"),
        ("document", "search_document"),
        ("symmetric", "search_document"),
        (None, "search_document"),
    ],
)
def test_roles_reach_the_wire(texts, bodies, expected, model, role, input_type):
    embedder = texts(model)
    vector = embedder.embed("how old is it?", role=role)
    assert [body["input_type"] for body in bodies()] == [input_type]
    assert np.allclose(vector, expected("how old is it?", model, input_type, embedder.dimension), atol=1e-6)


@pytest.mark.parametrize("input_type", ["classification", "clustering", "search_query"])
def test_an_input_type_holds_for_every_role(texts, bodies, input_type):
    embedder = texts(input_type=input_type)
    vectors = [embedder.embed("a text", role=role) for role in (None, "query", "document")]
    assert {body["input_type"] for body in bodies()} == {input_type}
    assert np.array_equal(vectors[0], vectors[1])
    assert np.array_equal(vectors[0], vectors[2])


def test_ten_thousand_texts_come_back_in_order(texts, server, expected):
    inputs = [f"text number {number}" for number in range(10_000)]
    vectors = texts(dimensions=256).embed_batch(inputs)
    due = np.stack([expected(text, dimension=256) for text in inputs])
    assert np.abs(vectors - due).max() < 1e-6
    assert server.violations == []
    assert max(len(call.contents) for call in server.calls) == 96
    assert len(server.requests) < 110


def test_dimensions_are_asked_for_or_cut(texts, bodies, expected):
    asked = texts(dimensions=512)
    assert np.allclose(asked.embed("x"), expected("x", dimension=512), atol=1e-6)
    cut = texts(dimensions=300)
    whole = expected("x")[:300]
    assert np.allclose(cut.embed("x"), whole / np.linalg.norm(whole), atol=1e-6)
    assert texts(dimensions=1536).embed("x").shape == (1536,)
    assert [body.get("output_dimension") for body in bodies()] == [512, None, None]
    with pytest.raises(UnsupportedDimensionsError, match="384 dimensions, not 100"):
        texts("embed-english-light-v3.0", dimensions=100).dimension  # noqa: B018
    with pytest.raises(UnsupportedDimensionsError, match="1536 dimensions, not 4096"):
        texts(dimensions=4096).dimension  # noqa: B018


def test_pictures_go_together_and_have_a_role(images, bodies, server, noise):
    files = [noise(1), noise(2, kind="JPEG"), noise(3, kind="WEBP", lossless=True)]
    embedder = images()
    documents = embedder.embed_batch(files, role="document")
    queries = embedder.embed_batch(files, role="query")
    document, query = bodies()
    assert [document["input_type"], query["input_type"]] == ["search_document", "search_query"]
    assert [file_in(url) for url in urls_in(document)] == files
    assert [url.partition(";")[0] for url in urls_in(document)] == [
        "data:image/png",
        "data:image/jpeg",
        "data:image/webp",
    ]
    assert (documents * queries).sum(axis=1).max() < 0.9
    assert server.violations == []


def test_other_pictures_are_written_anew(images, bodies, server):
    transparent = Image.new("RGBA", (40, 30), (255, 0, 0, 0))
    images().embed_batch([transparent, np.zeros((20, 20), np.uint8)])
    (body,) = bodies()
    for url, size in zip(urls_in(body), [(40, 30), (20, 20)], strict=True):
        assert url.startswith("data:image/jpeg;base64,")
        assert Image.open(io.BytesIO(file_in(url))).size == size
    assert server.violations == []


@pytest.mark.parametrize("role", [None, "query", "document"])
def test_older_models_take_one_picture_a_request(images, bodies, server, noise, role):
    files = [noise(number) for number in range(4)]
    vectors = images("embed-english-v3.0").embed_batch(files, role=role)
    assert vectors.shape == (4, 1024)
    assert server.violations == []
    assert {(body["input_type"], len(body["images"])) for body in bodies()} == {("image", 1)}
    assert sorted(file_in(body["images"][0]) for body in bodies()) == sorted(files)


def test_pictures_are_spread_over_requests_by_size(images, server, noise):
    files = [noise(number, (800, 700), compress_level=0) for number in range(12)]
    assert sum(len(file) for file in files) > 20_000_000
    images().embed_batch(files)
    assert server.violations == []
    assert len(server.requests) == 2


def test_a_picture_larger_than_allowed_is_made_smaller(images, server, noise):
    file = noise(1, (1500, 1300), compress_level=0)
    assert len(file) > 5_000_000
    images("embed-english-light-v3.0").embed(file)
    images().embed(file)
    assert server.violations == []


def test_text_and_picture_become_one_vector(texts, bodies, server, noise):
    figure = Item((*text_item("Figure 3").parts, *image_item(noise(1)).parts))
    swapped = Item(figure.parts[::-1])
    vectors = texts().embed_batch([figure, swapped, image_item(noise(1)), "Figure 3"], role="query")
    mixed = next(body for body in bodies() if "inputs" in body)
    assert [[part["type"] for part in entry["content"]] for entry in mixed["inputs"]] == [
        ["text", "image_url"],
        ["image_url", "text"],
        ["image_url"],
    ]
    assert mixed["inputs"][0]["content"][0] == {"type": "text", "text": "Figure 3"}
    assert len(bodies()) == 2
    assert len({vector.tobytes() for vector in vectors}) == 4
    assert server.violations == []


def test_older_models_refuse_text_with_a_picture(texts, server, noise):
    figure = Item((*text_item("Figure 3").parts, *image_item(noise(1)).parts))
    result = texts("embed-english-v3.0").run(["a text", figure], on_error="collect")
    assert result.ok.tolist() == [True, False]
    assert isinstance(result.failures[0].error, InvalidInputError)
    assert "takes one part an item, not 2" in str(result.failures[0].error)
    assert server.violations == []


def test_a_multimodal_embedder_hands_items_of_several_parts_on(server, bodies, noise):
    settings = {"base_url": server.base_url, "api_key": "co-of-a-test"}
    inputs = ["Figure 3", interleaved("Figure 3", Picture(noise(1))), Picture(noise(2))]
    with create_multimodal_embedder(framework="cohere", **settings) as embedder:
        result = embedder.run_joint(inputs, role="document")
    assert result.modalities == ["text", None, "image"]
    assert result.joined().shape == (3, 1536)
    assert sorted(result.reports) == ["image", "text", "text + image"]
    sent = [[part["type"] for part in body["inputs"][0]["content"]] for body in bodies() if "inputs" in body]
    assert sorted(sent) == [["image_url"], ["text", "image_url"]]
    with (
        create_multimodal_embedder(framework="cohere", model="embed-english-v3.0", **settings) as older,
        pytest.raises(InvalidInputError, match=r"input 1: no framework .* takes text and image in one item"),
    ):
        older.embed_batch(inputs)


def test_text_beyond_the_limit_beside_a_picture_is_refused(texts, server, noise):
    figure = Item((*text_item("word " * 200_000).parts, *image_item(noise(1)).parts))
    result = texts().run(["a text", figure], on_error="collect")
    assert result.ok.tolist() == [True, False]
    assert "shorten its text" in str(result.failures[0].error)
    assert server.violations == []


def test_tokens_of_pictures_follow_from_their_pixels(images):
    tokens = [images().plan([np.zeros((side, side), np.uint8)]).units for side in (8, 56, 512, 1568, 3000)]
    assert tokens[0] == tokens[1]
    assert tokens[2] == 1610
    assert tokens[3] == tokens[4] == pytest.approx(tokens[2] * (1568 / 512) ** 2, abs=1)
    assert images("embed-english-v3.0").plan([np.zeros((512, 512), np.uint8)]).units == 1


class TestOtherModels:
    """Models that the catalogue does not have."""

    @pytest.fixture
    def make(self, serve, texts):
        other = replace(MODELS["embed-v4.0"], dimensions=(768, 128))
        server = serve(CohereWire({**MODELS, "someone/else-v1": other}))
        return lambda **settings: (texts("someone/else-v1", base_url=server.base_url, **settings), server)

    def test_their_dimension_is_said(self, make, expected):
        embedder, server = make(native_dimension=768)
        assert np.allclose(embedder.embed("x"), expected("x", "someone/else-v1", dimension=768), atol=1e-6)
        assert "output_dimension" not in json.loads(server.requests[0].body)
        assert server.violations == []

    def test_other_dimensions_are_asked_for(self, make):
        embedder, server = make(native_dimension=768, dimensions=128)
        assert embedder.embed("x").shape == (128,)
        assert json.loads(server.requests[0].body)["output_dimension"] == 128

    def test_a_wrong_dimension_shows(self, make):
        embedder, _ = make(native_dimension=1024)
        with pytest.raises(InvalidOutputError, match=r"768.*1024|1024.*768"):
            embedder.embed("x")

    def test_without_it_the_error_says_what_to_pass(self, make):
        with pytest.raises(InvalidOptionError, match=r"native_dimension=\.\.\."):
            make()[0].dimension  # noqa: B018
        with pytest.raises(InvalidOptionError, match="not a positive number"):
            make(native_dimension=-5)[0].dimension  # noqa: B018


class TestSpaces:
    """Which vectors may be compared."""

    def test_pictures_and_texts_share_one(self, texts, images):
        assert texts().space == images().space
        assert texts().space.is_joint

    def test_the_models_of_a_family_share_one(self, texts):
        pro, fast = texts("embed-v5.0-pro"), texts("embed-v5.0-fast")
        assert pro.space.fingerprint == fast.space.fingerprint
        assert pro.encoder_id != fast.encoder_id

    @pytest.mark.parametrize(
        ("base_url", "name"),
        [
            (None, "cohere/embed-v4.0"),
            ("https://api.cohere.com", "cohere/embed-v4.0"),
            ("https://api.cohere.ai", "cohere/embed-v4.0"),
            ("http://127.0.0.1:8000", "cohere-compatible/embed-v4.0"),
            ("https://notcohere.com", "cohere-compatible/embed-v4.0"),
        ],
    )
    def test_another_server_has_another(self, texts, base_url, name):
        assert texts(base_url=base_url).space.name == name

    def test_unless_it_is_said_to_have_the_same(self, texts):
        gateway = texts(space_name="cohere/embed-v4.0")
        assert gateway.space.fingerprint == texts(base_url=None).space.fingerprint

    def test_input_types_that_are_not_to_be_mixed_have_their_own(self, texts):
        prints = {
            kind: texts(input_type=kind).space.fingerprint
            for kind in (None, "search_query", "search_document", "classification", "clustering")
        }
        assert prints["search_query"] == prints["search_document"] == prints[None]
        assert len(set(prints.values())) == 3
