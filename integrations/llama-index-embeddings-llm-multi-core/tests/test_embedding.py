"""Texts to vectors, synchronously and not."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from llama_index.embeddings.llm_multi_core import MultiCoreEmbedding, adapted
from llm_multi_core.embedder import InvalidInputError, create_text_embedder
from llm_multi_core.embedder.testing.fakes import fake_vector

TEXTS = ["one", "two words", "three words here", "one", ""]


def unit(content: str, dimension: int = 8) -> list[float]:
    vector = fake_vector(content, dimension)
    return (vector / np.linalg.norm(vector)).tolist()


@pytest.fixture
def embedding(fake_framework) -> MultiCoreEmbedding:
    return MultiCoreEmbedding(fake_framework, roles=True)


def test_queries_and_documents_take_their_roles(embedding):
    assert embedding.get_query_embedding("one") == pytest.approx(unit("query|text:one"), abs=1e-6)
    assert embedding.get_text_embedding("one") == pytest.approx(unit("document|text:one"), abs=1e-6)
    assert embedding.get_text_embedding_batch(["one"])[0] == pytest.approx(unit("document|text:one"), abs=1e-6)
    assert embedding.get_agg_embedding_from_queries(["one"]) == pytest.approx(unit("query|text:one"), abs=1e-6)


async def test_asynchronous_forms_give_the_same(embedding):
    assert await embedding.aget_query_embedding("one") == embedding.get_query_embedding("one")
    assert await embedding.aget_text_embedding("one") == embedding.get_text_embedding("one")
    assert await embedding.aget_text_embedding_batch(TEXTS) == embedding.get_text_embedding_batch(TEXTS)
    assert await embedding.aget_agg_embedding_from_queries(["one"]) == embedding.get_query_embedding("one")


async def test_vectors_are_lists_of_python_floats(embedding):
    many = embedding.get_text_embedding_batch(TEXTS)
    amany = await embedding.aget_text_embedding_batch(TEXTS)
    single = [
        embedding.get_query_embedding("a"),
        embedding.get_text_embedding("a"),
        await embedding.aget_query_embedding("a"),
        await embedding.aget_text_embedding("a"),
    ]
    for vector in [*many, *amany, *single]:
        assert type(vector) is list
        assert {type(number) for number in vector} == {float}


@pytest.mark.parametrize("embed_batch_size", [1, 2, 2048])
async def test_order_holds_whatever_the_slices(fake_framework, embed_batch_size):
    embedding = MultiCoreEmbedding(fake_framework, embed_batch_size=embed_batch_size, batch_size=2)
    texts = [f"text {'word ' * (number % 7)}{number}" for number in range(50)]
    expected = create_text_embedder(fake_framework).embed_batch(texts, "document")
    np.testing.assert_allclose(embedding.get_text_embedding_batch(texts), expected, atol=1e-6)
    np.testing.assert_allclose(await embedding.aget_text_embedding_batch(texts), expected, atol=1e-6)


async def test_nothing_in_nothing_out(embedding):
    assert embedding.get_text_embedding_batch([]) == []
    assert await embedding.aget_text_embedding_batch([]) == []
    assert embedding._get_text_embeddings([]) == []
    assert await embedding._aget_text_embeddings([]) == []


async def test_progress_may_be_shown(embedding, capsys):
    expected = embedding.get_text_embedding_batch(TEXTS)
    assert embedding.get_text_embedding_batch(TEXTS, show_progress=True) == expected
    assert await embedding.aget_text_embedding_batch(TEXTS, show_progress=True) == expected
    assert "Generating embeddings" in capsys.readouterr().err


async def test_what_looks_like_a_place_is_text(embedding, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr("socket.socket.connect", refuse)
    secret = tmp_path / "note.txt"
    secret.write_text("content", encoding="utf-8")
    places = [str(secret), secret.as_uri(), "http://169.254.169.254/latest", "data:text/plain;base64,YQ==", "a.png"]
    for place, vector in zip(places, embedding.get_text_embedding_batch(places), strict=True):
        assert vector == pytest.approx(unit(f"document|text:{place}"), abs=1e-6)
        assert embedding.get_query_embedding(place) == pytest.approx(unit(f"query|text:{place}"), abs=1e-6)


@pytest.mark.parametrize("bad", [None, 1.5, b"bytes"])
def test_what_is_no_text_is_refused(embedding, bad):
    with pytest.raises(InvalidInputError, match="must be str"):
        embedding.get_text_embedding(bad)
    with pytest.raises(InvalidInputError, match="input 1"):
        embedding.get_text_embedding_batch(["fine", bad])


GATED_PLUGIN = """
    import threading

    from llm_multi_core.embedder import FrameworkSpec, hookimpl
    from llm_multi_core.embedder.testing.fakes import FakeTextEncoder

    entered, gate, waited = threading.Event(), threading.Event(), []

    class GatedEncoder(FakeTextEncoder):
        def forward(self, batch):
            entered.set()
            waited.append(gate.wait(20))
            return super().forward(batch)

    @hookimpl
    def llm_multi_core_frameworks():
        return [FrameworkSpec("gated", ("text",), "llm_multi_core_gated:GatedEncoder", default_model={"text": "m"})]
"""


@pytest.mark.parametrize(
    "call",
    [
        lambda embedding: embedding.aget_text_embedding("a"),
        lambda embedding: embedding.aget_query_embedding("a"),
        lambda embedding: embedding.aget_text_embedding_batch(["a", "b"]),
    ],
)
async def test_the_loop_turns_while_the_model_computes(install_plugin, call):
    install_plugin(
        "llm-multi-core-gated",
        entry_points={"gated": "llm_multi_core_gated"},
        modules={"llm_multi_core_gated": GATED_PLUGIN},
    )
    embedding = MultiCoreEmbedding("gated")
    import llm_multi_core_gated as plugin

    running = asyncio.create_task(call(embedding))
    while not plugin.entered.is_set():  # would never be left if the loop stood still
        await asyncio.sleep(0)
    plugin.gate.set()
    assert await running
    assert all(plugin.waited)


async def test_many_floats_are_made_off_the_loop(fake_framework, monkeypatch):
    threads = []
    convert = adapted.rows_of

    def watched(vectors):
        threads.append(threading.current_thread())
        return convert(vectors)

    monkeypatch.setattr(adapted, "rows_of", watched)
    embedding = MultiCoreEmbedding(fake_framework, dimension=64)
    texts = [str(number) for number in range(600)]
    vectors = await embedding.aget_text_embedding_batch(texts)
    assert threads
    assert threading.main_thread() not in threads
    assert vectors == embedding.get_text_embedding_batch(texts)
