"""The database of workflows as a SQLite file: one process at a time, in WAL."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Engine, create_engine, event

from domain.errors import ConflictError, DependencyUnavailable


def locked(path: Path, *, field: str) -> IO[str]:
    """Return the lock file beside the database, locked until it is closed.

    Raises:
        ConflictError: another process has it.
        DependencyUnavailable: the folder cannot be used; `field` is where its place is configured.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = Path(f"{path}.lock").open("w", encoding="utf-8")  # noqa: SIM115 - held until the caller closes it
        # lockf, not flock: the lock must not be inherited by a forked worker that outlives us.
        fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConflictError(f"another process runs the workflows in {path}: stop it first") from error
    except OSError as error:
        remedy = f"Mend {field}, or make the folder of `state` writable"
        raise DependencyUnavailable("workflow", f"{path} cannot be used: {error}", remedy) from error
    return held


def wal_engine(url: str) -> Engine:
    """Return an engine as DBOS prepares its own, with the write-ahead log on top.

    That is half the time a step, and no stalls under load.
    """
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        connection.execute("PRAGMA busy_timeout=30000")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    return engine
