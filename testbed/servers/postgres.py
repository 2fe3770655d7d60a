"""A PostgreSQL for a bench: a fresh database on the server that is named, or on one of its own, with its flushes on."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from testbed.servers.base import ServerError

_PLACES = Path("/usr/lib/postgresql")


@contextmanager
def fresh_database(server: str | None) -> Iterator[str]:
    """Give the URL of a new database, on `server` or on one started here, and drop it afterwards.

    Raises:
        ServerError: there is no server, and none can be started.
    """
    if server is None:
        with own_server() as started, fresh_database(started) as url:
            yield url
        return
    try:
        base = make_url(server)
    except ArgumentError as error:
        raise ServerError("--postgres is no address of a database: postgresql://user@host/name") from error
    plain = base.set(drivername="postgresql").render_as_string(hide_password=False)
    name = f"evercrew_bench_{secrets.token_hex(4)}"
    _run(plain, f"CREATE DATABASE {name}")
    try:
        yield base.set(database=name).render_as_string(hide_password=False)
    finally:
        _run(plain, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def own_server() -> Iterator[str]:
    """Run a server on a socket of its own, and give its URL.

    Raises:
        ServerError: its programs are not installed, or do not run.
    """
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="ec-pg-"))
    user = "nobody" if os.getuid() == 0 else None  # the server refuses to run as root
    if user:
        shutil.chown(folder, user)
    data, control = folder / "data", str(programs / "pg_ctl")

    def run(*command: str) -> None:
        done = subprocess.run(command, user=user, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise ServerError(f"PostgreSQL does not run here; name a server: {done.stderr.strip()[-300:]}")

    try:
        run(str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "evercrew", "-N", "-E", "UTF8")
        options = f"-k {folder} -c listen_addresses='' -c max_connections=200 -c shared_buffers=128MB"
        run(control, "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")
        yield f"postgresql://evercrew@/postgres?host={folder}"
    finally:
        subprocess.run(
            [control, "-D", str(data), "-m", "immediate", "stop"],
            user=user,
            cwd=folder,
            capture_output=True,
            check=False,
        )
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else sorted(_PLACES.glob("*/bin"), reverse=True)
    programs = next((place for place in places if (place / "pg_ctl").exists()), None)
    if programs is None:
        raise ServerError("PostgreSQL is not installed (apt install postgresql): name a server with --postgres")
    return programs


def _run(url: str, statement: str) -> None:
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement.encode())
    except psycopg.Error as error:
        raise ServerError(f"the server of --postgres cannot be used: {str(error).strip()}") from error
