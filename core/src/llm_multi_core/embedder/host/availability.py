"""Whether a framework's requirements are installed, decided from metadata: nothing is imported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement


@dataclass(frozen=True, slots=True)
class MissingRequirement:
    """A requirement that is not met; `installed` is the version found, or `None`."""

    requirement: str
    installed: str | None = None

    def __str__(self) -> str:
        return f"{self.requirement} ({'not installed' if self.installed is None else f'{self.installed} is installed'})"


def missing_requirements(requires: Iterable[str]) -> tuple[MissingRequirement, ...]:
    """Those of the PEP 508 strings that this environment does not meet, in order.

    Raises:
        packaging.requirements.InvalidRequirement: for a string that is not PEP 508.
    """
    missing = []
    for text in requires:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            missing.append(MissingRequirement(text))
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            missing.append(MissingRequirement(text, version))
    return tuple(missing)


def install_command(missing: Iterable[MissingRequirement]) -> str:
    """The `pip install` line that would meet them."""
    return "pip install " + " ".join(f'"{entry.requirement}"' for entry in missing)
