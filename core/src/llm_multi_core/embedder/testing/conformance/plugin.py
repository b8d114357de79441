"""`PluginConformance`: all standard tests of a plugin distribution."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable
from importlib import import_module, metadata, resources
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from llm_multi_core.embedder.describers import Describer
from llm_multi_core.embedder.encoders import HostedEncoder, LocalEncoder
from llm_multi_core.embedder.frameworks import FrameworkSpec
from llm_multi_core.embedder.host import Host
from llm_multi_core.embedder.host.availability import missing_requirements
from llm_multi_core.embedder.host.discovery import PluginFilter
from llm_multi_core.embedder.host.hookspecs import ENTRY_POINT_GROUP, HOOK
from llm_multi_core.embedder.testing.conformance.standard import StandardTests
from llm_multi_core.embedder.testing.conformance.watch import watch_io

_LIST_IMPORTS = """
import importlib, json, sys
import numpy, packaging.requirements, pluggy
import llm_multi_core.embedder
from llm_multi_core.embedder import hookimpl
before = set(sys.modules)
module = importlib.import_module(sys.argv[1])
list(getattr(module, sys.argv[2])())
print(json.dumps(sorted(set(sys.modules) - before)))
"""
"""Prints the modules that importing a plugin and calling its hook add to what the host needs."""


class PluginConformance(StandardTests):
    """What every plugin promises. Subclass it and name the distribution, or the plugin module.

    ```python
    class TestPlugin(PluginConformance):
        distribution = "llm-multi-core-acme"
    ```

    Attributes:
        distribution: the installed distribution whose entry points are checked.
        plugin: the plugin module, where there is no distribution yet.
    """

    distribution: ClassVar[str] = ""
    plugin: ClassVar[str] = ""

    @pytest.fixture
    def entry_points(self) -> list[EntryPoint]:
        """The entry points to check: those of the distribution, or one for the plugin module."""
        if not self.distribution:
            assert self.plugin, f"{type(self).__name__} must set 'distribution' or 'plugin'"
            return [EntryPoint("conformance", self.plugin, ENTRY_POINT_GROUP)]
        wanted = canonicalize_name(self.distribution)
        return [
            point
            for point in metadata.entry_points(group=ENTRY_POINT_GROUP)
            if point.dist is not None and canonicalize_name(point.dist.name) == wanted
        ]

    @pytest.fixture
    def hooks(self, entry_points: list[EntryPoint]) -> list[Callable[[], Iterable[FrameworkSpec]]]:
        """The hook functions."""
        return [getattr(point.load(), HOOK) for point in entry_points]

    @pytest.fixture
    def specs(self, hooks: list[Callable[[], Iterable[FrameworkSpec]]]) -> list[FrameworkSpec]:
        """The frameworks on offer."""
        return [spec for hook in hooks for spec in hook()]

    def test_entry_points_load(self, entry_points: list[EntryPoint]) -> None:
        """There is an entry point, and the host accepts every one."""
        assert entry_points, f"{self.distribution} has no entry point in the group {ENTRY_POINT_GROUP!r}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            records = Host(lambda: entry_points, PluginFilter()).plugins()
        for record in records:
            assert record.status == "active", f"entry point {record.name!r} is {record.status} ({record.fault})"
            assert record.offers, f"entry point {record.name!r} offers no framework"

    def test_plugin_imports_host_and_standard_library_only(self, entry_points: list[EntryPoint]) -> None:
        """Neither importing the plugin nor calling its hook imports an SDK or a model library."""
        for point in entry_points:
            own = point.module.partition(".")[0]
            foreign = [module for module in _imported_by(point.module) if module.partition(".")[0] != own]
            assert not foreign, f"{point.module} imports {', '.join(foreign[:10])}; import them in the encoder's module"

    def test_hook_is_pure(self, hooks: list[Callable[[], Iterable[FrameworkSpec]]]) -> None:
        """Called twice, it gives the same frameworks and touches neither files nor network."""
        for hook in hooks:
            with watch_io() as seen:
                first, second = list(hook()), list(hook())
            assert first == second, f"{hook.__module__}.{HOOK} gave two answers"
            assert not seen, f"{hook.__module__}.{HOOK} reached for: {', '.join(seen)}"

    def test_requirements_are_valid(self, specs: list[FrameworkSpec]) -> None:
        """Every `requires` is PEP 508."""
        for spec in specs:
            for text in spec.requires:
                Requirement(text)

    def test_every_modality_has_a_default_model(self, specs: list[FrameworkSpec]) -> None:
        """A default model is named for each modality and for no other."""
        for spec in specs:
            assert set(spec.default_model) == set(spec.modalities), (
                f"{spec.name} takes {', '.join(spec.modalities)} and has default models for "
                f"{', '.join(spec.default_model) or 'none'}"
            )
            assert all(model.strip() for model in spec.default_model.values()), f"{spec.name} has a blank default model"
            assert not spec.joint or len(spec.modalities) > 1, f"{spec.name} is joint with one modality"

    def test_everything_is_documented(self, specs: list[FrameworkSpec]) -> None:
        """Frameworks and options have a summary of one line."""
        for spec in specs:
            summaries = {spec.name: spec.summary, **{f"{spec.name} {o.name}=": o.summary for o in spec.options}}
            for name, summary in summaries.items():
                assert summary.strip(), f"{name} has no summary"
                assert len(summary.splitlines()) == 1, f"the summary of {name} is not one line"

    def test_hosted_frameworks_find_their_key(self, specs: list[FrameworkSpec]) -> None:
        """A hosted framework names environment variables, or the provider's own chain."""
        for spec in specs:
            credentials = spec.credentials
            assert not spec.hosted or credentials is not None, f"{spec.name} is hosted and declares no credentials"
            if credentials is not None:
                assert not isinstance(credentials.variables, str), f"{spec.name}: variables are a tuple of names"
                assert credentials.variables or credentials.chain, f"{spec.name} has credentials from nowhere"
                assert all(name.isidentifier() for name in credentials.variables), f"{spec.name}: no variable names"

    def test_targets_are_encoders(self, specs: list[FrameworkSpec]) -> None:
        """Where the requirements are installed, each target is a complete encoder class of the right kind."""
        installed = _installed([spec for spec in specs if spec.target])
        if not installed:
            pytest.skip("no framework embeds whose requirements are installed")
        for spec in installed:
            _require_class(spec.target, HostedEncoder if spec.hosted else LocalEncoder)

    def test_describers_are_describers(self, specs: list[FrameworkSpec]) -> None:
        """Where the requirements are installed, each describer is a complete class, of what `bridge` says."""
        describing = [spec for spec in specs if spec.describer]
        installed = _installed(describing)
        if describing and not installed:
            pytest.skip("no framework describes whose requirements are installed")
        for spec in installed:
            _require_class(spec.describer, Describer)
            describer = _loaded(spec.describer)
            said = {getattr(describer, "modality", None): getattr(describer, "via", None)}
            assert said == dict(spec.bridge), f"{spec.describer} says {said}, and bridge= of {spec.name} {spec.bridge}"
            assert set(spec.bridge) <= set(spec.modalities), f"{spec.name} describes what is not among its modalities"

    def test_package_is_typed(self, entry_points: list[EntryPoint]) -> None:
        """The package ships `py.typed`."""
        for point in entry_points:
            package = point.module.partition(".")[0]
            marker = resources.files(package) / "py.typed"
            assert marker.is_file(), f"package {package} has no py.typed"


def _installed(specs: list[FrameworkSpec]) -> list[FrameworkSpec]:
    return [spec for spec in specs if not missing_requirements(spec.requires)]


def _loaded(entry: str) -> Any:
    """What `"package.module:Class"` names; `None` if there is none."""
    module, _, name = entry.partition(":")
    return getattr(import_module(module), name, None)


def _require_class(entry: str, kind: type) -> None:
    """Require that an entry names a class of a kind, with nothing left to be written."""
    found = _loaded(entry)
    assert isinstance(found, type), f"{entry} is not a class"
    assert issubclass(found, kind), f"{entry} is not a {kind.__name__}"
    missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
    assert not inspect.isabstract(found), f"{entry} lacks {missing}"


def _imported_by(module: str) -> list[str]:
    """What a fresh interpreter imports for a plugin, beyond the host's own and the standard library."""
    answer = subprocess.run(  # noqa: S603 - this interpreter and a constant
        [sys.executable, "-c", _LIST_IMPORTS, module, HOOK],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, f"{module} cannot be imported on its own:\n{answer.stderr[-2000:]}"
    imported: list[str] = json.loads(answer.stdout.splitlines()[-1])
    return [name for name in imported if not _comes_with_host(name.partition(".")[0])]


def _comes_with_host(package: str) -> bool:
    standard = package in sys.stdlib_module_names or package.startswith("_sysconfigdata")
    return standard or package in {"llm_multi_core", "numpy", "packaging", "pluggy"}
