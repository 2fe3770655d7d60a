"""A PostgreSQL server of our own, where its programs are installed; tests that need it are skipped, visibly, where
not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _programs() -> Path | None:
    found = shutil.which("initdb")
    places = (
        [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    )
    return next((place for place in places if (place / "pg_ctl").exists()), None)


@contextmanager
def server() -> Iterator[Callable[[], str]]:
    """Run a server on a socket of its own and give a maker of URLs, a fresh database each."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed")
    # The path of a socket is short by nature, so not below pytest's own folder.
    folder = Path(tempfile.mkdtemp(prefix="ec-pg-"))
    user = "nobody" if os.getuid() == 0 else None  # the server refuses to run as root
    if user:
        shutil.chown(folder, user)

    def run(*command: str) -> None:
        done = subprocess.run(command, user=user, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            pytest.skip(f"PostgreSQL does not run here: {done.stderr.strip()[-300:]}")

    data = folder / "data"
    control = str(programs / "pg_ctl")
    run(str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "evercrew", "-N", "-E", "UTF8")
    options = f"-k {folder} -c listen_addresses='' -c fsync=off -c max_connections=50"
    run(control, "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")

    def fresh() -> str:
        name = f"t{uuid.uuid4().hex[:12]}"
        with psycopg.connect(f"host={folder} user=evercrew dbname=postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://evercrew@/{name}?host={folder}"

    try:
        yield fresh
    finally:
        subprocess.run(
            [control, "-D", str(data), "-m", "immediate", "stop"],
            user=user,
            cwd=folder,
            capture_output=True,
            check=False,
        )
        shutil.rmtree(folder, ignore_errors=True)
