"""Loading once, sharing, closing, pickling, forking."""

import gc
import os
import pickle
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from llm_multi_core.embedder import ClosedError, MemoryCache, create_text_embedder
from llm_multi_core.embedder.pipeline.pool import pool
from llm_multi_core.embedder.pipeline.resolution import resolve
from llm_multi_core.embedder.testing.fakes import FakeHostedEncoder, FakeTextEncoder

EVENTS: list[str] = []


class LivingEncoder(FakeTextEncoder):
    def __init__(self, config):
        EVENTS.append("made")
        super().__init__(config)

    def load(self):
        EVENTS.append(f"loaded on {threading.current_thread().name.rstrip('_0')}")

    def close(self):
        EVENTS.append("closed")


class HostedLivingEncoder(FakeHostedEncoder):
    async def aclose(self):
        EVENTS.append("connections closed")

    def close(self):
        EVENTS.append("closed")
        CLOSED.set()


CLOSED = threading.Event()


@pytest.fixture(autouse=True)
def forget():
    EVENTS.clear()
    CLOSED.clear()


def test_a_model_is_loaded_at_first_use_once(make_embedder):
    embedder = make_embedder(LivingEncoder)
    assert EVENTS == []
    assert embedder.dimension == 8
    assert EVENTS == ["made"]
    threads = [threading.Thread(target=embedder.embed, args=("a",)) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert EVENTS == ["made", "loaded on llm-multi-core-model"]


def test_equal_embedders_share_a_model_and_the_last_one_closes_it(make_embedder):
    before = len(pool)
    first, second = make_embedder(LivingEncoder), make_embedder(LivingEncoder, normalize=False)
    other = make_embedder(LivingEncoder, model="another")
    for embedder in (first, second, other):
        embedder.embed("a")
    assert len(pool) == before + 2
    assert EVENTS.count("made") == 2
    first.close()
    first.close()
    assert "closed" not in EVENTS
    second.close()
    assert EVENTS.count("closed") == 1
    other.close()
    assert len(pool) == before


def test_a_closed_embedder_says_so(make_embedder):
    with make_embedder(LivingEncoder) as embedder:
        embedder.embed("a")
    assert EVENTS[-1] == "closed"
    for use in (lambda: embedder.embed("a"), lambda: embedder.space, lambda: next(embedder.embed_stream(["a"]))):
        with pytest.raises(ClosedError, match="was closed"):
            use()


def test_an_embedder_that_is_dropped_gives_its_model_back(make_embedder):
    embedder = create(LivingEncoder)
    embedder.embed("a")
    del embedder
    gc.collect()
    assert EVENTS[-1] == "closed"


def create(encoder):
    from llm_multi_core.embedder import TextEmbedder
    from llm_multi_core.embedder.settings import EmbedderSettings
    from llm_multi_core.embedder.testing.fakes import fake_offer

    return TextEmbedder(EmbedderSettings(fake_offer(encoder), "fake-small", {"dimension": 8}, secret=None))


def test_hosted_connections_are_closed_on_their_loop(make_embedder):
    embedder = make_embedder(HostedLivingEncoder)
    embedder.embed("a")
    embedder.close()
    assert CLOSED.wait(10)
    assert EVENTS == ["connections closed", "closed"]


class BrokenConnections(HostedLivingEncoder):
    async def aclose(self):
        raise OSError("connection reset")


def test_an_encoder_is_closed_even_if_its_connections_are_not(make_embedder):
    embedder = make_embedder(BrokenConnections)
    embedder.embed("a")
    embedder.close()
    assert CLOSED.wait(10)


def test_a_pickled_embedder_gives_the_same_vectors(make_embedder):
    embedder = make_embedder(dimension=16, truncation="truncate", cache=MemoryCache(1000))
    vectors = embedder.embed_batch(["a", "b"])
    copy = pickle.loads(pickle.dumps(embedder))
    np.testing.assert_array_equal(copy.embed_batch(["a", "b"]), vectors)
    assert copy.space == embedder.space
    assert copy.encoder_id == embedder.encoder_id
    copy.close()
    assert embedder.embed("a").shape == (16,)


def test_a_closed_embedder_stays_closed_when_pickled(make_embedder):
    embedder = make_embedder()
    embedder.close()
    with pytest.raises(ClosedError):
        pickle.loads(pickle.dumps(embedder)).embed("a")


def test_what_was_given_back_is_not_borrowed_any_more(make_embedder):
    """A thread that found the encoder before another one closed it is told so, and does not revive it."""
    embedder = make_embedder(LivingEncoder)
    embedder.embed("a")
    handle = embedder._resolve().handle
    embedder.close()
    with pytest.raises(ClosedError, match="was closed"), pool.borrow(handle):
        pass
    assert EVENTS.count("made") == 1


def test_closing_while_the_encoder_is_looked_up_gives_it_back(make_embedder, monkeypatch):
    before = len(pool)
    embedder = make_embedder(LivingEncoder)

    def close_meanwhile(*arguments):
        resolved = resolve(*arguments)
        embedder.close()
        return resolved

    monkeypatch.setattr("llm_multi_core.embedder.pipeline.lease.resolve", close_meanwhile)
    with pytest.raises(ClosedError, match="was closed"):
        embedder.embed("a")
    assert len(pool) == before


def test_closing_and_embedding_in_many_threads(make_embedder):
    want = make_embedder(LivingEncoder).embed("a")
    for _ in range(50):
        embedder = create(LivingEncoder)
        outcomes = []

        def use(embedder=embedder, outcomes=outcomes):
            try:
                outcomes.append(embedder.embed("a"))
            except ClosedError:
                outcomes.append(want)

        threads = [threading.Thread(target=use) for _ in range(6)]
        threads.insert(3, threading.Thread(target=embedder.close))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 6
        for outcome in outcomes:
            np.testing.assert_array_equal(outcome, want)


def test_repr(make_embedder):
    assert repr(make_embedder()) == "TextEmbedder(framework='fake', model='fake-small')"


def test_through_the_public_factory(fake_framework):
    with create_text_embedder(fake_framework, "m", dimension=4) as embedder:
        assert (embedder.framework, embedder.model, embedder.dimension, embedder.modality) == ("fake", "m", 4, "text")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_starts_afresh(tmp_path):
    """The child of a process whose model thread, call threads and I/O loop are all in use embeds by itself."""
    script = tmp_path / "forking.py"
    script.write_text(
        textwrap.dedent("""
        import asyncio, os, sys, threading
        import numpy as np
        from llm_multi_core.embedder import MemoryCache, Modality, TextEmbedder
        from llm_multi_core.embedder.settings import EmbedderSettings
        from llm_multi_core.embedder.pipeline.pool import pool
        from llm_multi_core.embedder.testing.fakes import FakeHostedEncoder, FakeTextEncoder, fake_offer

        held = threading.Event()
        go_on = threading.Event()

        class Slow(FakeTextEncoder):
            def forward(self, batch):
                if parent == os.getpid() and batch[0][0].text == "slow":
                    held.set()
                    go_on.wait()
                return super().forward(batch)

        sys.modules["forking"] = sys.modules["__main__"]
        parent = os.getpid()
        cache = MemoryCache()
        embedders = [
            TextEmbedder(EmbedderSettings(fake_offer(kind), "m", {"dimension": 8}, cache=cache))
            for kind in (Slow, FakeHostedEncoder)
        ]
        want = [embedder.embed_batch(["a", "b"]) for embedder in embedders]
        asyncio.run(embedders[0].aembed("a"))
        busy = threading.Thread(target=embedders[0].embed, args=("slow",))
        busy.start()
        held.wait()
        with pool.lock, cache._lock:  # held by the forking thread, as another thread might
            child = os.fork()
        if child == 0:
            got = [embedder.embed_batch(["a", "b"]) for embedder in embedders]
            got.append(asyncio.run(embedders[0].aembed_batch(["a", "b"])))
            os._exit(0 if all(np.array_equal(g, w) for g, w in zip(got, [*want, want[0]])) else 3)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        go_on.set()
        busy.join()
        sys.exit(status)
        """)
    )
    done = subprocess.run([sys.executable, "-W", "ignore", script], timeout=120, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
