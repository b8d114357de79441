"""Loading with transformers' `from_pretrained`: one model at a time, quietly, with errors that help."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from llm_multi_core.embedder import EmbedderError, ModelLoadError, UntrustedCodeError


class _Turns:
    """Whose turn it is to load.

    Loading sets state of the whole process: transformers the default type of tensors, this module the
    verbosity and the bars. A forked child starts without a turn that another thread had taken.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self.lock = threading.Lock()


_turns = _Turns()


@contextmanager
def loading_pretrained(label: str, *, reports: bool = True) -> Iterator[None]:
    """Within it, one model or part of a model is loaded with transformers.

    Args:
        label: the model's name, for messages.
        reports: whether transformers may tell of weights that are missing or left over.

    Raises:
        UntrustedCodeError: if the model needs code of its own to be run, and that is not allowed.
        ModelLoadError: if it cannot be loaded.
    """
    try:
        with _turns.lock, _quietly(reports=reports):
            yield
    except EmbedderError:
        raise
    except Exception as error:
        raise _explained(label, error) from error


def _explained(label: str, error: Exception) -> ModelLoadError:
    reason = next((line for line in str(error).splitlines() if line.strip()), "no reason given").strip()
    if "trust_remote_code" in str(error):
        return UntrustedCodeError(
            f"model {label!r} brings code of its own. Read it, and pass trust_remote_code=True to run it, best with "
            "revision= fixed to the commit that you read"
        )
    return ModelLoadError(f"model {label!r} could not be loaded ({type(error).__name__}: {reason})")


@contextmanager
def _quietly(*, reports: bool) -> Iterator[None]:
    """Keep transformers from drawing bars, unless its user raised its verbosity or asked the hub for bars."""
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    is_raised = verbosity <= logging.INFO
    bars = (
        transformers_logging.is_progress_bar_enabled()
        and not is_raised
        and constants.HF_HUB_DISABLE_PROGRESS_BARS is not False
    )
    hub_was_quiet = are_progress_bars_disabled()
    if not reports and not is_raised:
        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    if bars:
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call] # enables the hub's as well
        if bars and hub_was_quiet:
            disable_progress_bars()
