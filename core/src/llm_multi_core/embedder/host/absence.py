"""Why a framework that was asked for is not there, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn, Self

from packaging.utils import canonicalize_name

from llm_multi_core.embedder.errors import FrameworkUnavailableError, PluginError, UnknownFrameworkError
from llm_multi_core.embedder.frameworks import Offer, nearest
from llm_multi_core.embedder.host.availability import MissingRequirement, install_command
from llm_multi_core.embedder.host.discovery import PluginRecord
from llm_multi_core.embedder.host.known import KNOWN_FRAMEWORKS, KnownFramework, known_framework
from llm_multi_core.embedder.items import Modality


@dataclass(frozen=True, slots=True)
class FrameworkName:
    """A framework's name as the user wrote it, taken apart.

    Attributes:
        given: what was written.
        framework: the name, in the form that frameworks are declared in.
        distribution: the distribution where `distribution/framework` was written.
    """

    given: str
    framework: str
    distribution: str | None

    @classmethod
    def parse(cls, given: str) -> Self:
        """`"A_Dist/My_Name"` is framework `my-name` of `a-dist`."""
        distribution, _, name = given.rpartition("/")
        return cls(
            given, name.strip().lower().replace("_", "-"), canonicalize_name(distribution) if distribution else None
        )

    def fits(self, offer: Offer) -> bool:
        """Whether this names the offer."""
        return offer.spec.name == self.framework and self.distribution in {None, offer.distribution}


def missing_reason(missing: Sequence[MissingRequirement]) -> str:
    """What a framework needs, and the line that installs it."""
    needs = ", ".join(str(entry) for entry in missing)
    return f"needs {needs}; install with: {install_command(missing)}"


def not_offered_reason(known: KnownFramework, records: Sequence[PluginRecord]) -> str:
    """What to install for a framework of the project's own that nobody offers."""
    installed = next((record for record in records if record.distribution == known.distribution), None)
    if installed is None:
        return f"is not installed; install with: {known.install}"
    return f"is not in the installed {installed.distribution} {installed.version}; upgrade with: {known.upgrade}"


def explain_absence(name: FrameworkName, modality: Modality, records: Sequence[PluginRecord]) -> NoReturn:
    """Raise what tells the user why no working plugin offers this framework for this modality.

    Raises:
        PluginError: the plugin that offers it, as far as can be told, is broken.
        FrameworkUnavailableError: it is excluded by the environment, or not installed.
        UnknownFrameworkError: there is no such framework, or not for this modality.
    """
    known = known_framework(name.framework, modality)
    if known is not None and name.distribution not in {None, known.distribution}:
        known = None
    _explain_set_aside(name, known, records)
    offers = [offer for record in records for offer in record.offers]
    same_name = [offer for offer in offers if offer.spec.name == name.framework and modality in offer.spec.modalities]
    if same_name:
        qualified = " or ".join(repr(offer.qualified_name) for offer in same_name)
        raise UnknownFrameworkError(
            f"no distribution offers {name.given!r}; write {qualified}, or just {name.framework!r}"
        )
    if known is not None:
        raise FrameworkUnavailableError(f"framework {known.name!r} {not_offered_reason(known, records)}")
    names = {offer.spec.name for offer in offers if modality in offer.spec.modalities and offer.spec.target}
    names.update(entry.name for entry in KNOWN_FRAMEWORKS if modality in entry.modalities and entry.embeds)
    listed = ", ".join(sorted(names)) or "none"
    namesakes = [entry for entry in KNOWN_FRAMEWORKS if entry.name == name.framework]
    fitting = [offer.spec for offer in offers if name.fits(offer)]
    served = {m for spec in fitting for m in spec.modalities} | {m for entry in namesakes for m in entry.modalities}
    if served and modality not in served:
        embeds = any(spec.target for spec in fitting) or any(entry.embeds for entry in namesakes)
        raise UnknownFrameworkError(
            f"framework {name.framework!r} {'embeds' if embeds else 'describes'} {' and '.join(sorted(served))}, not "
            f"{modality}; frameworks for {modality}: {listed}"
        )
    every = [*(entry.name for entry in KNOWN_FRAMEWORKS), *(offer.spec.name for offer in offers)]
    hint = nearest(name.framework, names) or nearest(name.framework, every)
    broken = ", ".join(f"{record.name!r} of {record.distribution}" for record in records if record.fault is not None)
    note = f" (set aside as broken, and perhaps what offers it: plugin {broken})" if broken else ""
    raise UnknownFrameworkError(f"no framework {name.given!r} for {modality}{hint}; there are: {listed}{note}")


def _explain_set_aside(name: FrameworkName, known: KnownFramework | None, records: Sequence[PluginRecord]) -> None:
    """Raise if a broken or disabled plugin is the one that would offer the framework.

    What such a plugin offers is not known. It is taken for the one if the user named its
    distribution, if the framework is known to come with it, or if it is called like the framework.
    """
    for record in records:
        if record.status == "active":
            continue
        if name.distribution is not None:
            meant = record.distribution == name.distribution
        else:
            meant = canonicalize_name(record.name) == name.framework or (
                known is not None and known.distribution == record.distribution
            )
        if meant and record.fault is not None:
            raise PluginError(
                f"framework {name.framework!r} cannot be used: its plugin in {record.distribution} {record.version} "
                f"is broken ({record.fault})"
            ) from record.fault.error
        if meant:
            raise FrameworkUnavailableError(
                f"framework {name.framework!r} is disabled: the environment variable {record.disabled_by} excludes "
                f"{record.distribution}"
            )
