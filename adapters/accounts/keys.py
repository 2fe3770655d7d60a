"""The key that signs tokens of our own: given as a PEM, or the path of one, or made in the folder of `state`.

Several processes on one machine share the one in the folder; on several machines they have to be given the same one.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from domain.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SETTING = "EVERCREW_ACCESS_KEY"
KEY = "access.key"
_MAKE = "Make one with `openssl genpkey -algorithm ed25519`"
_OTHERS = 0o077


def access_key(folder: Path, given: str = "") -> Ed25519PrivateKey:
    """Return the key; without one, one is made that its owner alone may read.

    Raises:
        ConfigurationError: what is given is no Ed25519 key, or the folder's is readable by others or cannot be made.
    """
    text = given.strip().replace("\\n", "\n")
    if text.startswith("-----BEGIN"):
        return _read(text.encode(), SETTING)
    if text:
        try:
            return _read(Path(text).expanduser().read_bytes(), SETTING)
        except (OSError, ValueError) as error:
            told = f"the file cannot be read: {type(error).__name__}"
            raise ConfigurationError(SETTING, told, "Name a PEM this user may read") from error
    return _own(folder)


def _own(folder: Path) -> Ed25519PrivateKey:
    place = folder / KEY
    try:
        if not place.exists():
            _make(place)
        if place.stat().st_mode & _OTHERS:
            raise ConfigurationError(KEY, "others may read it", f"chmod 600 {KEY} in `state`, or delete it")
        return _read(place.read_bytes(), KEY)
    except OSError as error:
        raise ConfigurationError(KEY, f"cannot be used: {error}", "Make the folder of `state` writable") from error


def _make(place: Path) -> None:
    """Write a new key; of two processes that do at once the first one's stays."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=place.parent, prefix=f".{KEY}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(pem)
            out.flush()
            os.fsync(out.fileno())
        os.link(scratch, place)
    except FileExistsError:
        return
    finally:
        Path(scratch).unlink(missing_ok=True)


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
