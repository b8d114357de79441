"""The libraries that media inputs need, which are optional: asked for when first used."""

from __future__ import annotations

from typing import Literal

from llm_multi_core.embedder import libraries


def require(module: str, extra: Literal["image", "audio", "pdf"]) -> None:
    """Import a library, so that what follows can.

    Raises:
        FrameworkUnavailableError: if it is missing or cannot be loaded, with the line that installs it.
    """
    kind = {"image": "images", "audio": "audio", "pdf": "PDFs"}[extra]
    libraries.require(module, extra, f"{kind} cannot be read")
