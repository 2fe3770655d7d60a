"""Backups in an object store: a manifest each, and the contents they share by hash.

``backups/<UTC stamp>/manifest.json`` names every file with its SHA-256 and stands there only when all of them are
uploaded; ``objects/<sha256>`` is uploaded once, whoever holds it. The manifest carries a seal over its own content, so
that damage to it shows; against somebody who may write the store it proves nothing (lock its versions for that).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.backup.base import ObjectsPort, file_sha256
from domain.canonical import canonical_hash, canonical_json
from domain.clock import Clock
from domain.errors import ConflictError, DigestMismatch, InvalidInput

FORMAT = 1
LATEST = "latest"
_STAMP = "%Y%m%dT%H%M%SZ"
_MANIFEST = "manifest.json"


class Stored(BaseModel):
    """A file of a backup; `size` in bytes."""

    model_config = ConfigDict(frozen=True)

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int


class Manifest(BaseModel):
    """A backup; `facts` are what the one who made it noted down."""

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    stamp: str
    created_at: datetime
    files: tuple[Stored, ...]
    facts: Mapping[str, Any] = Field(default_factory=dict)

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in self.files)


class Uploaded(BaseModel):
    """How many files and bytes had to be uploaded; the others were there."""

    model_config = ConfigDict(frozen=True)

    files: int
    size: int


class Archive:
    """Stores, finds, fetches, verifies and retires backups in `objects`."""

    def __init__(self, objects: ObjectsPort, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock

    def store(
        self, files: Iterable[tuple[str, Path]], facts: Mapping[str, Any], *, full: bool = False
    ) -> tuple[Manifest, Uploaded]:
        """Upload the files that are not there yet (`full`: all of them), then the manifest.

        `facts` is read after the last file, so that it may be filled while they are.

        Raises:
            ConflictError: there is a backup of this second already.
        """
        now = self._clock.now().astimezone(UTC)
        stamp = now.strftime(_STAMP)
        there = self._objects.names()
        if f"backups/{stamp}/{_MANIFEST}" in there:
            raise ConflictError(f"there is a backup {stamp} already: wait a second")
        # By size too: what an interrupted copy of a folder left half is uploaded again.
        known = set() if full else {(name, size) for name, size in there.items()}
        listed: list[Stored] = []
        sent = sent_bytes = 0
        for name, path in files:
            file = Stored(name=name, sha256=file_sha256(path), size=path.stat().st_size)
            listed.append(file)
            if (place := _place(file.sha256), file.size) not in known:
                self._objects.put(place, path)
                known.add((place, file.size))
                sent, sent_bytes = sent + 1, sent_bytes + file.size
        manifest = Manifest(stamp=stamp, created_at=now, files=tuple(listed), facts=dict(facts))
        self._write(manifest)
        return manifest, Uploaded(files=sent, size=sent_bytes)

    def stamps(self) -> list[str]:
        """Return the stamps of all backups, newest first."""
        found = [name.split("/") for name in self._objects.names("backups/")]
        return sorted((parts[1] for parts in found if len(parts) == 3 and parts[2] == _MANIFEST), reverse=True)

    def manifest(self, stamp: str = LATEST) -> Manifest:
        """Return what a backup consists of.

        Raises:
            InvalidInput: there is no such backup, or one of a format this version does not know.
            DigestMismatch: the manifest is damaged.
        """
        stamps = self.stamps()
        if stamp == LATEST and stamps:
            stamp = stamps[0]
        if stamp not in stamps:
            known = f"there is no backup {stamp}" if stamp != LATEST else "there is no backup yet"
            raise InvalidInput("stamp", known, "See `evercrew backup list`, or make one with `evercrew backup run`")
        return self._read(stamp)

    def fetch(self, manifest: Manifest, into: Path) -> None:
        """Write every file of the backup below `into`, each verified.

        Raises:
            DigestMismatch: an object is not what the manifest says.
            InvalidInput: an object is missing, or a name leads out of the folder.
        """
        for file in manifest.files:
            place = into / file.name
            if not place.resolve().is_relative_to(into.resolve()):
                raise InvalidInput("manifest", f"{file.name!r} leads out of the folder", "Restore another backup")
            place.parent.mkdir(parents=True, exist_ok=True)
            self._objects.get(_place(file.sha256), place, sha256=file.sha256)

    def verify(self, manifest: Manifest, scratch: Path) -> int:
        """Fetch every object once into `scratch`, one after the other, and return how many files they stand for.

        Raises:
            DigestMismatch: one is not what the manifest says.
            InvalidInput: one is missing.
        """
        for sha256 in sorted({file.sha256 for file in manifest.files}):
            self._objects.get(_place(sha256), scratch / "object", sha256=sha256)
        return len(manifest.files)

    def retire(self, *, keep_daily: int, keep_weekly: int) -> list[str]:
        """Delete backups that are none of those kept, and objects only they had; return their stamps.

        Kept are the newest of all, the newest of each of the last `keep_daily` days and of each of the last
        `keep_weekly` ISO weeks, today's included. An object that no deleted manifest names is never touched.
        """
        stamps = self.stamps()
        kept = kept_of(stamps, self._clock.now(), keep_daily=keep_daily, keep_weekly=keep_weekly)
        gone = [stamp for stamp in stamps if stamp not in kept]
        if not gone:
            return []
        needed = {file.sha256 for stamp in kept for file in self._read(stamp).files}
        freed = {file.sha256 for stamp in gone for file in self._read(stamp).files} - needed
        self._objects.delete([f"backups/{stamp}/{_MANIFEST}" for stamp in gone])
        self._objects.delete(sorted(_place(sha256) for sha256 in freed))
        return gone

    def _write(self, manifest: Manifest) -> None:
        import tempfile

        body = {"manifest": manifest.model_dump(mode="json"), "seal": _seal(manifest)}
        with tempfile.TemporaryDirectory(prefix="evercrew-manifest-") as folder:
            file = Path(folder) / _MANIFEST
            file.write_text(canonical_json(body), encoding="utf-8")
            self._objects.put(f"backups/{manifest.stamp}/{_MANIFEST}", file)

    def _read(self, stamp: str) -> Manifest:
        raw = self._objects.read(f"backups/{stamp}/{_MANIFEST}")
        try:
            body = json.loads(raw)
            manifest = Manifest.model_validate(body["manifest"])
            seal = body["seal"]
        except (ValueError, LookupError, TypeError, ValidationError) as error:
            raise DigestMismatch(f"the manifest of backup {stamp} cannot be read: use another backup") from error
        if manifest.format != FORMAT:
            raise InvalidInput("stamp", f"{stamp} has the format {manifest.format}", "Use the version that made it")
        if seal != _seal(manifest) or manifest.stamp != stamp:
            raise DigestMismatch(f"the manifest of backup {stamp} was altered: use another backup")
        return manifest


def kept_of(stamps: Sequence[str], now: datetime, *, keep_daily: int, keep_weekly: int) -> set[str]:
    """Return the stamps that are kept; see `Archive.retire`."""
    newest_first = sorted(stamps, reverse=True)
    kept = set(newest_first[:1])
    today = now.astimezone(UTC).date()
    monday = today - timedelta(days=today.weekday())
    seen: set[tuple[str, Any]] = set()
    for stamp in newest_first:
        day = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC).date()
        week = day - timedelta(days=day.weekday())
        young = (today - day).days < keep_daily
        recent = (monday - week).days < 7 * keep_weekly
        for slot, wanted in ((("day", day), young), (("week", week), recent)):
            if wanted and slot not in seen:
                seen.add(slot)
                kept.add(stamp)
    return kept


def _place(sha256: str) -> str:
    return f"objects/{sha256}"


def _seal(manifest: Manifest) -> str:
    return canonical_hash(manifest.model_dump(mode="json"))
