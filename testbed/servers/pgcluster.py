"""A PostgreSQL server on a Unix socket of its own: databases on demand, and restarts as sudden as a power cut.

It refuses to run as root; then it runs as `nobody`. The path of a socket is short by nature, so it stands in a
temporary folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from testbed.servers.base import ServerError

PACKAGE = "postgresql"
USER = "evercrew"
PORT = 5432
_OPTIONS = "-c listen_addresses='' -c fsync=off -c max_connections=100 -c unix_socket_permissions=0777"


def programs() -> Path | None:
    """Return the folder of the server's programs, None where it is not installed."""
    found = shutil.which("initdb")
    known = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in known if (place / "pg_ctl").exists()), None)


class Postgres:
    """Runs while it is entered. `socket` is where a proxy can connect to; with `folder` it is one that runs already.

    Raises:
        ServerError: it is not installed, or does not start; shows why.
    """

    def __init__(self, folder: Path | None = None) -> None:
        found = programs()
        if found is None:
            raise ServerError(f"initdb is not installed: apt-get install {PACKAGE}")
        self._programs = found
        self._user = "nobody" if os.getuid() == 0 else None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="ec-pg-"))

    def __enter__(self) -> Self:
        if self._user:
            shutil.chown(self.folder, self._user)
        self.folder.chmod(0o755)
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", USER, "-N", "-E", "UTF8")
        self._control("-w", "-o", f"-k {self.folder} {_OPTIONS}", "start")
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(
            [str(self._programs / "pg_ctl"), "-D", str(self._data), "-m", "immediate", "stop"],
            user=self._user,
            cwd=self.folder,
            capture_output=True,
            check=False,
        )
        shutil.rmtree(self.folder, ignore_errors=True)

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
        self._control("-w", "-m", "immediate", "-o", f"-k {self.folder} {_OPTIONS}", "restart")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _control(self, *words: str) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-l", str(self.folder / "log"), *words)

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *words],
            user=self._user,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise ServerError(f"{program}: {done.stderr.strip()[-500:]}")
