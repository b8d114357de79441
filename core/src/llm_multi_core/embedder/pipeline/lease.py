"""An embedder's hold on its encoder: taken at first use, once, and given back when it is closed or forgotten."""

from __future__ import annotations

import weakref
from typing import Any

from llm_multi_core.embedder.errors import ClosedError, InvalidOptionError
from llm_multi_core.embedder.items import Modality
from llm_multi_core.embedder.pipeline.pool import pool
from llm_multi_core.embedder.pipeline.resolution import Resolved, resolve
from llm_multi_core.embedder.settings import EmbedderSettings


class Lease:
    """The encoder that settings lead to, shared with all embedders of equal settings.

    Args:
        settings: the embedder's.
        modality: what it embeds.
    """

    def __init__(self, settings: EmbedderSettings, modality: Modality) -> None:
        self._settings = settings
        self._modality = modality
        self._resolved: Resolved | None = None
        self._closed = False
        self._finalizer: weakref.finalize[..., Any] | None = None

    @property
    def resolved(self) -> Resolved | None:
        """What was found out, if anything was yet."""
        return self._resolved

    @property
    def closed(self) -> bool:
        """Whether it was given back."""
        return self._closed

    def resolve(self) -> Resolved:
        """The encoder and its space; found out by the first call.

        Raises:
            ClosedError: after `close`.
            InvalidOptionError: if the model does not embed the modality, or its rows have no mean.
            UnsupportedDimensionsError: if the model cannot give the dimensions asked for.
            ModelLoadError: if there is no such model.
        """
        if self._closed:
            raise self._closed_error()
        resolved = self._resolved
        if resolved is None:
            resolved = resolve(self._settings, self._modality)
            if self._settings.truncation == "mean" and resolved.space.output != "dense":
                pool.release(resolved.handle)
                raise InvalidOptionError(f"truncation='mean' needs dense vectors; {resolved.space} has others")
            resolved = self._keep(resolved)
        return resolved

    def close(self) -> None:
        """Give the encoder back; the last one that does frees it. Closing twice is harmless."""
        with pool.lock:
            self._closed = True
            finalizer = self._finalizer
        if finalizer is not None:
            finalizer()

    def _keep(self, resolved: Resolved) -> Resolved:
        """Remember what was found out, unless another thread was faster, or closed it meanwhile."""
        with pool.lock:
            known, closed = self._resolved, self._closed
            if known is None and not closed:
                self._resolved = resolved
                self._finalizer = weakref.finalize(self, pool.release, resolved.handle)
                self._finalizer.atexit = False
                return resolved
        pool.release(resolved.handle)  # out of the lock, since it may close the encoder
        if closed or known is None:
            raise self._closed_error()
        return known

    def _closed_error(self) -> ClosedError:
        settings = self._settings
        return ClosedError(
            f"the {self._modality} embedder of framework {settings.offer.spec.name!r}, model {settings.model!r}, was "
            "closed"
        )
