"""Limits that processes share through a file."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from llm_multi_core.embedder import BatchError, InvalidOptionError, Limits, ProviderError, Verdict
from llm_multi_core.embedder.pipeline.pacing import Bucket, Pacer, PaceState
from llm_multi_core.embedder.pipeline.rate_store import FileStore

FRESH = PaceState(Bucket(60), Bucket(None))


@pytest.fixture
def file(tmp_path):
    return tmp_path / "limits.sqlite"


def run_script(tmp_path, name, text, *arguments):
    script = tmp_path / name
    script.write_text(text, encoding="utf-8")
    paths = [str(Path(__file__).parent), *sys.path]  # as this process finds them, editable or not
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen([sys.executable, script, *arguments], env=environment, stdout=subprocess.PIPE, text=True)


TAKING = """
import asyncio
import sys
import time

from llm_multi_core.embedder import Limits
from llm_multi_core.embedder.pipeline.pacing import Pacer
from llm_multi_core.embedder.pipeline.rate_store import FileStore


async def main():
    pacer = Pacer(Limits(requests_per_minute=200), store=FileStore(sys.argv[1], "account"))
    taken = 0
    for _ in range(150):
        taken += await pacer.wait(1, 0.0, lambda seconds: None) is not None
    print(taken)


asyncio.run(main())
"""


def test_two_processes_together_keep_one_limit(tmp_path, file):
    started = time.time()
    processes = [run_script(tmp_path, f"taking{number}.py", TAKING, file) for number in range(2)]
    taken = [int(process.communicate()[0]) for process in processes]
    seconds = time.time() - started
    assert [process.returncode for process in processes] == [0, 0]
    assert min(taken) > 0
    assert 200 <= sum(taken) <= 200 + seconds * 200 / 60 + 1  # what was there, and what came since


async def test_a_state_outlives_its_process(file):
    first = Pacer(Limits(requests_per_minute=3), store=FileStore(str(file), "account"))
    for _ in range(3):
        assert await first.wait(1, 0.0, lambda seconds: None) is not None
    second = Pacer(Limits(requests_per_minute=3), store=FileStore(str(file), "account"))
    assert await second.wait(1, 0.0, lambda seconds: None) is None
    other = Pacer(Limits(requests_per_minute=3), store=FileStore(str(file), "another account"))
    assert await other.wait(1, 0.0, lambda seconds: None) is not None


async def test_what_one_learns_the_other_knows(file):
    stores = [FileStore(str(file), "account") for _ in range(2)]
    first, second = (Pacer(Limits(), store=store) for store in stores)
    await first.refused(await first.wait(10, 0.0, lambda seconds: None), after=300.0)
    assert await second.wait(1, 10.0, lambda seconds: None) is None


async def test_what_another_version_kept_is_begun_anew(file):
    store = FileStore(str(file), "account")
    with store._connect() as connection:
        connection.execute("INSERT INTO pace VALUES ('account', '{\"buckets\": []}')")
    connection.close()
    assert (await store.change(FRESH, lambda state, now: state.reserve(1, now))).delay == 0
    assert FRESH.requests.updated is None  # what is begun with stays as it is


@pytest.mark.parametrize("content", [b"this is no database" * 100, None])
def test_a_file_that_cannot_be_used(make_wire, scripted, tmp_path, content):
    file = tmp_path / "limits.sqlite"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(InvalidOptionError, match=r"rate_store='.*limits.sqlite' cannot be used as a store of rate"):
        make_wire(encoder=scripted, rate_store=str(file)).embed("a")
    assert scripted.log == []


def test_a_file_that_goes_bad_ends_the_call_with_what_was_made(make_wire, scripted, file):
    def answer(texts):
        if len(scripted.log) == 3:
            file.unlink()
            file.mkdir()

    scripted.answer = answer
    embedder = make_wire(encoder=scripted, rate_store=str(file), batch_size=1, limits={"concurrency": 1})
    with pytest.raises(BatchError, match="cannot be used as a store of rate limits") as caught:
        embedder.embed_batch([f"text {number}" for number in range(10)])
    assert caught.value.ok.tolist() == [True] * 3 + [False] * 7  # the third came before the file was asked again


def test_embedders_share_a_file_across_accounts_keys_but_not_across_addresses(make_wire, scripted, file):
    settings = {"encoder": scripted, "deadline": 1.0, "limits": {"requests_per_minute": 2}, "rate_store": str(file)}
    make_wire("http://one.invalid", api_key="a", **settings).embed("a")
    make_wire("http://one.invalid", api_key="b", **settings).embed("b")
    with pytest.raises(ProviderError, match="leaves no room"):
        make_wire("http://one.invalid", api_key="a", **settings).embed("c")
    make_wire("http://two.invalid", api_key="a", **settings).embed("d")


def test_many_calls_that_fail_at_once_do_not_wait_for_one_another(make_wire, scripted, told, file):
    """Their threads and the file's are the same few."""
    scripted.limits = Limits(unit="word", items_per_batch=1, padded=False, concurrency=64)

    async def answer(texts):
        await asyncio.sleep(0.01)
        if texts[0].startswith("bad"):
            raise told(Verdict("fatal"), "no such model")

    scripted.answer = answer
    embedder = make_wire(encoder=scripted, rate_store=str(file))

    async def main():
        calls = (embedder.aembed_batch([f"bad {number}", f"good {number}"]) for number in range(40))
        return await asyncio.gather(*calls, return_exceptions=True)

    outcomes = asyncio.run(main())
    assert all("no such model" in str(outcome) for outcome in outcomes)


FORKING = """
import os
import sys
import warnings

import wire_client
from llm_multi_core.embedder.testing.fakes import FakeHostedEncoder

file = sys.argv[1]
settings = {"limits": {"requests_per_minute": 3}, "deadline": 1.0}
shared = wire_client.make(encoder=FakeHostedEncoder, rate_store=file, **settings)
alone = wire_client.make(encoder=FakeHostedEncoder, **settings)
for text in "ab":
    shared.embed(text)
    alone.embed(text)
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks with threads
child = os.fork()
if not child:
    outcomes = []
    for embedder in (shared, alone):
        made = 0
        for text in "cde":
            try:
                embedder.embed(text)
            except Exception as error:
                assert "leaves no room" in str(error), error
            else:
                made += 1
        outcomes.append(made)
    print(outcomes, flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(alone.embed("f").shape, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_asks_on_its_own_loop_and_counts_with_its_parent_where_they_share_a_file(tmp_path, file):
    process = run_script(tmp_path, "forking.py", FORKING, file)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert output.splitlines() == ["[1, 3]", "(8,)"]


def test_threads_take_turns_at_the_file(file):
    store, taken = FileStore(str(file), "account"), []

    def take():
        for _ in range(10):
            delay = store._change(FRESH, lambda state, now: state.reserve(1, now)).delay
            taken.append(delay == 0)

    started = time.time()
    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 60 <= sum(taken) <= 61 + (time.time() - started)
