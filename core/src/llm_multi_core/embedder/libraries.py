"""Libraries that the core does without: asked for when first used, with the line that installs them."""

from __future__ import annotations

from importlib import import_module

from llm_multi_core.embedder.errors import FrameworkUnavailableError


def require(module: str, extra: str, purpose: str) -> None:
    """Import a library, so that what follows can.

    Args:
        module: the module to import.
        extra: the extra of `llm-multi-core` that installs it.
        purpose: what is impossible without it, such as `"images cannot be read"`.

    Raises:
        FrameworkUnavailableError: if it is missing or cannot be loaded, with the line that installs it.
    """
    try:
        import_module(module)
    except (ImportError, OSError) as error:  # OSError where a library's shared objects are missing
        raise FrameworkUnavailableError(
            f'{purpose} without {module} ({error}); install with: pip install "llm-multi-core[{extra}]"'
        ) from error
