"""pytest fixtures and options; load them with `pytest_plugins = ["llm_multi_core.embedder.testing.parity.plugin"]`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from llm_multi_core.embedder.testing.conformance.compare import Agreement
from llm_multi_core.embedder.testing.parity.check import Parity, assert_same_vectors
from llm_multi_core.embedder.testing.parity.results import ParityResults
from llm_multi_core.embedder.testing.parity.table import fill_table

_FOUND: pytest.StashKey[ParityResults] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where to write what was measured."""
    group = parser.getgroup("parity")
    group.addoption("--parity-results", type=Path, metavar="JSON", help="write what parity tests measure to this file")
    group.addoption("--parity-page", type=Path, metavar="PAGE", help="fill the parity table of this Markdown page")


def pytest_configure(config: pytest.Config) -> None:
    """Make room for results; name the mark."""
    config.stash[_FOUND] = ParityResults()
    config.addinivalue_line("markers", "parity: compares an embedder with its library; given by the fixture")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that take the fixture, so that `-m parity` selects them."""
    for item in items:
        if "parity" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.parity)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write what was measured, if tests ran and none failed."""
    found, options = session.config.stash[_FOUND], session.config.option
    if exitstatus != pytest.ExitCode.OK or options.collectonly:
        return
    if options.parity_results is not None:
        found.save(options.parity_results)
    if options.parity_page is not None:
        fill_table(options.parity_page, found)


@pytest.fixture
def parity(request: pytest.FixtureRequest) -> Parity:
    """Compares embedders with their libraries, and keeps the figures of this test for the table."""
    return Parity(request.node.nodeid, request.config.stash[_FOUND])


@pytest.fixture(scope="session")
def same_vectors() -> Callable[..., Agreement]:
    """Fails unless an embedder's vectors are those expected: `assert_same_vectors`."""
    return assert_same_vectors
