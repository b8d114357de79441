"""The frameworks table: every framework that is known or offered, and how it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from packaging.utils import canonicalize_name

from llm_multi_core.embedder.credentials import Credentials
from llm_multi_core.embedder.frameworks import Offer
from llm_multi_core.embedder.host.absence import missing_reason, not_offered_reason
from llm_multi_core.embedder.host.availability import missing_requirements
from llm_multi_core.embedder.host.discovery import PluginRecord
from llm_multi_core.embedder.host.known import KNOWN_FRAMEWORKS
from llm_multi_core.embedder.items import Modality


@dataclass(frozen=True, slots=True)
class FrameworkStatus:
    """One line of the frameworks table.

    Attributes:
        name: the framework.
        modalities: what it embeds; empty where only its broken or disabled plugin knows.
        distribution: the plugin that offers it, or would.
        version: the plugin's version, `None` if it is not installed.
        status: `"available"`, `"missing"` (a requirement is not met, or the installed plugin is too
            old to offer it), `"ambiguous"` (two distributions offer the name), `"broken"`,
            `"disabled"`, or `"not installed"`.
        reason: why it is not available and what to do; for an available one, that its key is not set.
        hosted: whether inputs leave this machine.
        key_present: whether the environment has its key; `None` if it needs none, or if the
            provider's own chain may have one.
        summary: the plugin's one line about it.
        embeds: whether it embeds its modalities; otherwise it puts them into words, for others to embed.
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
    embeds: bool = True


def framework_statuses(records: Sequence[PluginRecord]) -> list[FrameworkStatus]:
    """Every framework once per distribution: the project's own in their order, then the others."""
    offers = [offer for record in records for offer in record.offers]
    rows = [_offered(offer, offers) for offer in offers]
    rows += _set_aside(records, rows)
    rows += _absent(records, rows)
    order = {known.name: place for place, known in enumerate(KNOWN_FRAMEWORKS)}
    return sorted(rows, key=lambda row: (order.get(row.name, len(order)), row.name, row.distribution))


def _offered(offer: Offer, offers: Iterable[Offer]) -> FrameworkStatus:
    spec = offer.spec
    rivals = [
        other.qualified_name
        for other in offers
        if other.spec.name == spec.name
        and other.distribution != offer.distribution
        and set(other.spec.modalities) & set(spec.modalities)
    ]
    key_present = _key_present(spec.credentials)
    status: Literal["available", "missing", "ambiguous"] = "available"
    reason = ""
    if missing := missing_requirements(spec.requires):
        status, reason = "missing", missing_reason(missing)
    elif rivals:
        status, reason = "ambiguous", f"also offered as {', '.join(rivals)}; write {offer.qualified_name!r}"
    elif key_present is False and spec.credentials is not None:
        reason = f"needs a key: set {' or '.join(spec.credentials.variables)}"
    return FrameworkStatus(
        name=spec.name,
        modalities=spec.modalities,
        distribution=offer.distribution,
        version=offer.version,
        status=status,
        reason=reason,
        hosted=spec.hosted,
        key_present=key_present,
        summary=spec.summary,
        embeds=bool(spec.target),
    )


def _key_present(credentials: Credentials | None) -> bool | None:
    if credentials is None:
        return None
    found = credentials.find() is not None
    return None if credentials.chain is not None and not found else found


def _set_aside(records: Iterable[PluginRecord], offered: Iterable[FrameworkStatus]) -> Iterator[FrameworkStatus]:
    """What broken and disabled plugins would offer, as far as it is known beforehand."""
    listed = {(row.name, row.distribution) for row in offered}
    for record in records:
        if record.status == "active":
            continue
        if record.fault is not None:
            reason = f"failed at {record.fault}"
        else:
            reason = f"excluded by the environment variable {record.disabled_by}"
        known = [(k.name, k.modalities, k.embeds) for k in KNOWN_FRAMEWORKS if k.distribution == record.distribution]
        for name, modalities, embeds in known or [(canonicalize_name(record.name), (), True)]:
            if (name, record.distribution) not in listed:
                listed.add((name, record.distribution))
                yield FrameworkStatus(
                    name, modalities, record.distribution, record.version, record.status, reason, embeds=embeds
                )


def _absent(records: Sequence[PluginRecord], listed: Iterable[FrameworkStatus]) -> Iterator[FrameworkStatus]:
    """The project's own frameworks that nobody offers, for the modalities for which nobody does."""
    covered = {(row.name, modality) for row in listed for modality in row.modalities}
    versions = {record.distribution: record.version for record in records}
    for known in KNOWN_FRAMEWORKS:
        modalities = tuple(modality for modality in known.modalities if (known.name, modality) not in covered)
        if modalities:
            version = versions.get(known.distribution)
            yield FrameworkStatus(
                name=known.name,
                modalities=modalities,
                distribution=known.distribution,
                version=version,
                status="not installed" if version is None else "missing",
                reason=f"install with: {known.install}" if version is None else not_offered_reason(known, records),
                embeds=known.embeds,
            )
