"""LangGraph's store, which embeds queries in a pool of threads, with embeddings of texts and of three modalities."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from langchain_llm_multi_core import MultiCoreEmbeddings

memory = pytest.importorskip("langgraph.store.memory")


@pytest.fixture(params=["texts", "three modalities"])
def embeddings(request, fake_framework, mixed):
    return MultiCoreEmbeddings(framework="fake", dimension=32) if request.param == "texts" else mixed(roles=False)


def filled(embeddings):
    store = memory.InMemoryStore(index={"embed": embeddings, "dims": 32, "fields": ["text"]})
    for number in range(20):
        store.put(("memories",), str(number), {"text": f"memory {number}"})
    return store


def test_memories_are_found_from_many_threads(embeddings):
    store = filled(embeddings)

    def find(number):
        return store.search(("memories",), query=f"memory {number}", limit=1)[0]

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(find, range(20)))
    assert [item.key for item in found] == [str(number) for number in range(20)]
    assert all(item.score == pytest.approx(1.0, abs=1e-5) for item in found)


async def test_memories_are_found_from_a_loop(embeddings):
    store = memory.InMemoryStore(index={"embed": embeddings, "dims": 32, "fields": ["text"]})
    await asyncio.gather(*[store.aput(("memories",), str(n), {"text": f"memory {n}"}) for n in range(20)])
    found = await asyncio.gather(*[store.asearch(("memories",), query=f"memory {n}", limit=1) for n in range(20)])
    assert [items[0].key for items in found] == [str(number) for number in range(20)]


def test_several_queries_at_once(embeddings):
    store = filled(embeddings)
    operations = [memory.SearchOp(("memories",), query=f"memory {number}", limit=1) for number in (3, 7, 3)]
    assert [result[0].key for result in store.batch(operations)] == ["3", "7", "3"]


def test_pictures_are_remembered_by_reference(mixed, library, folder):
    embeddings = mixed(library, roles=False)
    store = memory.InMemoryStore(index={"embed": embeddings.as_symmetric(), "dims": 32, "fields": ["text"]})
    for path in (folder / "red.png", folder / "tone.wav"):
        (record,) = library.add(path)
        store.put(("seen",), path.name, {"text": record.reference})
    store.put(("seen",), "words", {"text": "a text"})
    for record in library:  # a view takes references as queries, too
        name = record.source.rpartition("/")[2]
        assert store.search(("seen",), query=record.reference, limit=1)[0].key == name
