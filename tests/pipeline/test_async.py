"""Asynchronous calls: the loop is never blocked, and cancelling stops the work."""

import asyncio
import threading

import numpy as np
import pytest

from llm_multi_core.embedder import ClosedError, InvalidInputError
from llm_multi_core.embedder.testing.fakes import FakeHostedEncoder, FakeTextEncoder

GATE = threading.Event()
STARTED = threading.Event()
FORWARDS: list[int] = []
TEXTS = [f"text {number}" for number in range(100)]


class GatedEncoder(FakeTextEncoder):
    """Computes only once the gate is open."""

    def forward(self, batch):
        FORWARDS.append(len(batch[0]))
        STARTED.set()
        assert GATE.wait(30)
        return super().forward(batch)


class GatedHostedEncoder(FakeHostedEncoder):
    async def request(self, items, task):
        FORWARDS.append(len(items))
        STARTED.set()
        while not GATE.is_set():
            await asyncio.sleep(0.001)
        return await super().request(items, task)


@pytest.fixture(autouse=True)
def gate():
    GATE.clear()
    STARTED.clear()
    FORWARDS.clear()
    yield
    GATE.set()


@pytest.mark.parametrize("encoder", [FakeTextEncoder, FakeHostedEncoder])
async def test_asynchronous_results_equal_synchronous_ones(make_embedder, encoder):
    embedder = make_embedder(encoder)
    want = embedder.embed_batch(TEXTS)
    np.testing.assert_array_equal(await embedder.aembed_batch(TEXTS), want)
    np.testing.assert_array_equal(await embedder.aembed(TEXTS[3]), want[3])
    np.testing.assert_array_equal((await embedder.arun(iter(TEXTS))).vectors, want)
    blocks = [block async for block in embedder.aembed_stream(TEXTS, window=30)]
    assert [len(block) for block in blocks] == [30, 30, 30, 10]
    np.testing.assert_array_equal(np.concatenate(blocks), want)
    assert (await embedder.aembed_batch([])).shape == (0, 8)


async def test_asynchronous_sources_and_their_indices(make_embedder):
    async def source():
        for text in TEXTS:
            await asyncio.sleep(0)
            yield text

    async def bad_source():
        for text in ["a", "b", "c", None]:
            yield text

    embedder = make_embedder()
    blocks = [block async for block in embedder.aembed_stream(source(), window=30)]
    np.testing.assert_array_equal(np.concatenate(blocks), embedder.embed_batch(TEXTS))
    with pytest.raises(InvalidInputError, match="input 3"):
        [block async for block in embedder.aembed_stream(bad_source(), window=2)]


@pytest.mark.parametrize("encoder", [GatedEncoder, GatedHostedEncoder])
async def test_the_loop_goes_on_while_the_model_computes(make_embedder, encoder):
    embedder = make_embedder(encoder)
    task = asyncio.create_task(embedder.aembed_batch(TEXTS))
    while not STARTED.is_set():  # the model is inside forward and cannot go on by itself
        await asyncio.sleep(0.001)
    for _ in range(50):
        await asyncio.sleep(0)
    assert not task.done()
    GATE.set()
    assert (await task).shape == (100, 8)


@pytest.mark.parametrize("encoder", [GatedEncoder, GatedHostedEncoder])
async def test_cancelling_stops_further_batches(make_embedder, encoder):
    embedder = make_embedder(encoder, batch_size=1)
    task = asyncio.create_task(embedder.aembed_batch(TEXTS))
    while not STARTED.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    GATE.set()
    assert (await embedder.aembed_batch(TEXTS[:2])).shape == (2, 8)  # the embedder still works
    assert len(FORWARDS) <= 2 + 2 + 8  # the two above, the one that ran, and what was under way


async def test_closing_while_a_call_runs_lets_it_finish(make_embedder):
    embedder = make_embedder(GatedEncoder)
    task = asyncio.create_task(embedder.aembed_batch(TEXTS))
    while not STARTED.is_set():
        await asyncio.sleep(0.001)
    embedder.close()
    GATE.set()
    assert (await task).shape == (100, 8)
    with pytest.raises(ClosedError):
        await embedder.aembed("a")


@pytest.mark.parametrize("encoder", [FakeTextEncoder, FakeHostedEncoder])
def test_one_embedder_serves_several_loops(make_embedder, encoder):
    embedder = make_embedder(encoder)
    want = embedder.embed_batch(TEXTS)
    for _ in range(3):
        np.testing.assert_array_equal(asyncio.run(embedder.aembed_batch(TEXTS)), want)


async def test_many_calls_at_once(make_embedder):
    embedder = make_embedder()
    want = embedder.embed_batch(TEXTS)
    got = await asyncio.gather(*(embedder.aembed(text) for text in TEXTS))
    np.testing.assert_array_equal(np.stack(got), want)


async def test_a_synchronous_call_inside_a_running_loop(make_embedder):
    assert make_embedder(FakeHostedEncoder).embed_batch(TEXTS).shape == (100, 8)
