"""The interpreter's long pause after libraries were imported, taken while a model is loaded and not during a call.

A model library leaves hundreds of thousands of objects. The garbage collector looks through all of them
once, soon after, and nothing else runs meanwhile: no thread, and no event loop.
"""

from __future__ import annotations

import gc
import sys
import threading

MANY_MODULES = 300
"""So many modules are a library of that size; fewer leave too little for anyone to notice."""

_lock = threading.Lock()
_seen = 0


def settle() -> bool:
    """Collect garbage now if large libraries were imported since the last time; whether that was so."""
    global _seen  # noqa: PLW0603 - of this process, like the collector
    with _lock:
        imported = len(sys.modules) - _seen
        if imported < MANY_MODULES:
            return False
        _seen += imported
    if gc.isenabled():  # whoever turned it off has reasons, and no pauses
        gc.collect()
    return True
