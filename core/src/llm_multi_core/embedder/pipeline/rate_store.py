"""Where the state of a provider's rate limits lies: in this process, or in a file that processes share."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from llm_multi_core.embedder.errors import InvalidOptionError

if TYPE_CHECKING:
    from llm_multi_core.embedder.pipeline.pacing import PaceState

Change = Callable[["PaceState", float], float]
"""Changes a state at a time, given in seconds, and returns seconds to wait."""

_LOCK_SECONDS = 10.0


class RateStore(Protocol):
    """Keeps one state."""

    async def change(self, fresh: PaceState, change: Change) -> float:
        """Apply a change to the state, or to `fresh` where there is none yet, alone; what it returns."""


class MemoryStore:
    """In this process; used on one loop only."""

    def __init__(self) -> None:
        self._state: PaceState | None = None

    async def change(self, fresh: PaceState, change: Change) -> float:
        """Apply a change."""
        if self._state is None:
            self._state = fresh
        return change(self._state, time.monotonic())


class FileStore:
    """In an SQLite file, for processes of one machine that use one account.

    Args:
        path: the file; made where there is none.
        name: of the account and model in it.

    Raises:
        InvalidOptionError: if it cannot be opened, or is another kind of file.
    """

    def __init__(self, path: str, name: str) -> None:
        self._path, self._name = Path(path).expanduser(), name
        try:
            with closing(self._connect()) as connection, connection:
                connection.execute("CREATE TABLE IF NOT EXISTS pace (name TEXT PRIMARY KEY, state TEXT NOT NULL)")
        except (sqlite3.Error, OSError) as error:
            raise InvalidOptionError(
                f"rate_store={path!r} cannot be used as a store of rate limits ({error})"
            ) from None

    async def change(self, fresh: PaceState, change: Change) -> float:
        """Apply a change in one transaction, in a thread, since another process may hold the file."""
        from llm_multi_core.embedder.pipeline.runtime import runtime

        return await runtime.in_thread(self._change, fresh, change)

    def _change(self, fresh: PaceState, change: Change) -> float:
        with closing(self._connect()) as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            row = connection.execute("SELECT state FROM pace WHERE name = ?", (self._name,)).fetchone()
            kind = type(fresh)
            # The clock of the wall is the one that processes share.
            state = kind.from_dict(json.loads(row[0]) if row else fresh.to_dict())
            result = change(state, time.time())
            text = json.dumps(state.to_dict())
            connection.execute("INSERT OR REPLACE INTO pace (name, state) VALUES (?, ?)", (self._name, text))
            return result

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=_LOCK_SECONDS, isolation_level=None)
