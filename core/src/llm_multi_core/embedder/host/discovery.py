"""Finding plugins, each inside its own guard.

For every entry point: allowed? -> load -> register -> check -> call -> collect. A plugin that fails
at any stage is recorded with that stage and its exception, and offers nothing; the others go on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Literal

import pluggy
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from llm_multi_core.embedder.frameworks import FrameworkSpec, Offer, nearest
from llm_multi_core.embedder.host import hookspecs

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
        lines = str(self.error).strip().splitlines()
        return f"{self.stage}: {type(self.error).__name__}: {lines[0] if lines else '(no message)'}"


@dataclass(frozen=True, slots=True)
class PluginRecord:
    """One entry point and what became of it.

    `status` is `"active"`, `"disabled"` (by the environment) or `"broken"` (see `fault`).
    """

    name: str
    distribution: str
    version: str
    status: Literal["active", "disabled", "broken"]
    offers: tuple[Offer, ...] = ()
    fault: Fault | None = None


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
            strict=source.get(STRICT_VARIABLE, "").strip().lower() in {"1", "true", "yes", "on"},
        )

    def admits(self, *names: str) -> bool:
        """Whether a plugin known under these names is let in."""
        known = {canonicalize_name(name) for name in names}
        return not known & self.denied and (self.allowed is None or bool(known & self.allowed))


class PluginRejectedError(Exception):
    """A plugin breaks the rules of the hook; the message says which."""


class Discovery:
    """Runs the stages for entry points, over one pluggy manager."""

    def __init__(self, plugin_filter: PluginFilter) -> None:
        self._filter = plugin_filter
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)

    def run(self, entry_points: Iterable[EntryPoint]) -> list[PluginRecord]:
        """A record for every entry point, in the order of distribution and name."""
        return [
            self._record(point) for point in sorted(entry_points, key=lambda p: (_distribution(p), p.name, p.value))
        ]

    def _record(self, point: EntryPoint) -> PluginRecord:
        distribution = _distribution(point)
        version = point.dist.version if point.dist is not None else "unknown"
        if not self._filter.admits(point.name, distribution):
            return PluginRecord(point.name, distribution, version, "disabled")
        stage: Stage = "load"
        plugin: object | None = None
        try:
            plugin = point.load()
            stage = "register"
            self._manager.register(plugin, f"{distribution}:{point.name}")
            stage = "check"
            implementation = self._check(plugin)
            stage = "call"
            answer = implementation.function()
            stage = "collect"
            offers = tuple(Offer(spec, distribution, version) for spec in _collect(answer))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything; it is recorded whole
            if plugin is not None and self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            return PluginRecord(point.name, distribution, version, "broken", fault=Fault(stage, error))
        return PluginRecord(point.name, distribution, version, "active", offers)

    def _check(self, plugin: object) -> pluggy.HookImpl:
        callers = self._manager.get_hookcallers(plugin) or []
        implementations = [
            implementation
            for caller in callers
            for implementation in caller.get_hookimpls()
            if implementation.plugin is plugin
        ]
        for caller in callers:
            if not caller.has_spec():
                raise PluginRejectedError(
                    f"it implements {caller.name!r}, which is no hook{nearest(caller.name, [hookspecs.HOOK])}"
                )
        if not implementations:
            raise PluginRejectedError(f"it has no function {hookspecs.HOOK!r} marked with hookimpl")
        for implementation in implementations:
            if implementation.wrapper or implementation.hookwrapper:
                raise PluginRejectedError(
                    f"{hookspecs.HOOK!r} is implemented as a wrapper; return the frameworks instead"
                )
        return implementations[0]


def _collect(answer: object) -> list[FrameworkSpec]:
    if isinstance(answer, FrameworkSpec) or not isinstance(answer, Iterable) or isinstance(answer, str | bytes):
        raise PluginRejectedError(f"the hook returned {type(answer).__name__}, not a list of FrameworkSpec")
    specs: list[FrameworkSpec] = []
    for spec in answer:
        if not isinstance(spec, FrameworkSpec):
            raise PluginRejectedError(f"the hook gave {type(spec).__name__} where a FrameworkSpec was due")
        for text in spec.requires:
            Requirement(text)
        for other in specs:
            if other.name == spec.name and set(other.modalities) & set(spec.modalities):
                raise PluginRejectedError(f"it offers framework {spec.name!r} twice")
        specs.append(spec)
    return specs


def _distribution(point: EntryPoint) -> str:
    return canonicalize_name(point.dist.name) if point.dist is not None else "unknown"
