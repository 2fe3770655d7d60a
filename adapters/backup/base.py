"""The object storage port: files by name, kept apart from the machine they come from.

Contract: an object is there whole or not at all; putting a name again replaces it; what is fetched is verified against
the SHA-256 the caller knows it by. It holds Evercrew's own state and no tool offers it, so no permit is asked for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from domain.errors import DigestMismatch, InvalidInput

_NAME = re.compile(r"^[A-Za-z0-9][\w.=+-]*(?:/[A-Za-z0-9][\w.=+-]*)*$")


class ObjectsPort(Protocol):
    """Objects by name: letters, digits, ``._=+-`` and ``/`` between parts."""

    def put(self, name: str, source: Path) -> None:
        """Store the file's bytes under `name`."""
        ...

    def get(self, name: str, into: Path, *, sha256: str) -> None:
        """Write the object to the file `into` (its folder exists).

        Raises:
            DigestMismatch: it has another hash than `sha256`; nothing is left at `into`.
            InvalidInput: there is no such object.
        """
        ...

    def read(self, name: str) -> bytes:
        """Return a small object.

        Raises:
            InvalidInput: there is none with this name.
        """
        ...

    def names(self, prefix: str = "") -> Mapping[str, int]:
        """Return name -> size in bytes of every object whose name starts so."""
        ...

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; one that is not there is no error."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, having written and removed a small object, or raise a DependencyError."""
        ...


def check_name(name: str) -> str:
    """Return `name` when it can be one.

    Raises:
        InvalidInput: it cannot.
    """
    if not _NAME.match(name):
        raise InvalidInput("name", f"{name!r} cannot name an object", "Use letters, digits, ._=+- and / between parts")
    return name


def missing(name: str) -> InvalidInput:
    """Return the error for an object that is not there."""
    return InvalidInput("name", f"there is no object {name}", "See what there is by its prefix")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def accept(fetched: Path, into: Path, name: str, sha256: str) -> None:
    """Move a fetched file to its place when it has the hash it is known by; delete it otherwise.

    Raises:
        DigestMismatch: it has not.
    """
    found = file_sha256(fetched)
    if found != sha256:
        fetched.unlink()
        raise DigestMismatch(f"the object {name} has the hash {found} instead of {sha256}")
    fetched.replace(into)
