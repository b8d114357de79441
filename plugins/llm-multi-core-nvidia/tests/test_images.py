"""Pictures on their way to NIM: as data URLs, among nothing else, in one space with texts."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from llm_multi_core.embedder import InvalidInputError, InvalidOptionError, Item
from llm_multi_core.embedder.inputs.image import image_item
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.testing.hosted import Content, EmbeddingCall
from llm_multi_core.embedder.testing.hosted.openai import media_key
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture

CLIP, VISION = "nvidia/nvclip", "nvidia/llama-nemotron-embed-vl-1b-v2"


def sent(server):
    return [json.loads(record.body) for record in server.requests]


def test_files_are_sent_as_data_urls(server, make):
    files = [encode_picture(draw_picture(seed=seed), form) for seed, form in enumerate(("JPEG", "PNG"))]
    vectors = make(CLIP, "image").embed_batch(files)
    urls = [
        f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        for kind, data in zip(("jpeg", "png"), files, strict=True)
    ]
    assert sent(server) == [{"model": CLIP, "input": urls, "encoding_format": "float"}]
    call = EmbeddingCall([], CLIP, 1024)
    wanted = [server.wire.vector(Content(media_key(data), 1, 1, "image"), call) for data in files]
    assert np.allclose(vectors, np.stack(wanted), atol=1e-6)


def test_texts_and_pictures_share_a_space(make):
    make(CLIP).space.require_same(make(CLIP, "image").space)
    assert make(CLIP).space.is_joint


def test_pictures_are_passages_whatever_the_role(server, make):
    embedder = make(VISION, "image")
    vectors = [embedder.embed(draw_picture(), role=role) for role in ("query", "document", None)]
    assert all(body["input_type"] == "passage" and body["modality"] == "image" for body in sent(server))
    assert np.allclose(vectors[0], vectors[1])
    assert server.violations == []


def test_large_pictures_are_shrunk(server, make):
    noise = np.random.default_rng(5).integers(0, 256, (700, 700, 3), np.uint8)
    make(CLIP, "image").embed(noise)
    (url,) = sent(server)[0]["input"]
    assert len(url) <= 180_100
    assert server.violations == []


def test_a_poor_file_among_good_ones(make):
    good = [encode_picture(draw_picture(seed=seed)) for seed in range(3)]
    result = make(CLIP, "image").run([good[0], good[1][:200], good[2]], on_error="collect")
    assert [(failure.index, type(failure.error)) for failure in result.failures] == [(1, InvalidInputError)]
    assert result.ok.tolist() == [True, False, True]


def test_models_of_text_refuse_pictures(make):
    with pytest.raises(InvalidOptionError, match=r"embeds text, not image; choose one that does, such as 'nvidia/"):
        _ = make("nvidia/nv-embedqa-e5-v5", "image").space


def test_items_of_several_parts_are_refused(make):
    both = Item((*text_item("a red square").parts, *image_item(draw_picture()).parts))
    result = make(CLIP, "image").run([both, draw_picture()], on_error="collect")
    assert [failure.index for failure in result.failures] == [0]
    assert "takes one part an item, not 2" in str(result.failures[0].error)
