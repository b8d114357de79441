"""What LangChain's suites never check: order, emptiness, roles, exact types, the loop, threads."""

import asyncio
import math
import socket
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_llm_multi_core import MultiCoreEmbeddings, OneRoleEmbeddings
from langchain_llm_multi_core.vectors import VALUES_AT_ONCE, ato_lists, to_lists
from llm_multi_core.embedder import InvalidInputError, TruncationWarning
from llm_multi_core.embedder.testing.fakes import fake_vector

TEXTS = [f"{'word ' * (index % 7)}text {index % 23}" for index in range(60)]


def expected(text, role=""):
    vector = fake_vector(f"{role}|text:{text}" if role else f"text:{text}", 8)
    return vector / np.linalg.norm(vector)


@pytest.fixture
def embeddings(fake_framework):
    return MultiCoreEmbeddings(framework=fake_framework, roles=True)


async def all_four(embeddings, texts):
    return [
        embeddings.embed_documents(texts),
        await embeddings.aembed_documents(texts),
        [embeddings.embed_query(text) for text in texts],
        [await embeddings.aembed_query(text) for text in texts],
    ]


async def test_every_row_belongs_to_its_text_and_role(embeddings):
    documents, adocuments, queries, aqueries = await all_four(embeddings, TEXTS)
    np.testing.assert_allclose(documents, [expected(text, "document") for text in TEXTS], atol=1e-6)
    np.testing.assert_allclose(queries, [expected(text, "query") for text in TEXTS], atol=1e-6)
    assert adocuments == documents
    assert aqueries == queries


async def test_elements_are_finite_floats_of_python(embeddings):
    for vectors in await all_four(embeddings, ["one", "two"]):
        assert type(vectors) is list
        assert all(type(vector) is list for vector in vectors)
        assert all(type(value) is float and math.isfinite(value) for vector in vectors for value in vector)


async def test_no_texts_give_no_vectors(embeddings):
    assert embeddings.embed_documents([]) == []
    assert await embeddings.aembed_documents([]) == []


@pytest.mark.parametrize("form", [tuple, iter, lambda texts: (text for text in texts), np.array])
async def test_any_ordered_iterable_will_do(embeddings, form):
    wanted = embeddings.embed_documents(TEXTS)
    assert embeddings.embed_documents(form(TEXTS)) == wanted
    assert await embeddings.aembed_documents(form(TEXTS)) == wanted


@pytest.mark.parametrize("wrong", ["one text", {"a": 1}, {"a", "b"}, 3])
async def test_what_is_no_list_of_texts_is_refused(embeddings, wrong):
    with pytest.raises(InvalidInputError):
        embeddings.embed_documents(wrong)
    with pytest.raises(InvalidInputError):
        await embeddings.aembed_documents(wrong)


async def test_a_list_is_no_query(embeddings):
    with pytest.raises(InvalidInputError):
        embeddings.embed_query(["one text"])
    with pytest.raises(InvalidInputError):
        await embeddings.aembed_query(["one text"])


def test_a_bad_text_is_named(embeddings):
    with pytest.raises(InvalidInputError, match="input 1: a text must be str, not NoneType") as caught:
        embeddings.embed_documents(["fine", None])
    assert caught.value.index == 1


async def test_text_that_looks_like_a_path_or_url_is_text(embeddings, monkeypatch, tmp_path):
    existing = tmp_path / "secret.png"
    existing.write_bytes(b"secret")
    texts = ["file:///etc/passwd", "http://169.254.169.254/", str(existing), "data:text/plain,hello", "~/.ssh/id_rsa"]
    await all_four(embeddings, ["load what is loaded at first use"])

    def refuse(*args, **kwargs):
        raise AssertionError(f"opened {args}")

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", refuse)
        patch.setattr("io.open", refuse)
        patch.setattr("os.open", refuse)
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        documents, adocuments, queries, aqueries = await all_four(embeddings, texts)
    np.testing.assert_allclose(documents, [expected(text, "document") for text in texts], atol=1e-6)
    np.testing.assert_allclose(queries, [expected(text, "query") for text in texts], atol=1e-6)
    assert (adocuments, aqueries) == (documents, queries)


def test_making_one_makes_and_loads_nothing(gated):
    embeddings = MultiCoreEmbeddings(framework="gated")
    repr(embeddings), str(embeddings), embeddings.model_dump_json(), embeddings.as_symmetric(), hash(embeddings)
    embeddings.model_copy(update={"normalize": False})
    assert gated.made == []
    embeddings.embed_query("now")
    assert gated.made == ["fake-small"]


# Roles.


def test_views_give_both_methods_one_role(embeddings):
    for view, role in [(embeddings.as_document_role(), "document"), (embeddings.as_symmetric(), "")]:
        assert isinstance(view, Embeddings)
        assert isinstance(view, OneRoleEmbeddings)
        np.testing.assert_allclose(view.embed_query("a text"), expected("a text", role), atol=1e-6)
        assert view.embed_documents(["a text"]) == [view.embed_query("a text")]
        assert view.embedder is embeddings.embedder
        assert view.fingerprint == embeddings.fingerprint


async def test_views_are_asynchronous_too(embeddings):
    view = embeddings.as_document_role()
    assert await view.aembed_query("a text") == (await view.aembed_documents(["a text"]))[0]
    assert await view.aembed_query("a text") == embeddings.embed_documents(["a text"])[0]


def test_space_and_fingerprint_are_the_embedders(embeddings):
    assert embeddings.space == embeddings.embedder.space
    assert embeddings.space.dimension == 8
    assert embeddings.fingerprint == embeddings.embedder.space.fingerprint


# Settings reach the embedder.


def test_settings_shape_the_vectors(fake_framework):
    raw = MultiCoreEmbeddings(framework=fake_framework, normalize=False, dimension=5)
    np.testing.assert_array_equal(raw.embed_query("a"), fake_vector("text:a", 5))
    assert len(MultiCoreEmbeddings(framework=fake_framework, dimensions=3).embed_query("a")) == 3


def test_cut_texts_are_warned_of_where_the_caller_stands(fake_framework):
    embeddings = MultiCoreEmbeddings(framework=fake_framework, max_words=2)
    with pytest.warns(TruncationWarning, match="first at input 1") as caught:
        embeddings.embed_documents(["short", "rather a long text"])
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embeddings.model_copy(update={"truncation": "mean"}).embed_documents(["rather a long text"])


def test_progress_is_shown_for_documents_only(fake_framework, capfd):
    embeddings = MultiCoreEmbeddings(framework=fake_framework, show_progress=True)
    embeddings.embed_query("a")
    assert capfd.readouterr().err == ""
    embeddings.embed_documents(["a", "b"])
    assert "2/2" in capfd.readouterr().err


# The event loop.


@pytest.mark.parametrize("stage", ["describe", "load", "measure", "prepare", "forward"])
@pytest.mark.parametrize("method", ["aembed_documents", "aembed_query"])
async def test_the_loop_goes_on_while_the_encoder_works(gated, stage, method):
    embeddings = MultiCoreEmbeddings(framework="gated", stage=stage)
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticker = asyncio.create_task(tick())
    argument = ["a text"] if method == "aembed_documents" else "a text"
    work = asyncio.create_task(getattr(embeddings, method)(argument))
    assert await asyncio.to_thread(gated.reached.wait, 60)
    before = ticks
    for _ in range(10):
        await asyncio.sleep(0)
    assert ticks >= before + 9
    assert not work.done()  # the encoder is still behind the gate
    gated.opened.set()
    assert await work
    ticker.cancel()


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (7, 5), (1, VALUES_AT_ONCE + 1), (9, VALUES_AT_ONCE // 3)])
async def test_lists_equal_the_array(shape):
    vectors = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert to_lists(vectors) == await ato_lists(vectors) == vectors.tolist()


async def test_other_tasks_take_turns_while_a_large_array_becomes_lists():
    vectors = np.ones((10, VALUES_AT_ONCE), np.float32)
    work = asyncio.create_task(ato_lists(vectors))
    turns = 0
    while not work.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 10
    assert len(await work) == 10


# Threads and stores.


def test_threads_share_one(embeddings):
    wanted = {text: (embeddings.embed_query(text), embeddings.embed_documents([text])[0]) for text in TEXTS}
    fresh = MultiCoreEmbeddings(framework="fake", roles=True, model="fake-small", batch_size=3)
    start = threading.Barrier(8)

    def work(text):
        return fresh.embed_query(text), fresh.embed_documents([text])[0]

    def together(text):
        start.wait(60)
        return work(text)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(together, TEXTS[:8])) == [wanted[text] for text in TEXTS[:8]]
        assert list(pool.map(work, TEXTS)) == [wanted[text] for text in TEXTS]


async def test_stores_search_from_any_side(fake_framework):
    store = InMemoryVectorStore(MultiCoreEmbeddings(framework=fake_framework))
    ids = store.add_texts(TEXTS[:20])
    assert len(ids) == 20
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: store.similarity_search(text, k=1)[0].page_content, TEXTS[:20]))
    assert found == TEXTS[:20]
    gathered = await asyncio.gather(*[store.asimilarity_search(text, k=1) for text in TEXTS[:20]])
    assert [documents[0].page_content for documents in gathered] == TEXTS[:20]
