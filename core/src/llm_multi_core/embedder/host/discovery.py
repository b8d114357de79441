"""Finding plugins, each inside its own guard.

For every entry point: allowed? -> load -> register -> check -> call -> collect. A plugin that fails
at any stage is recorded with that stage and its exception, and offers nothing; the others go on.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from importlib.metadata import EntryPoint
from typing import Literal

import pluggy
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from llm_multi_core.embedder.errors import PluginWarning
from llm_multi_core.embedder.frameworks import FrameworkSpec, Offer, nearest
from llm_multi_core.embedder.host import hookspecs
from llm_multi_core.embedder.items import Modality

ALLOW_VARIABLE = "LLM_MULTI_CORE_PLUGINS"
DENY_VARIABLE = "LLM_MULTI_CORE_DISABLED_PLUGINS"
STRICT_VARIABLE = "LLM_MULTI_CORE_STRICT"

Stage = Literal["load", "register", "check", "call", "collect"]


@dataclass(frozen=True, slots=True)
class Fault:
    """At which stage a plugin failed, and with what."""

    stage: Stage
    error: BaseException

    def __str__(self) -> str:
        return f"{self.stage}: {type(self.error).__name__}: {_first_line(self.error)}"


@dataclass(frozen=True, slots=True)
class PluginRecord:
    """One entry point and what became of it.

    `status` is `"active"`, `"disabled"` (by the environment variable `disabled_by`) or `"broken"`
    (see `fault`).
    """

    name: str
    distribution: str
    version: str
    status: Literal["active", "disabled", "broken"]
    offers: tuple[Offer, ...] = ()
    fault: Fault | None = None
    disabled_by: str | None = None


@dataclass(frozen=True, slots=True)
class PluginFilter:
    """Which plugins the environment lets in, by distribution or entry-point name.

    Attributes:
        allowed: if set, only these (`LLM_MULTI_CORE_PLUGINS`, separated by commas).
        denied: never these (`LLM_MULTI_CORE_DISABLED_PLUGINS`); wins over `allowed`.
        strict: a broken plugin raises instead of being set aside (`LLM_MULTI_CORE_STRICT=1`).
    """

    allowed: frozenset[str] | None = None
    denied: frozenset[str] = frozenset()
    strict: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> PluginFilter:
        """The filter that the environment variables describe."""
        source = os.environ if environ is None else environ

        def names(variable: str) -> frozenset[str]:
            return frozenset(
                canonicalize_name(part.strip()) for part in source.get(variable, "").split(",") if part.strip()
            )

        return cls(
            allowed=names(ALLOW_VARIABLE) if source.get(ALLOW_VARIABLE, "").strip() else None,
            denied=names(DENY_VARIABLE),
            strict=source.get(STRICT_VARIABLE, "").strip().lower() not in {"", "0", "false", "no", "off"},
        )

    def excluded_by(self, *names: str) -> str | None:
        """The variable that keeps out a plugin known under these names; `None` if it is let in."""
        known = {canonicalize_name(name) for name in names}
        if known & self.denied:
            return DENY_VARIABLE
        return ALLOW_VARIABLE if self.allowed is not None and not known & self.allowed else None


class PluginRejectedError(Exception):
    """A plugin breaks the rules of the hook; the message says which."""


def installed_entry_points() -> list[EntryPoint]:
    """The entry points of every installed distribution in the host's group.

    A distribution whose entry points cannot be read gives a `PluginWarning` and hides no other.
    """
    with suppress(Exception):  # one damaged entry_points.txt anywhere is enough; then find out which
        return list(metadata.entry_points(group=hookspecs.ENTRY_POINT_GROUP))
    points: dict[str, list[EntryPoint]] = {}
    for distribution in metadata.distributions():
        name = "unknown"
        try:
            name = canonicalize_name(distribution.name)
            if name not in points:  # what comes first on the path is what is imported
                points[name] = list(distribution.entry_points.select(group=hookspecs.ENTRY_POINT_GROUP))
        except Exception as error:  # noqa: BLE001 - damaged in any way
            warnings.warn(
                f"the entry points of distribution {name!r} cannot be read ({type(error).__name__}: "
                f"{_first_line(error)}); if it is a plugin, it is not seen",
                PluginWarning,
                stacklevel=2,
            )
    return [point for found in points.values() for point in found]


class Discovery:
    """Runs the stages for entry points."""

    def __init__(self, plugin_filter: PluginFilter) -> None:
        self._filter = plugin_filter
        self._taken: set[tuple[str, str, Modality]] = set()

    def run(self, entry_points: Iterable[EntryPoint]) -> list[PluginRecord]:
        """A record for every entry point, in the order of distribution and name."""
        found = [(*_origin(point), point) for point in entry_points]
        found.sort(key=lambda entry: (entry[0], entry[2].name, entry[2].value))
        return [self._record(*entry) for entry in found]

    def _record(self, distribution: str, version: str, point: EntryPoint) -> PluginRecord:
        variable = self._filter.excluded_by(point.name, distribution)
        if variable is not None:
            return PluginRecord(point.name, distribution, version, "disabled", disabled_by=variable)
        stage: Stage = "load"
        try:
            plugin = point.load()
            stage = "register"
            manager = _register(plugin, f"{distribution}:{point.name}")
            stage = "check"
            implementations = _check(plugin, manager)
            stage = "call"
            answers = [implementation.function() for implementation in implementations]
            stage = "collect"
            specs = _collect(answers)
            self._take(distribution, specs)
            offers = tuple(Offer(spec, distribution, version) for spec in specs)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - SystemExit, a panic of an extension in Rust: all are recorded
            return PluginRecord(point.name, distribution, version, "broken", fault=Fault(stage, error))
        return PluginRecord(point.name, distribution, version, "active", offers)

    def _take(self, distribution: str, specs: Iterable[FrameworkSpec]) -> None:
        """Refuse what `distribution/name` could not tell apart."""
        names = {(distribution, spec.name, modality): spec for spec in specs for modality in spec.modalities}
        for key, spec in names.items():
            if key in self._taken:
                raise PluginRejectedError(
                    f"it offers framework {spec.name!r}, which another entry point of {distribution} offers"
                )
        self._taken.update(names)


def _register(plugin: object, name: str) -> pluggy.PluginManager:
    # A manager for each plugin: managers compare and call what is registered, so that one odd
    # object could spoil the registration of the next.
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, name)
    return manager


def _check(plugin: object, manager: pluggy.PluginManager) -> list[pluggy.HookImpl]:
    callers = manager.get_hookcallers(plugin) or []
    for caller in callers:
        if not caller.has_spec():
            raise PluginRejectedError(
                f"it implements {caller.name!r}, which is no hook{nearest(caller.name, [hookspecs.HOOK])}"
            )
    implementations = [implementation for caller in callers for implementation in caller.get_hookimpls()]
    if not implementations:
        raise PluginRejectedError(f"it has no function {hookspecs.HOOK!r} marked with hookimpl")
    for implementation in implementations:
        if implementation.wrapper or implementation.hookwrapper:
            raise PluginRejectedError(f"{hookspecs.HOOK!r} is implemented as a wrapper; return the frameworks instead")
    return implementations


def _collect(answers: Iterable[object]) -> list[FrameworkSpec]:
    specs: list[FrameworkSpec] = []
    for answer in answers:
        if isinstance(answer, FrameworkSpec) or not isinstance(answer, Iterable) or isinstance(answer, str | bytes):
            raise PluginRejectedError(f"the hook returned {type(answer).__name__}, not a list of FrameworkSpec")
        for spec in answer:
            if not isinstance(spec, FrameworkSpec):
                raise PluginRejectedError(f"the hook gave {type(spec).__name__} where a FrameworkSpec was due")
            _check_requirements(spec)
            if any(other.name == spec.name and set(other.modalities) & set(spec.modalities) for other in specs):
                raise PluginRejectedError(f"it offers framework {spec.name!r} twice")
            specs.append(spec)
    return specs


def _check_requirements(spec: FrameworkSpec) -> None:
    """Raise now what would else be raised whenever somebody asks what is available."""
    for text in spec.requires:
        try:
            marker = Requirement(text).marker
            if marker is not None:
                marker.evaluate()
        except Exception as error:
            raise PluginRejectedError(
                f"framework {spec.name!r} requires {text!r}, which is not PEP 508 ({_first_line(error)})"
            ) from error


def _origin(point: EntryPoint) -> tuple[str, str]:
    """The distribution of an entry point and its version, as far as its metadata is sound."""
    with suppress(Exception):  # damaged metadata; the plugin itself may be well
        if point.dist is not None:
            return canonicalize_name(point.dist.name), str(point.dist.version)
    return "unknown", "unknown"


def _first_line(error: BaseException) -> str:
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # noqa: BLE001 - an exception of a plugin's own, which cannot even say what it is
        lines = []
    return lines[0] if lines else "(no message)"
