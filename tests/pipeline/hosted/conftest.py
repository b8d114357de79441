"""What the tests of hosted calls share: encoders that fail as they are told, and a client of the provider's double."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import time
from pathlib import Path

import pytest

from llm_multi_core.embedder import Description, Limits, Space
from llm_multi_core.embedder.pipeline import pacing
from llm_multi_core.embedder.pipeline.provider import providers
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core.embedder.testing.fakes import FakeHostedEncoder
from llm_multi_core.embedder.testing.hosted import HostedServer


def _load(name):
    # Under a name of its own, by which processes that the tests start import it as well.
    specification = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = sys.modules[name] = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


_wire_client = sys.modules.get("wire_client") or _load("wire_client")


class Told(Exception):
    """An error that carries the verdict on it."""

    def __init__(self, verdict, text="told to fail"):
        super().__init__(text)
        self.verdict = verdict


class Scripted(FakeHostedEncoder):
    """Does what `answer(texts)` says, and notes what it is asked.

    `answer` may raise, or return what is done with the rows before they are replied.
    """

    limits: Limits
    answer = None
    log: list[list[str]]
    running = most = 0

    def describe(self):
        base = super().describe()
        return Description(Space("fake/fake-small", 8), type(self).limits, base.native_dimension)

    async def request(self, items, task):
        cls = type(self)
        cls.running += 1
        cls.most = max(cls.most, cls.running)
        cls.log.append([item.text for item in items])
        try:
            await asyncio.sleep(0)
            change = cls.answer([item.text for item in items]) if cls.answer is not None else None
            if asyncio.iscoroutine(change):
                change = await change
            reply = await super().request(items, task)
            return reply if change is None else change(reply)
        finally:
            cls.running -= 1

    def classify(self, error):
        return error.verdict if isinstance(error, Told) else super().classify(error)

    @classmethod
    def sizes(cls):
        """The items of each request so far."""
        return [len(texts) for texts in cls.log]


@pytest.fixture
def scripted():
    """The class `Scripted`, fresh; ten items a request, three requests at a time."""
    Scripted.limits = Limits(unit="word", units_per_item=16, items_per_batch=10, padded=False, concurrency=3)
    Scripted.answer, Scripted.log, Scripted.running, Scripted.most = None, [], 0, 0
    return Scripted


@pytest.fixture
def told():
    """The error class `Told`."""
    return Told


@pytest.fixture(autouse=True)
def _fresh_providers():
    """No test hears of the refusals that another one met."""
    providers._known.clear()


@pytest.fixture
def no_pauses(monkeypatch):
    """Attempts follow one another at once where the provider does not say when."""
    monkeypatch.setattr(pacing, "FIRST_PAUSE", 0.0)


@pytest.fixture
def wire_client():
    """The module `wire_client`."""
    return _wire_client


@pytest.fixture
def make_wire(wire_client):
    """Makes embedders as `wire_client.make`, closed in the end."""
    made = []

    def make(*arguments, **keywords):
        made.append(wire_client.make(*arguments, **keywords))
        return made[-1]

    yield make
    for embedder in made:
        embedder.close()


@pytest.fixture
def server(wire_client):
    """The provider's double, without faults."""
    with HostedServer(wire_client.wire()) as running:
        yield running


async def _others():
    """Tasks of the I/O loop beside this one."""
    return len(asyncio.all_tasks()) - 1


@pytest.fixture
def until():
    """Waits for a condition that another thread brings about; fails if it never does."""

    def wait(condition):
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "it did not come about"
            time.sleep(0.001)

    return wait


@pytest.fixture
def idle(until):
    """Waits until nothing runs on the I/O loop any more."""
    return lambda: until(lambda: runtime.submit_io(_others()).result() == 0)
