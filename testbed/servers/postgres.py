"""A PostgreSQL server on a Unix socket of its own, and fresh databases on it or on a server that is named.

It refuses to run as root; then it runs as `nobody`. The path of a socket is short by nature, so it stands in a
temporary folder.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from testbed.servers.base import ServerError

PACKAGE = "postgresql"
USER = "evercrew"
PORT = 5432


def programs() -> Path | None:
    """Return the folder of the server's programs, None where it is not installed."""
    found = shutil.which("initdb")
    known = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in known if (place / "pg_ctl").exists()), None)


class Postgres:
    """Runs while it is entered.

    `socket` is where a proxy can connect to; with `folder` it is one that runs already. Without `flushes` a commit is
    not on disk when it returns: right for tests, wrong for measuring.

    Raises:
        ServerError: it is not installed, or does not start; shows why.
    """

    def __init__(self, folder: Path | None = None, *, flushes: bool = False) -> None:
        found = programs()
        if found is None:
            raise ServerError(
                f"PostgreSQL is not installed: apt-get install {PACKAGE}, or name a server with --postgres"
            )
        self._programs = found
        self._user = "nobody" if os.getuid() == 0 else None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="ec-pg-"))
        shared = "-c shared_buffers=128MB -c max_connections=200"
        access = "-c listen_addresses='' -c unix_socket_permissions=0777"
        self._options = f"-k {self.folder} {access} {shared} -c fsync={'on' if flushes else 'off'}"

    def __enter__(self) -> Self:
        if self._user:
            shutil.chown(self.folder, self._user)
        self.folder.chmod(0o755)
        try:
            self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", USER, "-N", "-E", "UTF8")
            self._control("-w", "-o", self._options, "start")
        except ServerError:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def socket(self) -> Path:
        """The Unix socket it listens on."""
        return self.folder / f".s.PGSQL.{PORT}"

    def database(self, name: str, template: str = "template1") -> str:
        """Make a database, a copy of `template`, and return its name."""
        self._run("createdb", "-h", str(self.folder), "-U", USER, "-T", template, name)
        return name

    def url(self, database: str) -> str:
        """Return the address of a database, by the socket."""
        return f"postgresql://{USER}@/{database}?host={self.folder}"

    def restart(self) -> None:
        """Let it die with everything open, and come back; returns once it answers."""
        self._control("-w", "-m", "immediate", "-o", self._options, "restart")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _stop(self) -> None:
        subprocess.run(
            [str(self._programs / "pg_ctl"), "-D", str(self._data), "-m", "immediate", "stop"],
            user=self._user,
            cwd=self.folder,
            capture_output=True,
            check=False,
        )
        shutil.rmtree(self.folder, ignore_errors=True)

    def _control(self, *words: str) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-l", str(self.folder / "log"), *words)

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *words],
            user=self._user,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        if done.returncode:
            raise ServerError(f"{program}: {done.stderr.strip()[-500:]}")


@contextmanager
def own_server() -> Iterator[str]:
    """Run a server for a bench, with its flushes on, and give its URL.

    Raises:
        ServerError: its programs are not installed, or do not run.
    """
    with Postgres(flushes=True) as server:
        yield server.url("postgres")


@contextmanager
def fresh_database(server: str | None) -> Iterator[str]:
    """Give the URL of a new database, on `server` or on one started here, and drop it afterwards.

    Raises:
        ServerError: there is no server, and none can be started.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

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
    execute(plain, f"CREATE DATABASE {name}")
    try:
        yield base.set(database=name).render_as_string(hide_password=False)
    finally:
        execute(plain, f"DROP DATABASE {name} WITH (FORCE)")


def execute(url: str, statement: str) -> None:
    """Run one statement outside of a transaction.

    Raises:
        ServerError: the server cannot be used.
    """
    import psycopg

    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement.encode())
    except psycopg.Error as error:
        raise ServerError(f"the server of --postgres cannot be used: {str(error).strip()}") from error
