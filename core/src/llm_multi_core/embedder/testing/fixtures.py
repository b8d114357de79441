"""pytest fixtures; load them with `pytest_plugins = ["llm_multi_core.embedder.testing.fixtures"]`."""

from __future__ import annotations

import importlib
import ipaddress
import logging
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_multi_core.embedder.host import default_host
from llm_multi_core.embedder.pipeline.provider import providers
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


@pytest.fixture
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Nothing of this test reaches beyond this machine.

    Connections and look-ups of other names fail, and so does the test if any was tried, even where what
    tried it carried on. The value lists what was tried; a test that means to try clears it.
    """
    tried: list[str] = []
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def refuse_others(address: Any) -> None:
        if isinstance(address, tuple) and not _is_here(str(address[0])):
            tried.append(str(address[0]))
            raise ConnectionRefusedError(f"a test tried to reach {address[0]!r}")

    def connect_here(self: socket.socket, address: Any) -> None:
        refuse_others(address)
        connect(self, address)

    def connect_ex_here(self: socket.socket, address: Any) -> int:
        refuse_others(address)
        return connect_ex(self, address)

    def look_up_here(host: Any, *arguments: Any, **keywords: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and not _is_here(name):
            tried.append(name)
            raise socket.gaierror(f"a test tried to look up {name!r}")
        return look_up(host, *arguments, **keywords)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    monkeypatch.setattr(socket.socket, "connect_ex", connect_ex_here)
    monkeypatch.setattr(socket, "getaddrinfo", look_up_here)
    yield tried
    assert not tried, f"the test tried to reach {', '.join(dict.fromkeys(tried))}"


def _is_here(host: str) -> bool:
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback or host in ("0.0.0.0", "::")  # noqa: S104
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def _strange_providers() -> None:
    """Forget keys that were refused at an address: on the loopback interface, addresses come again."""
    providers.forget()


@pytest.fixture
def shown_logs(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """A function that makes a logger heard, whatever other libraries have done to loggers; what it said so far."""

    def listen(name: str) -> str:
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "disabled", False)
        monkeypatch.setattr(logger, "propagate", False)
        monkeypatch.setattr(logger, "handlers", [caplog.handler])
        caplog.set_level(logging.DEBUG, logger=name)
        return caplog.text

    return listen
