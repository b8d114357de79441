"""`Host`: the frameworks that are installed here, found once and then kept."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from importlib.metadata import EntryPoint
from typing import Literal

from packaging.utils import canonicalize_name

from llm_multi_core.embedder.errors import (
    AmbiguousFrameworkError,
    FrameworkUnavailableError,
    PluginError,
    PluginWarning,
    UnknownFrameworkError,
)
from llm_multi_core.embedder.frameworks import Offer, nearest
from llm_multi_core.embedder.host.availability import MissingRequirement, install_command, missing_requirements
from llm_multi_core.embedder.host.discovery import DENY_VARIABLE, Discovery, Fault, PluginFilter, PluginRecord
from llm_multi_core.embedder.host.hookspecs import ENTRY_POINT_GROUP
from llm_multi_core.embedder.host.known import DEFAULT_FRAMEWORK, KNOWN_FRAMEWORKS, known_framework
from llm_multi_core.embedder.items import Modality


@dataclass(frozen=True, slots=True)
class FrameworkStatus:
    """One line of the frameworks table.

    `status` is `"available"`, `"missing"` (a requirement is not met), `"ambiguous"` (two
    distributions offer the name), `"broken"`, `"disabled"`, or `"not installed"`. `reason` says why
    it is not available and what to do.
    """

    name: str
    modalities: tuple[Modality, ...]
    distribution: str
    version: str | None
    status: Literal["available", "missing", "ambiguous", "broken", "disabled", "not installed"]
    reason: str = ""
    hosted: bool = False
    key_present: bool | None = None
    summary: str = ""


class Host:
    """Finds plugins through entry points and answers for the frameworks they offer.

    Thread-safe. Plugins are looked for at the first question; `refresh` looks again.

    Args:
        entry_points: gives the entry points to consider; by default those of every installed
            distribution in the group `llm_multi_core.embedder`.
        plugin_filter: which plugins to let in; by default what the environment says at discovery.
    """

    def __init__(
        self,
        entry_points: Callable[[], Iterable[EntryPoint]] | None = None,
        plugin_filter: PluginFilter | None = None,
    ) -> None:
        self._entry_points = entry_points or (lambda: metadata.entry_points(group=ENTRY_POINT_GROUP))
        self._filter = plugin_filter
        self._lock = threading.Lock()
        self._records: tuple[PluginRecord, ...] | None = None

    def plugins(self) -> tuple[PluginRecord, ...]:
        """Every plugin found, with what it offers or why it does not.

        Raises:
            PluginError: in strict mode, for the first broken plugin.
        """
        with self._lock:
            if self._records is None:
                self._records = self._discover()
            return self._records

    def refresh(self) -> None:
        """Forget what was found, so that newly installed plugins are seen."""
        with self._lock:
            self._records = None

    def offers(self, modality: Modality | None = None) -> list[Offer]:
        """Every framework that working plugins offer (for a modality), available or not."""
        return [
            offer
            for record in self.plugins()
            for offer in record.offers
            if modality is None or modality in offer.spec.modalities
        ]

    def available(self) -> dict[str, dict[str, bool]]:
        """Whether each framework can be used now: `{modality: {name: bool}}`.

        Lists every framework of the project's own plugins, installed or not, and every other one
        that a plugin offers. A name that two distributions offer counts as available if either is,
        and is also listed as `distribution/name`.
        """
        table: dict[str, dict[str, bool]] = {}
        for modality in (Modality.TEXT, Modality.IMAGE, Modality.AUDIO):
            row = {known.name: False for known in KNOWN_FRAMEWORKS if modality in known.modalities}
            offers = self.offers(modality)
            names = [offer.spec.name for offer in offers]
            for offer in offers:
                usable = not missing_requirements(offer.spec.requires)
                row[offer.spec.name] = row.get(offer.spec.name, False) or usable
                if names.count(offer.spec.name) > 1:
                    row[offer.qualified_name] = usable
            table[modality.value] = row
        return table

    def find(self, name: str | None, modality: Modality) -> Offer:
        """The offer to use for a framework name.

        Args:
            name: a framework, or `distribution/framework`; `None` is the modality's default.
            modality: what is to be embedded.

        Raises:
            UnknownFrameworkError: no such name, or not for this modality; names the nearest.
            AmbiguousFrameworkError: two distributions offer it; names both.
            FrameworkUnavailableError: not installed, or a requirement is missing; with the
                `pip install` line.
            PluginError: its plugin is broken; `__cause__` is what it raised.
        """
        if name is None:
            name = DEFAULT_FRAMEWORK[modality]
        if not isinstance(name, str):
            raise UnknownFrameworkError(f"a framework is named by a string, not by {type(name).__name__}")
        distribution, _, plain = name.rpartition("/")
        plain = plain.strip().lower().replace("_", "-")
        candidates = [
            offer
            for offer in self.offers(modality)
            if offer.spec.name == plain and (not distribution or offer.distribution == canonicalize_name(distribution))
        ]
        if not candidates:
            self._explain_absence(name, plain, modality)
        if len(candidates) > 1:
            both = " or ".join(repr(offer.qualified_name) for offer in candidates)
            raise AmbiguousFrameworkError(f"several distributions offer framework {plain!r}; write {both}")
        missing = missing_requirements(candidates[0].spec.requires)
        if missing:
            raise FrameworkUnavailableError(_missing_reason(plain, missing))
        return candidates[0]

    def statuses(self) -> list[FrameworkStatus]:
        """The frameworks table: every known or offered framework, once per distribution."""
        rows = [status for record in self.plugins() for status in self._record_statuses(record)]
        listed = {(row.name, modality) for row in rows for modality in row.modalities}
        for known in KNOWN_FRAMEWORKS:
            modalities = tuple(modality for modality in known.modalities if (known.name, modality) not in listed)
            if modalities:
                rows.append(self._absent_status(known.name, modalities))
        order = {known.name: place for place, known in enumerate(KNOWN_FRAMEWORKS)}
        return sorted(rows, key=lambda row: (order.get(row.name, len(order)), row.name, row.distribution))

    def _discover(self) -> tuple[PluginRecord, ...]:
        plugin_filter = self._filter or PluginFilter.from_environment()
        records = tuple(Discovery(plugin_filter).run(self._entry_points()))
        for record in records:
            if record.fault is not None:
                message = f"plugin {record.name!r} of {record.distribution} {record.version} is broken ({record.fault})"
                if plugin_filter.strict:
                    raise PluginError(message) from record.fault.error
                warnings.warn(f"{message}; it was set aside", PluginWarning, stacklevel=4)
        return records

    def _broken(self, name: str, modality: Modality | None = None) -> PluginRecord | None:
        """The broken or disabled plugin that would offer this framework, as far as that can be told."""
        known = known_framework(name, modality)
        for record in self.plugins():
            if record.status != "active" and (
                record.name == name or (known and known.distribution == record.distribution)
            ):
                return record
        return None

    def _explain_absence(self, given: str, name: str, modality: Modality) -> None:
        record = self._broken(name, modality)
        if record is not None and record.fault is not None:
            raise PluginError(
                f"framework {name!r} cannot be used: its plugin in {record.distribution} {record.version} is broken "
                f"({record.fault})"
            ) from record.fault.error
        if record is not None:
            raise FrameworkUnavailableError(
                f"framework {name!r} is disabled: the environment excludes {record.distribution} (see {DENY_VARIABLE})"
            )
        same_name = [offer for offer in self.offers(modality) if offer.spec.name == name]
        if same_name:
            qualified = " or ".join(repr(offer.qualified_name) for offer in same_name)
            raise UnknownFrameworkError(f"no distribution offers {given!r}; write {qualified}, or just {name!r}")
        known = known_framework(name, modality)
        if known is not None:
            raise FrameworkUnavailableError(f"framework {name!r} is not installed; install it with: {known.install}")
        names = sorted(self.available()[modality.value])
        others = {m for offer in self.offers() if offer.spec.name == name for m in offer.spec.modalities}
        others.update(m for entry in KNOWN_FRAMEWORKS if entry.name == name for m in entry.modalities)
        if others:
            served = " and ".join(sorted(others))
            raise UnknownFrameworkError(
                f"framework {name!r} embeds {served}, not {modality}; frameworks for {modality}: {', '.join(names)}"
            )
        hint = nearest(name, names) or nearest(name, [known.name for known in KNOWN_FRAMEWORKS])
        raise UnknownFrameworkError(f"no framework {given!r} for {modality}{hint}; there are: {', '.join(names)}")

    def _record_statuses(self, record: PluginRecord) -> list[FrameworkStatus]:
        if record.status != "active":
            known = [entry for entry in KNOWN_FRAMEWORKS if entry.distribution == record.distribution]
            names = [(entry.name, entry.modalities) for entry in known] or [(record.name, ())]
            reason = _fault_reason(record.fault) if record.fault else f"excluded by the environment ({DENY_VARIABLE})"
            status: Literal["broken", "disabled"] = "broken" if record.fault else "disabled"
            return [
                FrameworkStatus(name, modalities, record.distribution, record.version, status, reason)
                for name, modalities in names
            ]
        rows = []
        for offer in record.offers:
            spec, missing = offer.spec, missing_requirements(offer.spec.requires)
            rivals = [
                other.qualified_name
                for other in self.offers()
                if other.spec.name == spec.name
                and other.distribution != offer.distribution
                and set(other.spec.modalities) & set(spec.modalities)
            ]
            state: Literal["available", "missing", "ambiguous"] = "available"
            reason = ""
            if missing:
                state, reason = "missing", _missing_reason(spec.name, missing)
            elif rivals:
                state = "ambiguous"
                reason = f"also offered as {', '.join(rivals)}; write {offer.qualified_name!r}"
            key = spec.credentials.find() is not None if spec.credentials is not None else None
            rows.append(
                FrameworkStatus(
                    spec.name,
                    spec.modalities,
                    offer.distribution,
                    offer.version,
                    state,
                    reason,
                    spec.hosted,
                    key,
                    spec.summary,
                )
            )
        return rows

    def _absent_status(self, name: str, modalities: tuple[Modality, ...]) -> FrameworkStatus:
        known = known_framework(name)
        assert known is not None  # noqa: S101 - called with names from the table only
        return FrameworkStatus(name, modalities, known.distribution, None, "not installed", known.install)


def _fault_reason(fault: Fault) -> str:
    return f"the plugin failed at {fault}"


def _missing_reason(name: str, missing: tuple[MissingRequirement, ...]) -> str:
    needs = ", ".join(str(entry) for entry in missing)
    return f"framework {name!r} needs {needs}; install it with: {install_command(missing)}"


_default_host = Host()


def default_host() -> Host:
    """The host that the public functions use."""
    return _default_host
