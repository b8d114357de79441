"""Where the state of a provider's rate limits lies: in this process, or in a file that processes share."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from llm_multi_core.embedder.errors import InvalidOptionError

if TYPE_CHECKING:
    from llm_multi_core.embedder.pipeline.pacing import PaceState

T = TypeVar("T")

_LOCK_SECONDS = 10.0


class RateStore(Protocol):
    """Keeps one state."""

    async def change(self, fresh: PaceState, change: Callable[[PaceState, float], T]) -> T:
        """Apply a change to the state, or to `fresh` where there is none yet; nothing comes between.

        Args:
            fresh: the state to begin with.
            change: changes the state in place; is told the time in seconds by the store's clock.

        Returns:
            what `change` returns.
        """


class MemoryStore:
    """In this process; used on one loop only."""

    def __init__(self) -> None:
        self._state: PaceState | None = None

    async def change(self, fresh: PaceState, change: Callable[[PaceState, float], T]) -> T:
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
        InvalidOptionError: if it cannot be opened, or is another kind of file; also while it is used.
    """

    def __init__(self, path: str, name: str) -> None:
        self._path, self._name = Path(path).expanduser(), name
        try:
            with closing(self._connect()) as connection, connection:
                connection.execute("CREATE TABLE IF NOT EXISTS pace (name TEXT PRIMARY KEY, state TEXT NOT NULL)")
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None

    async def change(self, fresh: PaceState, change: Callable[[PaceState, float], T]) -> T:
        """Apply a change in one transaction, in a thread, since another process may hold the file."""
        from llm_multi_core.embedder.pipeline.runtime import runtime

        return await runtime.in_thread(self._change, fresh, change)

    def _change(self, fresh: PaceState, change: Callable[[PaceState, float], T]) -> T:
        try:
            with closing(self._connect()) as connection, connection:
                connection.execute("BEGIN IMMEDIATE")
                row = connection.execute("SELECT state FROM pace WHERE name = ?", (self._name,)).fetchone()
                state = self._state_of(row[0] if row else None, fresh)
                result = change(state, time.time())  # the clock of the wall is the one that processes share
                text = json.dumps(state.to_dict())
                connection.execute("INSERT OR REPLACE INTO pace (name, state) VALUES (?, ?)", (self._name, text))
                return result
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None

    @staticmethod
    def _state_of(text: str | None, fresh: PaceState) -> PaceState:
        """The state that was kept, else a copy of `fresh`; also where another version kept something else."""
        if text is not None:
            try:
                return type(fresh).from_dict(json.loads(text))
            except (TypeError, ValueError, KeyError):
                return type(fresh).from_dict(fresh.to_dict())
        return type(fresh).from_dict(fresh.to_dict())

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=_LOCK_SECONDS, isolation_level=None)

    def _unusable(self, error: Exception) -> InvalidOptionError:
        return InvalidOptionError(f"rate_store={str(self._path)!r} cannot be used as a store of rate limits ({error})")
