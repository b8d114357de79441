"""What comparisons with libraries found, and the file that keeps it. Nothing is compared here."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class ParityResult:
    """One comparison of an embedder with its library.

    Attributes:
        test: the node id of the test that made it.
        modality, framework, architecture: what was compared.
        variant: what else was chosen, such as a pooling; empty if there is nothing to tell apart.
        inputs: how many inputs were embedded.
        cosine: the lowest cosine of an embedder's vector and the library's.
        error: the largest absolute difference of a component, as a share of the vector's length.
        control: the lowest cosine of two different inputs: how far apart vectors could have been.
    """

    test: str
    modality: str
    framework: str
    architecture: str
    variant: str
    inputs: int
    cosine: float
    error: float
    control: float


@dataclass(slots=True)
class ParityResults:
    """All comparisons of a run.

    Attributes:
        results: in the order in which they were made.
        versions: of the distributions that the compared frameworks ask for.
    """

    results: list[ParityResult] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write a JSON file, with one comparison on a line."""
        lines = ",\n".join(f"    {json.dumps(asdict(result), ensure_ascii=False)}" for result in self.results)
        versions = json.dumps(dict(sorted(self.versions.items())))
        path.write_text(f'{{\n  "versions": {versions},\n  "results": [\n{lines}\n  ]\n}}\n', encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls([ParityResult(**entry) for entry in content["results"]], content["versions"])
