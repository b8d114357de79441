"""What the tests of the adapter share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

KEYED_PLUGIN = """
from llm_multi_core.embedder import Credentials, FrameworkSpec, hookimpl
from llm_multi_core.embedder.testing.fakes import FAKE_OPTIONS, FakeHostedEncoder

CREDENTIALS = Credentials(("KEYED_API_KEY",))


class KeyedEncoder(FakeHostedEncoder):
    def load(self):
        CREDENTIALS.require(self.config.secret, "keyed")


@hookimpl
def llm_multi_core_frameworks():
    return [
        FrameworkSpec(
            name="keyed",
            modalities=("text",),
            target="llm_multi_core_keyed:KeyedEncoder",
            default_model={"text": "keyed-small"},
            options=FAKE_OPTIONS,
            hosted=True,
            credentials=CREDENTIALS,
        )
    ]
"""

BY_MODEL_PLUGIN = """
from llm_multi_core.embedder import FrameworkSpec, hookimpl
from llm_multi_core.embedder.testing.fakes import FAKE_OPTIONS, FakeTextEncoder, fake_vector


class ByModelEncoder(FakeTextEncoder):
    def vectors(self, items, task):
        return super().vectors(items, task) + fake_vector(self.config.model, self.describe().space.dimension)


@hookimpl
def llm_multi_core_frameworks():
    target = "llm_multi_core_by_model:ByModelEncoder"
    return [FrameworkSpec("by-model", ("text",), target, options=FAKE_OPTIONS, default_model={"text": "small"})]
"""


@pytest.fixture
def framework_by_model(install_plugin: Callable[..., None]) -> str:
    """Installs a fake whose vectors depend on the model's name, too."""
    install_plugin(
        "llm-multi-core-by-model",
        entry_points={"by-model": "llm_multi_core_by_model"},
        modules={"llm_multi_core_by_model": BY_MODEL_PLUGIN},
    )
    return "by-model"


@pytest.fixture
def keyed_framework(install_plugin: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> str:
    """Installs a hosted fake that needs a key, and takes the key out of the environment."""
    monkeypatch.delenv("KEYED_API_KEY", raising=False)
    install_plugin(
        "llm-multi-core-keyed",
        entry_points={"keyed": "llm_multi_core_keyed"},
        modules={"llm_multi_core_keyed": KEYED_PLUGIN},
    )
    return "keyed"
