"""Where the key of the checkpoints comes from, and the public keyring beside the chain.

The key is given (a PEM, or the path of one), or made in the folder, readable by its owner only. The keyring is public:
its roots are the keys a chain may begin with, or go on with when a key was lost; all keys there ever were stay in it.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.audit.signing import SigningKey, key_id
from domain.errors import AuditUnavailable, ConfigurationError

SETTING = "EVERCREW_AUDIT_KEY"
KEY, NEXT, KEYRING = "audit.key", "audit.key.next", "audit.keys.json"
_HERE = "made here"


class Keyring(BaseModel):
    """Public keys in hexadecimal digits: those that are trusted by themselves, and those handed over to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = "evercrew-audit-keys-1"
    roots: tuple[str, ...] = ()
    others: tuple[str, ...] = Field(default=())

    @property
    def public(self) -> dict[str, str]:
        """All keys by their names."""
        return {key_id(public): public for public in (*self.roots, *self.others)}

    @property
    def trusted(self) -> dict[str, str]:
        """The roots by their names."""
        return {key_id(public): public for public in self.roots}

    def trusting(self, public: str) -> Keyring:
        """Return the keyring with another root."""
        return self.model_copy(update={"roots": tuple(dict.fromkeys((*self.roots, public)))})

    def knowing(self, public: str) -> Keyring:
        """Return the keyring with another key, unless it has it."""
        known = public in (*self.roots, *self.others)
        return self if known else self.model_copy(update={"others": (*self.others, public)})


class Keys:
    """The private key at hand, and the keyring of a folder."""

    def __init__(self, folder: Path, given: str = "") -> None:
        self._folder = folder
        self._given = given.strip().replace("\\n", "\n")

    @property
    def given(self) -> bool:
        """Whether the key comes from the settings, and not from the folder."""
        return bool(self._given)

    @property
    def source(self) -> str:
        """Where the key comes from, in words; never the key."""
        if not self._given:
            return f"{_HERE} ({KEY} in `state`, readable by its owner only)"
        return f"{SETTING} (a PEM)" if self._is_pem() else f"{SETTING} ({Path(self._given).name})"

    def current(self) -> SigningKey:
        """Return the key, read anew; without one, one is made. A first key becomes a root.

        Raises:
            ConfigurationError: what is given is no key.
            AuditUnavailable: the folder cannot be read or written.
        """
        key = self._read_given() if self._given else self._own()
        ring = self.ring()
        if not ring.roots:
            self.keep(ring.trusting(key.public))
        return key

    def ring(self) -> Keyring:
        """Return the keyring; empty where there is none yet.

        Raises:
            ConfigurationError: the file is none.
        """
        path = self._folder / KEYRING
        try:
            return Keyring.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else Keyring()
        except (OSError, ValueError, ValidationError) as error:
            raise ConfigurationError(
                KEYRING, "it is no keyring any more", "Restore it from a backup, or from another machine"
            ) from error

    def keep(self, ring: Keyring) -> None:
        """Write the keyring."""
        self._write(KEYRING, json.dumps(ring.model_dump(), indent=2) + "\n", 0o644)

    def prepare(self) -> SigningKey:
        """Make the next key of the folder, beside the present one.

        Raises:
            ConfigurationError: the key is given, so it is not made here.
        """
        if self._given:
            told = f"the key comes from {SETTING}, so the next one is not made here"
            raise ConfigurationError("to", told, "Name the PEM of the next key, public or private, with --to")
        key = SigningKey.made()
        self._write(NEXT, key.pem(), 0o600)
        return key

    def promote(self, wanted: str) -> SigningKey | None:
        """Put the prepared key in place when it is the one that is wanted, and return it.

        A rotation that was broken off between the chain and the file is finished here.
        """
        place = self._folder / NEXT
        if self._given or not place.exists():
            return None
        key = SigningKey.read(place.read_text(encoding="utf-8"), field=NEXT)
        if key.id != wanted:
            return None
        place.replace(self._folder / KEY)
        return key

    def _is_pem(self) -> bool:
        return self._given.startswith("-----BEGIN")

    def _read_given(self) -> SigningKey:
        if self._is_pem():
            return SigningKey.read(self._given, field=SETTING)
        try:
            text = Path(self._given).expanduser().read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            told = f"the file cannot be read: {type(error).__name__}"
            raise ConfigurationError(SETTING, told, "Name a PEM this user may read") from error
        return SigningKey.read(text, field=SETTING)

    def _own(self) -> SigningKey:
        path = self._folder / KEY
        try:
            if path.exists():
                return SigningKey.read(path.read_text(encoding="utf-8"), field=KEY)
        except OSError as error:
            raise AuditUnavailable(f"{KEY} cannot be read: {error}. Run as the user who owns `state`") from error
        # Two processes may start at once: the first link wins, and both read what stands there.
        self._write(KEY, SigningKey.made().pem(), 0o600, replace=False)
        return SigningKey.read(path.read_text(encoding="utf-8"), field=KEY)

    def _write(self, name: str, text: str, mode: int, *, replace: bool = True) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, scratch = tempfile.mkstemp(dir=self._folder, prefix=f".{name}.")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as out:
                    out.write(text)
                    out.flush()
                    os.fsync(out.fileno())
                Path(scratch).chmod(mode)
                if replace:
                    Path(scratch).replace(self._folder / name)
                else:
                    _link(scratch, self._folder / name)
            finally:
                Path(scratch).unlink(missing_ok=True)
        except OSError as error:
            raise AuditUnavailable(f"{name} cannot be written: {error}. Make the folder of `state` writable") from error


def _link(source: str, place: Path) -> None:
    try:
        os.link(source, place)
    except FileExistsError:
        return
