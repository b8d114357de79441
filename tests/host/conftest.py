"""A host that sees only the plugins that a test installs, whatever else is installed here."""

from __future__ import annotations

from importlib import metadata

import pytest

from llm_multi_core.embedder import Host
from llm_multi_core.embedder.host.hookspecs import ENTRY_POINT_GROUP

PLUGIN = """
from llm_multi_core.embedder import Credentials, FrameworkSpec, Modality, OptionSpec, hookimpl


def spec(name, *modalities, **more):
    return FrameworkSpec(name, modalities or (Modality.TEXT,), "no_such_module:Encoder", **more)


@hookimpl
def llm_multi_core_frameworks():
    {body}
"""


def plugin_source(body: str) -> str:
    """The source of a plugin whose hook has this body; `spec(name, *modalities, ...)` makes a specification."""
    return PLUGIN.format(body=body)


@pytest.fixture
def site_packages(tmp_path, install_plugin):
    """The folder into which `install_plugin` installs."""
    return tmp_path / "site-packages"


@pytest.fixture
def install(install_plugin):
    """Installs a distribution whose one plugin has a hook with this body, or is this source."""

    def install(distribution, body=None, *, source=None, entry_point=None, version="1.0"):
        module = "fake_" + distribution.replace("-", "_")  # never the name of a real plugin's package
        install_plugin(
            distribution,
            version=version,
            entry_points={entry_point or distribution: module},
            modules={module: plugin_source(body) if source is None else source},
        )

    return install


@pytest.fixture
def entry_points(site_packages):
    """Gives the entry points of what the test installed, and of nothing else."""

    def entry_points():
        return [
            point
            for distribution in metadata.distributions(path=[str(site_packages)])
            for point in distribution.entry_points.select(group=ENTRY_POINT_GROUP)
        ]

    return entry_points


@pytest.fixture
def host(entry_points):
    return Host(entry_points)
