"""A copy of folders as they stand at one moment, while others go on writing.

All SQLite databases are seen at the same moment: for as long as it takes to begin a read of each (milliseconds) the
write lock of every one is held, so that no change falls between two of them. Each is then copied through SQLite's
online backup from its own read, whatever is written meanwhile. Other files are copied one by one; of files that are
appended to line by line (``.jsonl``) a last line that is not whole is left out.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path

from domain.errors import DependencyTimeout, DependencyUnavailable

NAME = "snapshot"
_MAGIC = b"SQLite format 3\x00"
_COMPANIONS = ("-wal", "-shm", "-journal")
_PASSING = (".lock", ".part", ".tmp")
_GIT_SECONDS = 300


def is_sqlite(path: Path) -> bool:
    """Return whether the file is a SQLite database."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


@contextmanager
def snapshot(
    folders: Mapping[str, Path],
    scratch: Path,
    *,
    without: Sequence[Path] = (),
    busy: timedelta = timedelta(seconds=10),
) -> Iterator[Iterator[tuple[str, Path]]]:
    """Give ``(name, file)`` for every file of the folders and single files, each a copy in `scratch`.

    A name is the key of `folders` and the path below it. A copy is gone when the next one is asked for. `without` are
    folders and files to leave out; `busy` is how long a database's write lock is waited for.

    Raises:
        DependencyTimeout: a database was locked for longer.
        DependencyUnavailable: a file cannot be read, or is a damaged database.
    """
    with ExitStack() as open_reads:
        with _explained():
            files = {name: path for key, root in sorted(folders.items()) for name, path in _files(key, root, without)}
            databases = {name: path for name, path in files.items() if is_sqlite(path)}
            companions = {f"{path}{ending}" for path in databases.values() for ending in _COMPANIONS}
            reads = _same_moment(databases, busy, open_reads)
        plain = {name: path for name, path in files.items() if name not in databases and str(path) not in companions}
        yield _copies(reads, plain, scratch / "copy")


def bundle(repository: Path, into: Path) -> bool:
    """Write all of a git repository's refs and history into one file; False when it has no commit yet.

    Raises:
        DependencyUnavailable: git cannot read it.
    """
    there = _git("-C", str(repository), "rev-list", "--max-count=1", "--all")
    if not there.strip():
        return False
    _git("-C", str(repository), "bundle", "create", "--quiet", str(into), "--all")
    return True


def unbundle(file: Path, into: Path) -> None:
    """Make the repository of a `bundle` again, its branch checked out, its tags there.

    Raises:
        DependencyUnavailable: the file is no bundle.
    """
    _git("clone", "--quiet", "--origin", "backup", str(file), str(into))
    _git("-C", str(into), "remote", "remove", "backup")


def damage(database: Path) -> str:
    """Return what SQLite finds wrong with a database; empty when it is whole."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)) as connection:
            said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return str(error)
    return "" if said == "ok" else said


def _files(key: str, root: Path, without: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    if root.is_file():
        yield key, root
        return
    for path in sorted(root.rglob("*")):
        below = path.relative_to(root)
        if path.is_symlink() or not path.is_file() or any(skipped in (path, *path.parents) for skipped in without):
            continue
        if path.suffix in _PASSING or any(part.startswith(".") for part in below.parts):
            continue
        yield f"{key}/{below.as_posix()}", path


def _same_moment(
    databases: Mapping[str, Path], busy: timedelta, open_reads: ExitStack
) -> dict[str, sqlite3.Connection]:
    """Begin a read of every database while none of them can be written to."""
    reads: dict[str, sqlite3.Connection] = {}
    with ExitStack() as locks:
        for path in sorted(databases.values()):
            lock = locks.enter_context(closing(_connected(path, busy)))
            lock.execute("BEGIN IMMEDIATE")
        for name, path in databases.items():
            read = open_reads.enter_context(closing(_connected(path, busy)))
            read.execute("BEGIN")
            read.execute("SELECT count(*) FROM sqlite_master").fetchone()
            reads[name] = read
    return reads


def _connected(path: Path, busy: timedelta) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=busy.total_seconds(), isolation_level=None)


def _copies(
    reads: Mapping[str, sqlite3.Connection], plain: Mapping[str, Path], copy: Path
) -> Iterator[tuple[str, Path]]:
    copy.parent.mkdir(parents=True, exist_ok=True)
    for name, read in reads.items():
        copy.unlink(missing_ok=True)
        with _explained(), closing(sqlite3.connect(copy)) as target:
            read.backup(target)
        # A reader opened before would leave its companions beside a copy of the same name.
        for ending in _COMPANIONS:
            Path(f"{copy}{ending}").unlink(missing_ok=True)
        yield name, copy
    for name, path in plain.items():
        with _explained():
            try:
                shutil.copyfile(path, copy)
            except FileNotFoundError:
                continue  # taken away since the folder was listed: it is no part of the state any more
            if path.suffix == ".jsonl":
                _whole_lines(copy)
        yield name, copy


def _whole_lines(file: Path) -> None:
    with file.open("r+b") as stream:
        content = stream.read()
        stream.truncate(content.rfind(b"\n") + 1)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise DependencyTimeout(
                NAME, "a database of the state is locked", "Try again when its writer rests"
            ) from error
        raise DependencyUnavailable(NAME, f"a database of the state: {error}", "Mend the file, or the disk") from error
    except sqlite3.DatabaseError as error:
        raise DependencyUnavailable(
            NAME, f"a database of the state is damaged: {error}", "Restore it from the last good backup"
        ) from error
    except OSError as error:
        raise DependencyUnavailable(
            NAME, f"{error.strerror}: {error.filename}", "Mend the file, or the disk"
        ) from error


def _git(*arguments: str) -> str:
    command = ["git", "-c", "safe.directory=*", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DependencyUnavailable("git", f"cannot be run: {error}", "Install git") from error
    if done.returncode != 0:
        raise DependencyUnavailable("git", " ".join(done.stderr.split())[-300:], "Mend the repository")
    return done.stdout
