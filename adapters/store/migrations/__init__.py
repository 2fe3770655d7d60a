"""Schema migrations of the store: one file a step in `versions/`, applied by `migrate` at start-up."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from domain.errors import DependencyLied

HEAD = "0011"
"""The newest revision. Kept here so that an up-to-date database is recognised without loading the migration library."""

_OTHER = "Install the Evercrew that made it, or name another database in store_url"
_LOCK = 7_031_452_118  # any constant: the key of the advisory lock that keeps two starting processes apart


def current_revision(connection: Connection) -> str | None:
    """Return the revision the database is at, or None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def migrate(connection: Connection) -> None:
    """Bring the database up to `HEAD` inside the caller's transaction; does nothing when it is there.

    Raises:
        DependencyLied: the database is at a revision that this version does not know.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    found = current_revision(connection)
    if found == HEAD:
        return
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    if found is not None and found not in {known.revision for known in script.walk_revisions()}:
        raise DependencyLied("store", f"its schema {found} is of another version, ours is {HEAD}", _OTHER)
    with EnvironmentContext(config, script, fn=lambda revision, _context: script._upgrade_revs(HEAD, revision)) as env:
        env.configure(connection=connection, transactional_ddl=True)
        env.run_migrations()
