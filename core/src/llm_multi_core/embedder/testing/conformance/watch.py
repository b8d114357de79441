"""Seeing what files and hosts a piece of code reaches for, by the interpreter's audit events."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_EVENTS = frozenset(
    {
        "open",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "subprocess.Popen",
        "urllib.Request",
    }
)
_IMPORTED = (".py", ".pyc", ".pth", ".so", ".pyd", ".dylib")
_watchers: list[tuple[list[str], int | None]] = []
_installed: list[bool] = []


@contextmanager
def watch_io(*, any_thread: bool = False) -> Iterator[list[str]]:
    """Collects what is opened, connected to or started in the block.

    Args:
        any_thread: whether to watch all threads, not just this one.

    Yields:
        A list that fills up with `"event argument"`. Imports are left out.
    """
    if not _installed:  # an audit hook cannot be taken out again, so there is one
        sys.addaudithook(_note)
        _installed.append(True)
    seen: list[str] = []
    _watchers.append((seen, None if any_thread else threading.get_ident()))
    try:
        yield seen
    finally:
        _watchers[:] = [entry for entry in _watchers if entry[0] is not seen]


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watchers or event not in _EVENTS:
        return
    place = 1 if event == "socket.connect" else 0
    subject = arguments[place] if len(arguments) > place else ""
    if isinstance(subject, bytes):
        subject = subject.decode(errors="replace")
    # An integer is a file that is open already.
    if isinstance(subject, int) or (event == "open" and str(subject).endswith(_IMPORTED)):
        return
    for seen, thread in _watchers:
        if thread in {None, threading.get_ident()}:
            seen.append(f"{event} {subject}")
