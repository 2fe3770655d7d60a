"""Content addresses as DVC 3 computes them, so that what came from a remote can be checked apart from DVC.

A folder is a JSON list of ``{"md5", "relpath"}`` in an object named ``<md5 of that list>.dir``; a file's address is its
MD5. Objects stand under ``files/md5/<first two digits>/<the rest>``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from domain.errors import DigestMismatch


def object_path(store: Path, address: str) -> Path:
    """Return where an object stands in a cache or local remote."""
    return store / "files" / "md5" / address[:2] / address[2:]


def file_md5(path: Path) -> str:
    """Return the MD5 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def listing(store: Path, address: str) -> dict[str, str]:
    """Return relative path -> MD5 of the folder with this address.

    Raises:
        DigestMismatch: its list is not what its address says, or names a path outside of the folder.
    """
    raw = object_path(store, address).read_bytes()
    found = hashlib.md5(raw, usedforsecurity=False).hexdigest() + ".dir"
    if found != address:
        raise DigestMismatch(f"the file list of dataset {address} has the hash {found}")
    entries = {entry["relpath"]: entry["md5"] for entry in json.loads(raw)}
    for path in entries:
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise DigestMismatch(f"dataset {address} lists {path!r}, which is outside of it")
    return entries


def check_files(store: Path, entries: dict[str, str]) -> None:
    """Return when every listed file is what its address says.

    Raises:
        DigestMismatch: the first one that is not; the message names it.
    """
    for relative, address in sorted(entries.items()):
        found = file_md5(object_path(store, address))
        if found != address:
            raise DigestMismatch(f"{relative} has the hash {found} instead of {address}")
