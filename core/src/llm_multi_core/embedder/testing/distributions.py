"""Installing a plugin for the length of a test: a real distribution on a folder of the import path."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

FAKE_PLUGIN = """
from llm_multi_core.embedder import hookimpl
from llm_multi_core.embedder.testing import fakes


@hookimpl
def llm_multi_core_frameworks():
    return [
        fakes.fake_offer(fakes.FakeTextEncoder, "fake").spec,
        fakes.fake_offer(fakes.FakeHostedEncoder, "fake-hosted").spec,
    ]
"""
"""The source of a plugin that offers the fakes as frameworks `fake` and `fake-hosted`."""

MISSING_PLUGIN = """
from dataclasses import replace

from llm_multi_core.embedder import hookimpl
from llm_multi_core.embedder.testing import fakes


@hookimpl
def llm_multi_core_frameworks():
    return [replace(fakes.fake_offer(name="fake-missing").spec, requires=("llm-multi-core-never-written>=1",))]
"""
"""The source of a plugin that offers `fake-missing`, which requires what nobody has."""


def write_distribution(
    folder: Path,
    name: str,
    *,
    version: str = "1.0",
    entry_points: Mapping[str, str] | None = None,
    modules: Mapping[str, str] | None = None,
) -> None:
    """Write a distribution as an installer would leave it, so that `importlib.metadata` finds it.

    Args:
        folder: a folder that is, or will be, on `sys.path`.
        name: the distribution's name.
        version: its version.
        entry_points: names to values in the group `llm_multi_core.embedder`.
        modules: module names to source texts, dedented.
    """
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    points = "\n".join(f"{key} = {value}" for key, value in (entry_points or {}).items())
    (metadata / "entry_points.txt").write_text(f"[llm_multi_core.embedder]\n{points}\n", encoding="utf-8")
    for module, source in (modules or {}).items():
        (folder / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
