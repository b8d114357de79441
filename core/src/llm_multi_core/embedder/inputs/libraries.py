"""The libraries that media inputs need, which are optional: asked for when first used."""

from __future__ import annotations

from importlib import import_module
from typing import Literal

from llm_multi_core.embedder.errors import FrameworkUnavailableError


def require(module: str, extra: Literal["image", "audio", "pdf"]) -> None:
    """Import a library, so that what follows can.

    Raises:
        FrameworkUnavailableError: if it is missing or cannot be loaded, with the line that installs it.
    """
    try:
        import_module(module)
    except (ImportError, OSError) as error:  # soundfile raises OSError where its shared library is missing
        kind = {"image": "images", "audio": "audio", "pdf": "PDFs"}[extra]
        raise FrameworkUnavailableError(
            f'{kind} cannot be read without {module} ({error}); install with: pip install "llm-multi-core[{extra}]"'
        ) from error
