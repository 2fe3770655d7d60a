"""How a job is shut in: the bubblewrap command around it, and which files it is shown.

Two ways hold all that is asked for. As root, bubblewrap drops all capabilities but those that `setpriv` needs to become
a user nobody else is; as an ordinary user, bubblewrap in a user namespace. A user namespace alone does not do for root,
whose number of processes no limit counts.

A job sees the machine read-only, but of the folders where people and programs leave things (home, /tmp, /run) only what
it is given. A foreign user cannot read what is root's alone: it is given a copy, at the same place.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Container-friendly: below 65536, and where nobody has an account (systemd's range for passing users).
_FIRST_USER, _USERS = 61184, 4336
_SHARED = tuple(map(Path, ("/tmp", "/var/tmp", "/run")))
_TMP_BYTES = 256 * 1024 * 1024
_OTHERS_ENTER = stat.S_IXOTH
_CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")


@dataclass(frozen=True)
class Way:
    """One way of shutting a job in. `user` is who the job is, None for whoever starts it."""

    name: str
    bubblewrap: str
    setpriv: str | None = None
    user: int | None = None

    def fresh(self) -> Way:
        """Return the way with a user of its own, so that one job's processes are not counted with another's."""
        if self.setpriv is None:
            return self
        return Way(self.name, self.bubblewrap, self.setpriv, _FIRST_USER + secrets.randbelow(_USERS))

    def command(self, view: Sequence[str]) -> list[str]:
        """Return the words before the job's own command; `view` says which files it sees."""
        spaces = ["--unshare-pid", "--unshare-ipc", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        start = [self.bubblewrap, "--die-with-parent", "--new-session", *spaces]
        if self.setpriv is None or self.user is None:
            return [*start, "--unshare-user", "--cap-drop", "ALL", *view, "--"]
        kept = [word for name in _CAPABILITIES for word in ("--cap-add", name)]
        become = [self.setpriv, f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", "--no-new-privs"]
        return [
            *start,
            "--cap-drop",
            "ALL",
            *kept,
            *view,
            "--",
            *become,
            "--bounding-set=-all",
            "--inh-caps=-all",
            "--",
        ]


def ways(bubblewrap: str, path: str, *, root: bool) -> list[Way]:
    """Return the ways that can hold everything for this user, best first."""
    setpriv = shutil.which("setpriv", path=path) or shutil.which("setpriv", path="/usr/bin:/bin")
    if not root:
        return [Way("user namespace", bubblewrap)]
    return [Way("foreign user", bubblewrap, setpriv, _FIRST_USER)] if setpriv else []


def works(way: Way) -> bool:
    """Return whether this machine lets it be done: a container may forbid it."""
    base = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run"]
    try:
        done = subprocess.run([*way.command(base), "/bin/true"], capture_output=True, timeout=10, check=False, env={})
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


@dataclass(frozen=True)
class View:
    """Which files a job sees: those it may write, those it is given, and those that are hidden from it."""

    writable: Sequence[Path]
    given: Sequence[Path]
    hidden: Sequence[Path]

    def words(self, user: int | None, copies: Path) -> list[str]:
        """Return bubblewrap's words; `copies` is where what `user` cannot read is copied to."""
        shown = _Shown(user, copies, [*self.writable, *self.hidden])
        words = ["--ro-bind", "/", "/", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm"]
        words += ["--proc", "/proc"]
        masks = list(_outermost([*_masks(), *_shut(user, [*_code(), *self.given, *self.writable])]))
        for mask in masks:
            private = mask in _SHARED[:2]
            words += ["--perms", "1777" if private else "0755", "--size", str(_TMP_BYTES), "--tmpfs", str(mask)]
        roots = [path for path in _outermost(_code()) if _below(path, masks)]
        for path in roots:
            words += [*_folders(path, masks), "--ro-bind", str(path), str(path)]
        # What the code's own folder shows again may be shut further down.
        again = _outermost(_shut(user, [*self.given, *self.writable], roots)) if roots else []
        for path in again:
            words += ["--perms", "0755", "--size", str(_TMP_BYTES), "--tmpfs", str(path)]
        for path in self.given:
            if _below(path, self.hidden):
                continue
            source = shown.readable(path)
            if source != path or _below(path, [*masks, *again]):
                words += [*_folders(path, masks), "--ro-bind", str(source), str(path)]
        for path in self.hidden:
            words += ["--perms", "0755", "--tmpfs", str(path), "--remount-ro", str(path)] if path.is_dir() else []
        for path in self.writable:
            words += [*_folders(path, masks), "--bind", str(path), str(path)]
        kept = [mask for mask in [*again, *masks] if mask not in _SHARED[:2]]
        return [*words, *(word for mask in kept for word in ("--remount-ro", str(mask)))]


def inputs(spec: Any) -> list[Path]:
    """Return the files and folders of this machine that a job's spec names."""
    found = dict.fromkeys(Path(text) for text in _texts(spec) if text.startswith("/") and "\0" not in text)
    return [path for path in found if len(path.parts) > 2 and _exists(path)]


def give(user: int | None, *paths: Path) -> None:
    """Make files and folders the user's own, so that it can write there; links are not followed."""
    if user is None:
        return
    for path in paths:
        for each in _everything(path):
            os.chown(each, user, user, follow_symlinks=False)


class _Shown:
    """Copies what a user cannot read, without what the job is to write or must not see."""

    def __init__(self, user: int | None, copies: Path, left_out: Sequence[Path]) -> None:
        self._user = user
        self._copies = copies
        self._left_out = {str(path): path for path in left_out}

    def readable(self, path: Path) -> Path:
        """Return the path, or that of its copy."""
        if self._user is None or all(_open_to_others(each) for each in _everything(path)):
            return path
        self._copies.mkdir(exist_ok=True)
        copy = self._copies / str(len(list(self._copies.iterdir())))
        if path.is_dir():
            shutil.copytree(path, copy, symlinks=True, ignore=self._ignored)
            # What is laid over a folder needs the folder to be there.
            for left in self._left_out.values():
                if path in left.parents and left.is_dir():
                    (copy / left.relative_to(path)).mkdir(parents=True, exist_ok=True)
        else:
            shutil.copy2(path, copy)
        for each in _everything(copy):
            if not each.is_symlink():
                each.chmod(0o755 if each.is_dir() else 0o644)
        return copy

    def _ignored(self, folder: str, names: list[str]) -> set[str]:
        # What is no file has nothing to be copied: a socket, a pipe.
        paths = {name: Path(folder) / name for name in names}
        odd = {name for name, path in paths.items() if not (path.is_symlink() or path.is_file() or path.is_dir())}
        return odd | {name for name, path in paths.items() if str(path) in self._left_out}


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Path():
            yield str(value)
        case Mapping():
            for item in value.values():
                yield from _texts(item)
        case list() | tuple():
            for item in value:
                yield from _texts(item)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a text that is no path: too long, for one
        return False


def _masks() -> list[Path]:
    """Return the folders where people and programs leave things."""
    try:
        home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:  # a user without an account has no home
        home = Path("/")
    homes = [home] if len(home.parts) > 1 and home.is_dir() else []
    return [path.resolve() for path in (*_SHARED, *homes) if path.is_dir()]


def _code() -> list[Path]:
    """Return where the interpreter and everything that can be imported are."""
    program = Path(sys.executable)
    root = Path(__file__).resolve().parents[1]
    places = [root, Path(sys.prefix), Path(sys.base_prefix), program.resolve().parent.parent, *map(Path, sys.path)]
    masks = _masks()
    # A folder that holds a hidden one whole is not shown for the sake of what is imported from it.
    return [
        path
        for path in dict.fromkeys(places)
        if path.is_absolute() and path.exists() and not any(path == mask or path in mask.parents for mask in masks)
    ]


def _shut(user: int | None, paths: Iterable[Path], roots: Sequence[Path] = ()) -> list[Path]:
    """Return the outermost folders above the paths that a foreign user may not even pass; of those below `roots`, where
    some are given.
    """
    if user is None:
        return []
    found = []
    for path in paths:
        above = [parent for parent in reversed(path.parents) if len(parent.parts) > 1]
        above = [parent for parent in above if not roots or any(root in parent.parents for root in roots)]
        found += [parent for parent in above if not parent.stat().st_mode & _OTHERS_ENTER][:1]
    return found


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """Return the paths without those that stand below another of them."""
    known = sorted(dict.fromkeys(paths), key=lambda path: len(path.parts))
    kept: list[Path] = []
    for path in known:
        if not _below(path, kept):
            kept.append(path)
    return kept


def _below(path: Path, folders: Iterable[Path]) -> bool:
    return any(path == folder or folder in path.parents for folder in folders)


def _folders(path: Path, masks: Sequence[Path]) -> list[str]:
    """Return words that make the folders between a mask and the path, which bubblewrap would make for its owner."""
    mask = next((folder for folder in masks if folder in path.parents), None)
    if mask is None:
        return []
    between = [parent for parent in reversed(path.parents) if mask in parent.parents]
    return [word for folder in between for word in ("--perms", "0755", "--dir", str(folder))]


def _everything(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        for folder, folders, files in os.walk(path):
            yield from (Path(folder) / name for name in (*folders, *files))


def _open_to_others(path: Path) -> bool:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return True
    wanted = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
    return mode & wanted == wanted
