"""Plugins with what the fakes lack: a key, and a gate that a test opens."""

import importlib

import pytest

KEYED_PLUGIN = """
from dataclasses import replace

from llm_multi_core.embedder import Credentials, hookimpl
from llm_multi_core.embedder.testing import fakes

CREDENTIALS = Credentials(("KEYED_API_KEY",))
seen = []


class KeyedEncoder(fakes.FakeHostedEncoder):
    async def request(self, items, task):
        seen.append(CREDENTIALS.require(self.config.secret, "keyed"))
        return await super().request(items, task)


@hookimpl
def llm_multi_core_frameworks():
    spec = fakes.fake_offer(KeyedEncoder, "keyed").spec
    return [replace(spec, hosted=True, credentials=CREDENTIALS)]
"""

GATED_PLUGIN = """
import threading
from dataclasses import replace

from llm_multi_core.embedder import OptionSpec, hookimpl
from llm_multi_core.embedder.testing import fakes

made = []
reached = threading.Event()
opened = threading.Event()


class GatedEncoder(fakes.FakeTextEncoder):
    def __init__(self, config):
        made.append(config.model)
        super().__init__(config)

    def _pass(self, stage):
        if self.config.options["stage"] == stage:
            reached.set()
            assert opened.wait(60)

    def describe(self):
        self._pass("describe")
        return super().describe()

    def load(self):
        self._pass("load")

    def measure(self, items, task):
        self._pass("measure")
        return super().measure(items, task)

    def prepare(self, items, task, state=None):
        self._pass("prepare")
        return super().prepare(items, task, state)

    def forward(self, batch):
        self._pass("forward")
        return super().forward(batch)


@hookimpl
def llm_multi_core_frameworks():
    spec = fakes.fake_offer(GatedEncoder, "gated").spec
    return [replace(spec, options=(*spec.options, OptionSpec("stage", str)))]
"""


@pytest.fixture
def keyed(install_plugin, monkeypatch):
    """The module of framework `"keyed"`, which is hosted; `seen` lists the keys that it used."""
    monkeypatch.delenv("KEYED_API_KEY", raising=False)
    install_plugin(
        "llm-multi-core-keyed", entry_points={"keyed": "keyed_plugin"}, modules={"keyed_plugin": KEYED_PLUGIN}
    )
    return importlib.import_module("keyed_plugin")


@pytest.fixture
def gated(install_plugin):
    """The module of framework `"gated"`, which waits at the stage that its option names."""
    install_plugin(
        "llm-multi-core-gated", entry_points={"gated": "gated_plugin"}, modules={"gated_plugin": GATED_PLUGIN}
    )
    module = importlib.import_module("gated_plugin")
    yield module
    module.opened.set()
