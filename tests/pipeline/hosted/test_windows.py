"""Long calls: windows overlap, keep their order and bounded memory, and stop when nobody waits any more."""

import asyncio
import random
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest

from llm_multi_core.embedder import InvalidInputError, Limits, ProviderError, Verdict
from llm_multi_core.embedder.pipeline import engines
from llm_multi_core.embedder.pipeline.call import CallGroup, Portion
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core.embedder.testing.fakes import fake_vector

TEXTS = [f"text {number}" for number in range(5000)]


def expected(texts):
    vectors = np.stack([fake_vector(f"text:{text}", 8) for text in texts])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def larger(scripted):
    """A hundred items a request."""
    scripted.limits = replace(scripted.limits, items_per_batch=100)


async def event(condition):
    """Wait on the I/O loop until a condition holds; for ever, if it never does."""
    for _ in range(60_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not come about")


async def for_ever():
    await asyncio.sleep(3600)


def holding(scripted, text, condition):
    """An answer that holds back the request with a text until a condition holds."""
    return lambda texts: event(condition) if text in texts else None


def test_one_slow_request_does_not_keep_the_other_places_waiting(make_embedder, scripted):
    """The first request ends when all others of both windows have come back."""
    others_done = lambda: len(scripted.log) == 50 and scripted.running == 1  # noqa: E731
    scripted.answer = holding(scripted, TEXTS[0], others_done)
    result = make_embedder(scripted, batch_size=100).run(TEXTS)
    np.testing.assert_allclose(result.vectors, expected(TEXTS), atol=1e-6)
    assert result.report.requests == 50


def test_order_is_kept_whatever_comes_first(make_embedder, scripted):
    chooser = random.Random(1)

    async def answer(texts):
        for _ in range(chooser.randrange(20)):
            await asyncio.sleep(0)

    scripted.answer = answer
    texts = [chooser.choice(TEXTS) for _ in range(9000)]
    result = make_embedder(scripted, batch_size=90).run(texts)
    np.testing.assert_allclose(result.vectors, expected(texts), atol=1e-6)
    assert result.report.duplicates > 2000


class Source:
    """Texts one by one; knows how many were taken."""

    def __init__(self):
        self.taken = 0

    def __iter__(self):
        for text in TEXTS:
            self.taken += 1
            yield text


def test_a_stream_takes_no_more_than_some_windows_ahead(make_embedder, scripted):
    source, released = Source(), []
    scripted.answer = holding(scripted, TEXTS[0], lambda: released)
    stream = make_embedder(scripted).embed_stream(source, window=50)
    most = 50 * engines.MOST_WINDOWS

    async def release():
        await event(lambda: source.taken > most and scripted.running == 1)
        released.append(True)

    releasing = runtime.submit_io(release())
    first = next(stream)
    releasing.result()
    np.testing.assert_allclose(first, expected(TEXTS[:50]), atol=1e-6)
    assert source.taken <= most + 1
    rest = np.concatenate(list(stream))
    np.testing.assert_allclose(rest, expected(TEXTS[50:]), atol=1e-6)


def test_a_slow_consumer_is_not_overtaken_for_ever(make_embedder, scripted, idle):
    source = Source()
    stream = make_embedder(scripted).embed_stream(source, window=50)
    next(stream)
    idle()
    assert source.taken <= 50 * (engines.MOST_WINDOWS + 1) + 1
    stream.close()


@pytest.mark.parametrize("failing", [InvalidInputError, RuntimeError])
def test_a_stream_gives_what_comes_before_a_bad_input(make_embedder, scripted, failing):
    def source():
        yield from TEXTS[:120]
        if failing is RuntimeError:
            raise RuntimeError("the source is broken")
        yield None

    blocks = []
    with pytest.raises(failing, match=r"input 120|the source is broken"):
        blocks.extend(make_embedder(scripted).embed_stream(source(), window=50))
    np.testing.assert_allclose(np.concatenate(blocks), expected(TEXTS[:100]), atol=1e-6)


async def test_so_does_an_asynchronous_one(make_embedder, scripted):
    blocks = []

    async def collect():
        async for block in make_embedder(scripted).aembed_stream([*TEXTS[:120], None], window=50):
            blocks.append(block)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(InvalidInputError, match="input 120"):
        await collect()
    np.testing.assert_allclose(np.concatenate(blocks), expected(TEXTS[:100]), atol=1e-6)


# Nobody waits any more.


def only_the_first_comes_back(scripted):
    """An answer to the first request when another one is underway, and to no other."""
    return lambda texts: event(lambda: scripted.running > 1) if TEXTS[0] in texts else for_ever()


def test_leaving_a_stream_cancels_what_is_underway(make_embedder, scripted, idle):
    scripted.answer = only_the_first_comes_back(scripted)
    stream = make_embedder(scripted).embed_stream(TEXTS, window=10)
    next(stream)
    assert scripted.running
    stream.close()
    idle()
    assert scripted.running == 0
    assert len(scripted.log) <= 4


async def test_so_does_leaving_an_asynchronous_one(make_embedder, scripted, idle):
    scripted.answer = only_the_first_comes_back(scripted)
    async for _ in make_embedder(scripted).aembed_stream(TEXTS, window=10):
        break
    assert scripted.running
    while scripted.running:  # it is closed in a turn of this loop
        await asyncio.sleep(0.001)
    idle()
    assert len(scripted.log) <= 4


async def test_cancelling_leaves_nothing_running(make_embedder, scripted, idle):
    scripted.answer = lambda texts: for_ever()
    task = asyncio.create_task(make_embedder(scripted).aembed_batch(TEXTS))
    while scripted.running < 3:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    idle()
    assert scripted.running == 0
    assert len(scripted.log) == 3
    scripted.answer = None
    assert (await make_embedder(scripted).aembed("a")).shape == (8,)


async def test_cancelling_while_a_failed_call_waits_for_its_last_requests(make_embedder, scripted, told, idle):
    def answer(texts):
        if TEXTS[0] not in texts:
            return for_ever()
        raise told(Verdict("fatal"))

    scripted.answer = answer
    task = asyncio.create_task(make_embedder(scripted).aembed_batch(TEXTS))
    while len(scripted.log) < 3 or scripted.running > 2:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    idle()
    assert scripted.running == 0
    assert len(scripted.log) == 3


@pytest.fixture
def interruptible():
    """SIGINT interrupts, also in a process that was started to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system cannot signal a thread")
def test_an_interrupt_cancels_what_is_underway(make_embedder, scripted, idle, interruptible):
    def answer(texts):
        if len(scripted.log) == 3:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return for_ever()

    scripted.answer = answer
    with pytest.raises(KeyboardInterrupt):
        make_embedder(scripted).embed_batch(TEXTS)
    idle()
    assert scripted.running == 0
    assert len(scripted.log) == 3
    scripted.answer = None
    assert make_embedder(scripted).embed("a").shape == (8,)


# When a call ends, what waits does so no longer.


def test_a_pause_ends_with_the_call(make_wire, scripted, told):
    """One request is told to wait five minutes, another one ends the call."""

    async def answer(texts):
        if TEXTS[0] in texts:
            raise told(Verdict("retry", after=300.0))
        await event(lambda: len(scripted.log) >= 2)
        raise told(Verdict("fatal"), "no such model")

    scripted.answer = answer
    with pytest.raises(ProviderError, match="no such model"):
        make_wire(encoder=scripted).embed_batch(TEXTS[:200])


@pytest.mark.parametrize("limits", [{"requests_per_minute": 2}, {"units_per_minute": 40}, {"concurrency": 1}])
def test_a_wait_for_a_limit_or_a_place_ends_with_the_call(make_wire, scripted, told, limits):
    async def answer(texts):
        raise told(Verdict("fatal"), "no such model")

    scripted.answer = answer
    with pytest.raises(ProviderError, match="no such model"):
        make_wire(encoder=scripted, limits=limits).embed_batch(TEXTS)
    assert len(scripted.log) <= 2


def test_waits_of_later_windows_end_as_well(make_wire, scripted, told):
    scripted.limits = Limits(unit="word", items_per_batch=4096, padded=False, concurrency=4, spread=4096)

    async def answer(texts):
        if TEXTS[0] in texts:
            await event(lambda: len(scripted.log) == 2)
            raise told(Verdict("fatal"), "no such model")
        raise told(Verdict("retry", after=300.0))

    scripted.answer = answer
    with pytest.raises(ProviderError, match="no such model"):
        make_wire(encoder=scripted).embed_batch(TEXTS)


def test_a_part_of_a_larger_call_waits_no_longer_than_that(make_wire, scripted, told, until):
    """One request is told to wait five minutes, and another part of the larger call fails meanwhile."""

    async def answer(texts):
        raise told(Verdict("retry", after=300.0))

    scripted.answer = answer
    group, embedder = CallGroup(), make_wire(encoder=scripted)
    portion = Portion(range(50), group)
    part = threading.Thread(target=embedder._run_portion, args=(portion, TEXTS[:50], None, "raise", None, False))
    part.start()
    until(lambda: scripted.log and not scripted.running)
    group.end()
    part.join(60)
    assert not part.is_alive()
    assert len(scripted.log) == 1
