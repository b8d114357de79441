"""`Host`: the frameworks that are installed here, found once and then kept."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint

from llm_multi_core.embedder.errors import (
    AmbiguousFrameworkError,
    FrameworkUnavailableError,
    PluginError,
    PluginWarning,
    UnknownFrameworkError,
)
from llm_multi_core.embedder.frameworks import Offer
from llm_multi_core.embedder.host.absence import FrameworkName, explain_absence, missing_reason
from llm_multi_core.embedder.host.availability import missing_requirements
from llm_multi_core.embedder.host.discovery import Discovery, PluginFilter, PluginRecord, installed_entry_points
from llm_multi_core.embedder.host.known import DEFAULT_FRAMEWORK, KNOWN_FRAMEWORKS
from llm_multi_core.embedder.host.status import FrameworkStatus, framework_statuses
from llm_multi_core.embedder.items import Modality


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
        entry_points: Callable[[], Iterable[EntryPoint]] = installed_entry_points,
        plugin_filter: PluginFilter | None = None,
    ) -> None:
        self._entry_points = entry_points
        self._filter = plugin_filter
        # Reentrant, so that a plugin that asks the host while it is being loaded gets an error
        # rather than a deadlock.
        self._lock = threading.RLock()
        self._discovering = False
        self._records: tuple[PluginRecord, ...] | None = None

    def plugins(self) -> tuple[PluginRecord, ...]:
        """Every plugin found, with what it offers or why it does not.

        Raises:
            PluginError: in strict mode, for the first broken plugin.
        """
        with self._lock:
            if self._records is not None:
                return self._records
            if self._discovering:
                raise PluginError("a plugin asked for frameworks while it was itself being looked up")
            self._discovering = True
            try:
                records = self._records = self._discover()
            finally:
                self._discovering = False
        for record in records:  # out of the lock, since a warning may be made an error or be hooked
            if record.fault is not None:
                warnings.warn(f"{_broken(record)}; it was set aside", PluginWarning, stacklevel=3)
        return records

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
        """Whether each framework can be used now to embed: `{modality: {name: bool}}`.

        Lists every framework of the project's own plugins, installed or not, and every other one
        that a plugin offers; not those that only put media into words. A name that two distributions
        offer counts as available if either is, and is also listed as `distribution/name`.
        """
        met = {offer.spec.requires: not missing_requirements(offer.spec.requires) for offer in self.offers()}
        table: dict[str, dict[str, bool]] = {}
        for modality in (Modality.TEXT, Modality.IMAGE, Modality.AUDIO):
            row = {known.name: False for known in KNOWN_FRAMEWORKS if known.embeds and modality in known.modalities}
            offers = [offer for offer in self.offers(modality) if offer.spec.target]
            names = [offer.spec.name for offer in offers]
            for offer in offers:
                row[offer.spec.name] = row.get(offer.spec.name, False) or met[offer.spec.requires]
                if names.count(offer.spec.name) > 1:
                    row[offer.qualified_name] = met[offer.spec.requires]
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
            name = DEFAULT_FRAMEWORK.get(modality)
        if not isinstance(name, str):
            raise UnknownFrameworkError(f"a framework is named by a string, not by {type(name).__name__}")
        wanted = FrameworkName.parse(name)
        candidates = [offer for offer in self.offers(modality) if wanted.fits(offer)]
        if not candidates:
            explain_absence(wanted, modality, self.plugins())
        if len(candidates) > 1:
            both = " or ".join(repr(offer.qualified_name) for offer in candidates)
            raise AmbiguousFrameworkError(f"several distributions offer framework {wanted.framework!r}; write {both}")
        missing = missing_requirements(candidates[0].spec.requires)
        if missing:
            raise FrameworkUnavailableError(f"framework {wanted.framework!r} {missing_reason(missing)}")
        return candidates[0]

    def statuses(self) -> list[FrameworkStatus]:
        """The frameworks table: every known or offered framework, once per distribution."""
        return framework_statuses(self.plugins())

    def _discover(self) -> tuple[PluginRecord, ...]:
        plugin_filter = self._filter or PluginFilter.from_environment()
        records = tuple(Discovery(plugin_filter).run(self._entry_points()))
        for record in records:
            if plugin_filter.strict and record.fault is not None:
                raise PluginError(_broken(record)) from record.fault.error
        return records

    def _after_fork(self) -> None:
        # Another thread of the parent may have held the lock; it does not exist in the child.
        self._lock = threading.RLock()
        self._discovering = False


def _broken(record: PluginRecord) -> str:
    return f"plugin {record.name!r} of {record.distribution} {record.version} is broken ({record.fault})"


_default_host = Host()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_default_host._after_fork)


def default_host() -> Host:
    """The host that the public functions use."""
    return _default_host
