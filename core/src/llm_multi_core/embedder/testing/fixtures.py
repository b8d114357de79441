"""pytest fixtures; load them with `pytest_plugins = ["llm_multi_core.embedder.testing.fixtures"]`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llm_multi_core.embedder.host import default_host
from llm_multi_core.embedder.testing.distributions import FAKE_PLUGIN, MISSING_PLUGIN, write_distribution


@pytest.fixture
def install_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A function that installs a plugin for this test; takes what `write_distribution` takes."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)

    def install(name: str, **parts: object) -> None:
        write_distribution(folder, name, **parts)  # type: ignore[arg-type]
        importlib.invalidate_caches()
        default_host().refresh()

    yield install
    for module in set(sys.modules) - before:
        if (folder / f"{module}.py").exists():
            del sys.modules[module]
    monkeypatch.undo()
    importlib.invalidate_caches()
    default_host().refresh()


@pytest.fixture
def fake_framework(install_plugin: Callable[..., None]) -> str:
    """Installs the fakes for this test; the name of the local one, `"fake"`."""
    install_plugin(
        "llm-multi-core-fake",
        entry_points={"fake": "llm_multi_core_fake"},
        modules={"llm_multi_core_fake": FAKE_PLUGIN},
    )
    return "fake"


@pytest.fixture
def missing_framework(install_plugin: Callable[..., None]) -> str:
    """Installs, for this test, a framework that requires what is not installed; its name, `"fake-missing"`."""
    install_plugin(
        "llm-multi-core-fake-missing",
        entry_points={"missing": "llm_multi_core_fake_missing"},
        modules={"llm_multi_core_fake_missing": MISSING_PLUGIN},
    )
    return "fake-missing"
