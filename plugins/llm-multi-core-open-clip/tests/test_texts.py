"""Tokens: counted exactly, cut as asked for, never taken for a path."""

from __future__ import annotations

from contextlib import closing

import pytest

from llm_multi_core.embedder import (
    EncoderConfig,
    Task,
    TruncationError,
    create_image_embedder,
    create_text_embedder,
)
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core_open_clip.encoder import OpenClipEncoder

CPU = {"device": "cpu", "precision": "float32"}


@pytest.fixture
def encoder(model_folder):
    made = []

    def make(name):
        made.append(OpenClipEncoder(EncoderConfig("clip", "llm-multi-core-open-clip", str(model_folder(name)), **CPU)))
        made[-1].load()
        return made[-1]

    yield make
    for one in made:
        one.close()


def items(*texts):
    return [text_item(text) for text in texts]


@pytest.mark.parametrize("name", ["vit", "siglip", "bert", "coca"])
def test_counts_are_exact(name, encoder, model_folder, reference, texts):
    one = encoder(name)
    found = one.measure(items(*texts), Task())
    _, _, tokenizer = reference(model_folder(name))
    expected = (tokenizer(texts, context_length=400) != 0).sum(1).tolist()
    assert list(found.units) == expected
    assert found.exact
    assert one.describe().limits.units_per_item == tokenizer.context_length


@pytest.mark.parametrize("name", ["vit", "siglip"])
def test_pieces_of_a_long_text(name, encoder):
    one = encoder(name)
    limit = one.describe().limits.units_per_item
    for text in ("the river and the mountain " * 60, "x" * 900, "a &amp; b\n\n" * 99, "海は青い" * 90):
        pieces = [item.text for item in one.split(text_item(text), limit, Task())]
        assert "".join(pieces) == text
        counts = one.measure(items(*pieces), Task()).units
        assert max(counts) <= limit
    words = one.split(text_item("the river and the mountain " * 60), limit, Task())
    assert len(words) <= 2 * 300 / (limit - 2) + 1


def test_truncation_policies(model_folder):
    folder, long = str(model_folder("vit")), "the river and the mountain " * 40
    strict = create_text_embedder("clip", folder, truncation="error", **CPU)
    with closing(strict), pytest.raises(TruncationError, match="takes 77"):
        strict.embed(long)
    with closing(create_text_embedder("clip", folder, truncation="mean", **CPU)) as embedder:
        mean = embedder.embed(long)
    with closing(create_text_embedder("clip", folder, truncation="truncate", **CPU)) as embedder:
        cut = embedder.run([long])
    assert cut.report.truncations[0].kept == 77
    assert cut.report.truncations[0].units == 202
    assert mean @ cut.vectors[0] < 0.9999


def test_text_that_looks_like_a_path_stays_text(model_folder, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pictures[0].save("photo.png")
    with (
        closing(create_text_embedder("clip", str(model_folder("vit")), **CPU)) as texts,
        closing(create_image_embedder("clip", str(model_folder("vit")), **CPU)) as images,
    ):
        word = texts.embed("photo.png")
        assert word @ texts.embed("photo . png") > 0.9999
        assert word @ images.embed("photo.png") < 0.99


def test_padding_is_left_out_where_it_does_not_count(encoder):
    lengths = {}
    for name in ("vit", "coca", "siglip", "bert"):
        one = encoder(name)
        lengths[name] = one.prepare(items("a", "a b"), Task()).inputs["inputs"].shape[1]
    assert lengths == {"vit": 4, "coca": 30, "siglip": 16, "bert": 20}
