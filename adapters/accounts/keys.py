"""The keys of tokens of our own: the one that signs, and the one before it for as long as a token of it may live.

The key is given as a PEM, or the path of one, or made in the folder of `state`. Several processes on one machine share
the one in the folder, and see there when it was changed (`rotated`); on several they have to be given the same.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from domain.clock import Clock
from domain.errors import ConfigurationError, ConflictError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SETTING, SETTING_PREVIOUS = "EVERCREW_ACCESS_KEY", "EVERCREW_ACCESS_KEY_PREVIOUS"
KEY, PREVIOUS = "access.key", "access.key.previous"
_LOCK = ".access.key.lock"
_MAKE = "Make one with `openssl genpkey -algorithm ed25519`"
_OTHERS = 0o077
_UNTIL = b"until "


@dataclass(frozen=True)
class ValidKey:
    """A key whose tokens are taken: `until` a moment, where it is known that it signs no more."""

    private: Ed25519PrivateKey
    until: datetime | None = None

    @cached_property
    def id(self) -> str:
        """Its name in a token (`kid`)."""
        return hashlib.sha256(self.private.public_key().public_bytes_raw()).hexdigest()[:16]

    @property
    def secret(self) -> bytes:
        """Its 32 bytes, for what is derived of it."""
        return self.private.private_bytes_raw()


class AccessKeys(Protocol):
    """What signs, and what is believed."""

    def valid(self) -> Sequence[ValidKey]:
        """Return the keys that are valid now; the first one signs.

        Raises:
            ConfigurationError: they cannot be read.
        """
        ...


class GivenKeys:
    """Keys that stay as they were given, the one that signs first."""

    def __init__(self, *keys: Ed25519PrivateKey) -> None:
        self._keys = tuple(ValidKey(key) for key in keys)

    def valid(self) -> Sequence[ValidKey]:
        """See `AccessKeys.valid`."""
        return self._keys


class FolderKeys:
    """Keys in the folder of `state`, read again when somebody put others there; threads share it."""

    def __init__(self, folder: Path, clock: Clock, *before: Ed25519PrivateKey) -> None:
        self._folder = folder
        self._clock = clock
        self._before = tuple(ValidKey(key) for key in before)
        self._lock = threading.Lock()
        self._marks: tuple[object, ...] = ()
        self._kept: tuple[ValidKey, ...] = ()

    def valid(self) -> Sequence[ValidKey]:
        """See `AccessKeys.valid`. A key that is taken away while the process runs is known to it still."""
        with self._lock:
            marks = tuple(_mark(self._folder / name) for name in (KEY, PREVIOUS))
            if not self._kept or (marks != self._marks and marks[0] is not None):
                self._kept, self._marks = _read_folder(self._folder), marks
            kept = self._kept
        now = self._clock.now()
        return (*(key for key in kept if key.until is None or now < key.until), *self._before)


def access_keys(folder: Path, clock: Clock, given: str = "", previous: str = "") -> AccessKeys:
    """Return the keys; without one that is given, one is made that its owner alone may read.

    Raises:
        ConfigurationError: what is given is no Ed25519 key, or the folder's is readable by others or cannot be made.
    """
    before = [_given(previous, SETTING_PREVIOUS)] if previous.strip() else []
    if given.strip():
        return GivenKeys(_given(given, SETTING), *before)
    keys = FolderKeys(folder, clock, *before)
    keys.valid()
    return keys


def rotated(folder: Path, clock: Clock, until: datetime | None) -> tuple[ValidKey, ValidKey]:
    """Put a new key in the place of the folder's, and return the old one and the new one.

    Args:
        until: how long tokens of the old one are taken; None for a key that somebody else may have: none is.

    Raises:
        ConflictError: the key before the present one still counts, and there is no third.
        ConfigurationError: the folder cannot be used.
    """
    try:
        with _alone(folder):
            old, *before = _read_folder(folder)
            left = [key.until for key in before if key.until is not None and clock.now() < key.until]
            if until is not None and left:
                raise ConflictError(f"tokens of the key before are taken until {left[0]:%Y-%m-%d %H:%M:%S} UTC")
            # In this order: whoever reads in between finds one key twice, and never none.
            if until is None:
                (folder / PREVIOUS).unlink(missing_ok=True)
            else:
                said = _UNTIL + until.isoformat().encode() + b"\n"
                _replace(folder / PREVIOUS, said + (folder / KEY).read_bytes())
            _replace(folder / KEY, _new())
            return old, _read_folder(folder)[0]
    except OSError as error:
        raise _unusable(error) from error


# -- helpers ----------------------------------------------------------------------------------------------------------


def _read_folder(folder: Path) -> tuple[ValidKey, ...]:
    place = folder / KEY
    try:
        if not place.exists():
            _make(place)
        key = ValidKey(_read(_secret(place), KEY))
        before = _secret_if_any(folder / PREVIOUS)
    except OSError as error:
        raise _unusable(error) from error
    if not before:
        return (key,)
    said, _, pem = before.partition(b"\n")
    try:
        until = datetime.fromisoformat(said.removeprefix(_UNTIL).decode())
        if until.tzinfo is None:
            raise ValueError("without a time zone")
    except ValueError as error:
        raise ConfigurationError(PREVIOUS, "does not say until when it counts", "Delete it: its tokens end") from error
    return key, ValidKey(_read(pem, PREVIOUS), until)


def _given(text: str, setting: str) -> Ed25519PrivateKey:
    text = text.strip().replace("\\n", "\n")
    if text.startswith("-----BEGIN"):
        return _read(text.encode(), setting)
    try:
        return _read(Path(text).expanduser().read_bytes(), setting)
    except (OSError, ValueError) as error:
        told = f"the file cannot be read: {type(error).__name__}"
        raise ConfigurationError(setting, told, "Name a PEM this user may read") from error


def _secret(place: Path) -> bytes:
    if place.stat().st_mode & _OTHERS:
        raise ConfigurationError(place.name, "others may read it", f"chmod 600 {place.name} in `state`, or delete it")
    return place.read_bytes()


def _secret_if_any(place: Path) -> bytes:
    """Return what is there, or nothing: whoever rotates may take it away between a look and the reading."""
    try:
        return _secret(place)
    except FileNotFoundError:
        return b""


def _make(place: Path) -> None:
    """Write a new key; of two processes that do at once the first one's stays."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with _beside(place, _new()) as scratch, suppress(FileExistsError):
        os.link(scratch, place)


def _replace(place: Path, content: bytes) -> None:
    """Put a file in the place of another, in one step."""
    with _beside(place, content) as scratch:
        scratch.replace(place)


@contextmanager
def _beside(place: Path, content: bytes) -> Iterator[Path]:
    """Give a file beside a place, which its owner alone may read; it is on disk. Nothing of it is left behind."""
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _new() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Of processes that change keys at once one does so at a time."""
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _mark(place: Path) -> object:
    """Return what changes with a file; None where there is none."""
    try:
        found = place.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _unusable(error: OSError) -> ConfigurationError:
    return ConfigurationError(KEY, f"cannot be used: {error}", "Make the folder of `state` writable")


def _read(pem: bytes, field: str) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(field, "is no private key without a passphrase", _MAKE) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(field, "is a key of another kind", _MAKE)
    return key
