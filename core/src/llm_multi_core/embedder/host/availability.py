"""Whether a framework's requirements are installed, decided from metadata: nothing is imported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement
from packaging.version import InvalidVersion


@dataclass(frozen=True, slots=True)
class MissingRequirement:
    """A requirement that is not met; `installed` is the version found, or `None`."""

    requirement: str
    installed: str | None = None

    def __str__(self) -> str:
        return f"{self.requirement} ({'not installed' if self.installed is None else f'{self.installed} is installed'})"


def missing_requirements(requires: Iterable[str]) -> tuple[MissingRequirement, ...]:
    """Those of the PEP 508 strings that this environment does not meet, in order.

    An extra in a requirement is not looked into: a plugin names the distribution that it brings.

    Raises:
        packaging.requirements.InvalidRequirement: for a string that is not PEP 508.
    """
    missing = []
    for text in requires:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        version = _installed_version(requirement.name)
        if version is None or not _meets(version, requirement):
            missing.append(MissingRequirement(text, version))
    return tuple(missing)


def install_command(missing: Iterable[MissingRequirement]) -> str:
    """The `pip install` line that would meet them."""
    return "pip install " + " ".join(f'"{entry.requirement}"' for entry in missing)


def _installed_version(name: str) -> str | None:
    try:
        # An interrupted removal leaves a folder without METADATA, for which some Pythons give None.
        return metadata.version(name) or None
    except Exception:  # noqa: BLE001 - and the others raise errors that differ between them
        return None


def _meets(version: str, requirement: Requirement) -> bool:
    if not requirement.specifier:
        return True
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return False
