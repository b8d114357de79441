"""Nothing that was paid for is lost: not when a call ends early, and with a cache not when the process does."""

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

from llm_multi_core.embedder import (
    BatchError,
    InvalidInputError,
    MemoryCache,
    ProviderError,
    Verdict,
)
from llm_multi_core.embedder.testing.hosted import HostedServer

TEXTS = [f"text {number}" for number in range(5000)]
FATAL = Verdict("fatal", status=404)


def fatal_for(told, text, before=None):
    """An answer that ends the call for a request with a text in it, after a coroutine."""

    async def answer(texts):
        if text in texts:
            if before is not None:
                await before()
            raise told(FATAL, "gone")

    return answer


def test_what_was_made_before_an_error_comes_with_it(make_embedder, scripted, told):
    scripted.answer = fatal_for(told, "text 95")
    with pytest.raises(BatchError, match=r"gone.*; \d+ of the 200 inputs up to there have vectors") as caught:
        make_embedder(scripted).embed_batch(TEXTS[:200])
    error = caught.value
    assert isinstance(error.__cause__, ProviderError)
    assert error.__cause__.status == 404
    assert error.indices == tuple(range(90, 100))
    assert error.vectors.shape == (200, 8)
    assert error.ok[:80].sum() >= 60  # all but what was on its way beside it, at most
    assert not error.ok[90:100].any()
    assert np.isnan(error.vectors[~error.ok]).all()
    want = make_embedder().embed_batch(TEXTS[:200])
    np.testing.assert_allclose(error.vectors[error.ok], want[error.ok], atol=1e-6)
    assert error.result.report.requests == error.ok.sum() / 10


def test_requests_on_their_way_are_waited_for(make_embedder, scripted, told):
    """The others are held back until the error is there."""
    failed = []

    async def answer(texts):
        if "text 0" in texts:
            while scripted.running < 3:
                await asyncio.sleep(0)
            failed.append(True)
            raise told(FATAL, "gone")
        while not failed:
            await asyncio.sleep(0)
        for _ in range(20):  # the others still take a while
            await asyncio.sleep(0)

    scripted.answer = answer
    with pytest.raises(BatchError) as caught:
        make_embedder(scripted).embed_batch(TEXTS[:200])
    assert caught.value.ok.nonzero()[0].tolist() == list(range(10, 30))
    assert len(scripted.log) == 3


async def test_asynchronous_calls_salvage_as_well(make_embedder, scripted, told):
    scripted.answer = fatal_for(told, "text 4500")
    with pytest.raises(BatchError) as caught:
        await make_embedder(scripted).aembed_batch(TEXTS)
    assert caught.value.ok[:4000].all()
    np.testing.assert_allclose(caught.value.vectors[:4000], make_embedder().embed_batch(TEXTS[:4000]), atol=1e-6)


def test_an_error_with_nothing_made_is_raised_as_it_is(make_embedder, scripted, told):
    scripted.answer = fatal_for(told, "text 0")
    with pytest.raises(ProviderError, match="gone"):
        make_embedder(scripted).embed_batch(TEXTS[:10])


def test_what_came_from_a_cache_counts_as_made(make_embedder, scripted, told):
    cache = MemoryCache()
    make_embedder(scripted, cache=cache).embed_batch(TEXTS[:10])
    scripted.answer = fatal_for(told, "text 10")
    with pytest.raises(BatchError) as caught:
        make_embedder(scripted, cache=cache).embed_batch(TEXTS[:20])
    assert caught.value.ok.tolist() == [True] * 10 + [False] * 10


def test_a_batch_error_travels(make_embedder, scripted, told):
    scripted.answer = fatal_for(told, "text 95")
    with pytest.raises(BatchError) as caught:
        make_embedder(scripted).embed_batch(TEXTS[:100])
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    np.testing.assert_array_equal(copy.vectors, caught.value.vectors)
    assert copy.indices == caught.value.indices


@pytest.mark.parametrize("sized", [True, False])
def test_inputs_of_unknown_number(make_embedder, scripted, told, sized):
    scripted.answer = fatal_for(told, "text 4500")
    with pytest.raises(BatchError) as caught:
        make_embedder(scripted).embed_batch(TEXTS if sized else iter(TEXTS))
    assert len(caught.value.vectors) == 5000
    assert caught.value.ok[:4000].all()


def test_a_bad_input_in_the_middle_is_raised_as_such(make_embedder, scripted):
    """It is the caller's to mend; what was sent by then is waited for and kept in the cache."""
    cache = MemoryCache()
    texts = [*TEXTS[:4500], None, *TEXTS[4500:]]
    embedder = make_embedder(scripted, cache=cache)
    with pytest.raises(InvalidInputError, match="input 4500") as caught:
        embedder.embed_batch(texts)
    assert caught.value.index == 4500
    assert scripted.running == 0
    assert len(cache) == sum(scripted.sizes())
    scripted.log.clear()
    made = len(cache)
    embedder.embed_batch(TEXTS)
    assert sum(scripted.sizes()) == 5000 - made


def test_with_collect_it_is_one_failure_among_others(make_embedder, scripted):
    def answer(texts):
        if "text 7" in texts:
            raise ValueError("bad item")

    scripted.answer = answer
    texts = [*TEXTS[:4500], None, *TEXTS[4500:]]
    result = make_embedder(scripted).run(texts, on_error="collect")
    assert [failure.index for failure in result.failures] == [7, 4500]
    assert result.ok.sum() == 4999


def test_collecting_does_not_hide_what_ends_a_call(make_embedder, scripted, told):
    scripted.answer = fatal_for(told, "text 150")
    with pytest.raises(BatchError, match="gone"):
        make_embedder(scripted).run(TEXTS[:200], on_error="collect")


def test_means_of_pieces_are_kept_as_well(make_embedder, scripted, told):
    """Those that were complete when the call ended."""
    long = [" ".join(f"{name}{number}" for number in range(40)) for name in "abcdefgh"]  # three pieces each
    cache = MemoryCache()
    embedder = make_embedder(scripted, truncation="mean", cache=cache)

    async def answer(texts):
        if any(text.startswith("h") for text in texts):
            while scripted.running > 1:
                await asyncio.sleep(0)
            raise told(FATAL, "gone")

    scripted.answer = answer
    with pytest.raises(BatchError) as caught:
        embedder.embed_batch(long)
    made = int(caught.value.ok.sum())
    assert made >= 6
    assert len(cache) == made


# Begun again with a cache.


def test_a_call_begun_again_asks_only_for_what_it_has_not(make_embedder, scripted, told):
    cache = MemoryCache()
    scripted.answer = fatal_for(told, "text 150")
    with pytest.raises(BatchError) as caught:
        make_embedder(scripted, cache=cache).embed_batch(TEXTS[:200])
    made = {text for text, ok in zip(TEXTS, caught.value.ok, strict=False) if ok}
    scripted.answer = None
    scripted.log.clear()
    result = make_embedder(scripted, cache=cache).run(TEXTS[:200])
    asked = [text for texts in scripted.log for text in texts]
    assert sorted(asked) == sorted(set(TEXTS[:200]) - made)
    assert result.report.cache_hits == len(made)
    np.testing.assert_allclose(result.vectors, make_embedder().embed_batch(TEXTS[:200]), atol=1e-6)


class Slow:
    """A cache that takes its time; notes the threads that wait for it."""

    def __init__(self):
        self.threads = set()

    def get_many(self, keys):
        return [None] * len(keys)

    def set_many(self, entries):
        self.threads.add(threading.current_thread().name)


def test_the_loop_of_all_requests_does_not_wait_for_a_cache(make_embedder, scripted):
    cache = Slow()
    make_embedder(scripted, cache=cache).embed_batch(TEXTS[:100])
    assert cache.threads
    assert "llm-multi-core-io" not in cache.threads


class FullDisk(Slow):
    def set_many(self, entries):
        raise OSError("disk full")


def test_a_request_is_not_sent_again_because_a_cache_fails(make_embedder, scripted):
    with pytest.raises(OSError, match="disk full"):
        make_embedder(scripted, cache=FullDisk()).embed_batch(TEXTS[:10])
    assert scripted.sizes() == [10]


PROCESS = """
import pickle
import sys
from pathlib import Path

import wire_client


class FolderCache:
    '''A file for each vector; whole or not there at all.'''

    def __init__(self, folder):
        self.folder = Path(folder)

    def get_many(self, keys):
        return [self._get(self.folder / key.hex()) for key in keys]

    def _get(self, file):
        return pickle.loads(file.read_bytes()) if file.exists() else None

    def set_many(self, entries):
        for key, rows in entries.items():
            part = self.folder / f"{key.hex()}.part"
            part.write_bytes(pickle.dumps(rows))
            part.rename(self.folder / key.hex())


base_url, folder, result = sys.argv[1:]
texts = [f"text {number}" for number in range(400)]
embedder = wire_client.make(base_url, cache=FolderCache(folder), batch_size=10, limits={"concurrency": 4})
Path(result).write_bytes(embedder.embed_batch(texts).tobytes())
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill a process")
def test_a_killed_process_begun_again_asks_only_for_what_it_has_not(make_wire, wire_client, tmp_path, until):
    folder, result, script = tmp_path / "cache", tmp_path / "result", tmp_path / "embedding.py"
    folder.mkdir()
    script.write_text(textwrap.dedent(PROCESS), encoding="utf-8")
    paths = [str(Path(__file__).parent), *sys.path]  # as this process finds them, editable or not

    def start(server):
        arguments = [sys.executable, script, server.base_url, folder, result]
        return subprocess.Popen(arguments, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})

    with HostedServer(wire_client.wire(), latency=0.02) as server:
        process = start(server)
        until(lambda: len(list(folder.glob("*[0-9a-f]"))) >= 50 or process.poll() is not None)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    kept = len([file for file in folder.iterdir() if not file.suffix])
    assert 50 <= kept < 400
    with HostedServer(wire_client.wire()) as server:
        assert start(server).wait() == 0
        asked = [content.key for call in server.calls for content in call.contents]
        assert len(asked) == 400 - kept
        assert len(set(asked)) == len(asked)
        vectors = np.frombuffer(result.read_bytes(), np.float32).reshape(400, -1)
        np.testing.assert_array_equal(vectors, make_wire(server.base_url).embed_batch(TEXTS[:400]))
