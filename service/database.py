"""The database of our own tables, and the store on it; light, for commands that build nothing else."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from adapters.store.base import StorePort
from service.config import Config

if TYPE_CHECKING:
    from adapters.database import Database


def database_of(config: Config, closing: ExitStack) -> Database:
    """Return the database of our own tables."""
    from adapters.database import Database

    database = Database(config.store_url or f"sqlite:///{config.state}/evercrew.db")
    closing.callback(database.close)
    return database


def store_of(database: Database) -> StorePort:
    """Return the store in the database of our own tables."""
    from adapters.store.sqlalchemy import SqlStore

    return SqlStore(database)
