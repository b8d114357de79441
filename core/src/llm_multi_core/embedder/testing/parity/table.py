"""The table of a run's comparisons in Markdown, and putting it into a page."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

from llm_multi_core.embedder.items import Modality
from llm_multi_core.embedder.testing.parity.results import ParityResult, ParityResults

MARKS = "<!-- parity -->", "<!-- /parity -->"
"""What stands before and behind the table in a page."""
_BETWEEN = re.compile(rf"^{MARKS[0]}\n.*?^{MARKS[1]}$", re.DOTALL | re.MULTILINE)
_MODALITIES = [str(modality) for modality in Modality]


def parity_table(found: ParityResults) -> str:
    """One row for each architecture of a framework, its variants together; then the libraries' versions."""
    groups: dict[tuple[int, str, str], list[ParityResult]] = {}
    for result in found.results:
        key = (_MODALITIES.index(result.modality), result.framework, result.architecture)
        groups.setdefault(key, []).append(result)
    lines = [
        "| embeds | framework | architecture | variants | lowest cosine | largest absolute error |",
        "|---|---|---|---|---|---|",
    ]
    for key in sorted(groups, key=lambda key: (*key[:2], key[2].casefold())):
        results = groups[key]
        variants = ", ".join(dict.fromkeys(result.variant for result in results if result.variant))
        cosine, error = _worst(results)
        lines.append(f"| {_MODALITIES[key[0]]} | `{key[1]}` | {key[2]} | {variants} | {cosine} | {error} |")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(found.versions.items()))
    return "\n".join([*lines, "", f"Compared with {versions}."])


def fill_table(page: Path, found: ParityResults) -> None:
    """Put the table of a run between the marks of a page.

    Raises:
        ValueError: if the page has no marks.
    """
    text = page.read_text(encoding="utf-8")
    table = f"{MARKS[0]}\n{parity_table(found)}\n{MARKS[1]}"
    filled, count = _BETWEEN.subn(lambda _: table, text)
    if count != 1:
        raise ValueError(f"{page} has {count} places for the table; write one, {MARKS[0]} and {MARKS[1]} on two lines")
    page.write_text(filled, encoding="utf-8")


def _worst(results: Iterable[ParityResult]) -> tuple[str, str]:
    """The lowest cosine, rounded down, and the largest error."""
    cosine = min(result.cosine for result in results)
    error = max(result.error for result in results)
    return f"{math.floor(cosine * 1e7) / 1e7:.7f}", f"{error:.1e}"
