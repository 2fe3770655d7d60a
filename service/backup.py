"""What a backup holds, and how it comes back.

    state/            the state folder: databases (at one moment), artifacts, bundles, training results, memory
    store.jsonl       the store's tables, where it is a database server
    audit.jsonl       the audit chain, where it is in a database server
    datasets.bundle   the dataset repository's history and tags
    dataset-remote/   the datasets themselves, where their remote is a folder (an S3 remote looks after itself)
    models/           MLflow's database and artifacts, where they are files
    targets/<name>/   datasets.bundle, dataset-remote/ and models/ of a further target, where they are its own

The head of the audit chain is noted in the manifest and held against the restored chain.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict

from adapters.audit.sqlite import head_of
from adapters.backup.archive import LATEST, Archive, Manifest
from adapters.backup.base import ObjectsPort
from adapters.backup.snapshot import bundle, damage, is_sqlite, snapshot, unbundle
from adapters.locks import exclusive
from domain.clock import Clock
from domain.errors import ConfigurationError, IntegrityError, InvalidInput
from service import backup_audit
from service.auditing import in_a_server
from service.config import Config
from service.endpoints import location_of
from service.sections import BackupConfig

STATE, DATASETS, REMOTE, MODELS, STORE = "state", "datasets.bundle", "dataset-remote", "models", "store.jsonl"
AUDIT = f"{STATE}/audit.db"
_SQLITE = "sqlite:///"
# Made again from the values repository whenever it is missing.
_CACHES = ("values",)
_WAIT = timedelta(minutes=10)


class BackupRecord(BaseModel):
    """A backup that was made; sizes in bytes, `seconds` of wall time, `retired` are the stamps deleted after it."""

    model_config = ConfigDict(frozen=True)

    stamp: str
    files: int
    size: int
    uploaded_files: int
    uploaded_size: int
    audit_records: int | None
    audit_head: str | None
    seconds: float
    retired: tuple[str, ...] = ()


class Restored(BaseModel):
    """What a restore brought back to `into`, and which parts it left alone because something stands in their place."""

    model_config = ConfigDict(frozen=True)

    stamp: str
    into: str
    files: int
    parts: tuple[str, ...]
    left_alone: tuple[str, ...]
    audit_records: int | None


def objects_of(target: BackupConfig) -> ObjectsPort:
    """Return the object store of ``backup.to``: a folder, or ``s3://bucket/prefix``.

    Raises:
        ConfigurationError: it is neither.
    """
    if target.to.startswith("s3://"):
        from adapters.backup.s3 import S3Objects

        return S3Objects(location_of(target.to, target.s3, address="backup.to", field="backup.s3"))
    if "://" in target.to:
        raise ConfigurationError("backup.to", f"{target.to!r} is no known kind", "Name a folder, or s3://bucket/prefix")
    from adapters.backup.local import LocalObjects

    return LocalObjects(Path(target.to))


def back_up(
    config: Config, objects: ObjectsPort, clock: Clock, *, target: BackupConfig | None = None, full: bool = False
) -> BackupRecord:
    """Make a backup, then delete those that `target` (default: the configuration's) does not keep.

    It may run beside a working service. `full` uploads what is there already too, after `verify` found damage.

    Raises:
        DependencyError: the state or the store of backups failed; no manifest was written, so no backup was made.
        InvalidInput: there is nothing to back up.
    """
    if not config.state.is_dir():
        raise InvalidInput("state", f"there is no folder {config.state.name}", "Run a cycle first, or mend `state`")
    archive, begun = Archive(objects, clock), clock.monotonic()
    target = target or config.backup
    facts: dict[str, Any] = {"version": metadata.version("evercrew"), "environment": config.environment}
    with _alone(config, clock), tempfile.TemporaryDirectory(prefix="evercrew-backup-") as name:
        with _gathered(config, Path(name), facts, clock) as files:
            manifest, uploaded = archive.store(files, facts, full=full)
        retired = _retired(archive, target)
    return BackupRecord(
        stamp=manifest.stamp,
        files=len(manifest.files),
        size=manifest.size,
        uploaded_files=uploaded.files,
        uploaded_size=uploaded.size,
        audit_records=facts.get("audit_records"),
        audit_head=facts.get("audit_head"),
        seconds=clock.monotonic() - begun,
        retired=tuple(retired),
    )


def restore(
    config: Config, objects: ObjectsPort, clock: Clock, *, stamp: str = LATEST, into: Path | None = None
) -> Restored:
    """Bring a backup back: to the places of the configuration, or all of it below the folder `into`.

    Every hash is verified, every database checked and the audit chain walked before anything takes its place; a part
    whose place is not empty is left alone (the state folder's must be, or be absent).

    Raises:
        InvalidInput: the place is not empty, or there is no such backup.
        IntegrityError: the backup is damaged; nothing was put in place.
    """
    manifest = Archive(objects, clock).manifest(stamp)
    state = into if into is not None else config.state
    if state.exists() and (not state.is_dir() or any(state.iterdir())):
        raise InvalidInput("into", f"{state} is not empty", "Move it away first: a restore overwrites nothing")
    state.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=state.parent, prefix=".evercrew-restore-") as name:
        fresh = Path(name) / "fresh"
        fresh.mkdir()
        Archive(objects, clock).fetch(manifest, fresh)
        records = _proven(manifest, fresh, clock)
        if into is None:
            done, left = _placed(config, fresh, clock)
        else:
            _place(fresh, into)
            done, left = _parts_in(manifest), list[str]()
    return Restored(
        stamp=manifest.stamp,
        into=str(state),
        files=len(manifest.files),
        parts=tuple(done),
        left_alone=tuple(left),
        audit_records=records,
    )


def verify(objects: ObjectsPort, clock: Clock, *, stamp: str = LATEST) -> tuple[Manifest, int]:
    """Fetch every object of a backup and return its manifest and the number of its files.

    Raises:
        IntegrityError: an object is not what the manifest says.
        InvalidInput: an object is missing, or there is no such backup.
    """
    archive = Archive(objects, clock)
    manifest = archive.manifest(stamp)
    with tempfile.TemporaryDirectory(prefix="evercrew-verify-") as scratch:
        return manifest, archive.verify(manifest, Path(scratch))


def backups(objects: ObjectsPort, clock: Clock) -> list[Manifest]:
    """Return the manifests of all backups, newest first."""
    archive = Archive(objects, clock)
    return [archive.manifest(stamp) for stamp in archive.stamps()]


def _alone(config: Config, clock: Clock) -> Any:
    """Keep a second backup of the same state out: it could retire what this one counts on."""
    lock = config.state.with_name(f".{config.state.name}.backup.lock")
    return exclusive(lock, holder="backup", clock=clock, timeout=_WAIT)


def _retired(archive: Archive, target: BackupConfig | None) -> list[str]:
    if target is None:
        return []
    return archive.retire(keep_daily=target.keep_daily, keep_weekly=target.keep_weekly)


@contextmanager
def _gathered(
    config: Config, scratch: Path, facts: dict[str, Any], clock: Clock
) -> Iterator[Iterator[tuple[str, Path]]]:
    """Give every file of the backup; `facts` gets the audit chain's head on the way."""
    each = [config.at(target) for target in config.every_target]
    caches = [one.state / name for one in each for name in _CACHES]
    without = [*(one.datasets.repository for one in each), *caches, *backup_audit.left_out(config)]
    places = {name: path for name, path in _places(config).items() if path.exists() and not name.endswith(DATASETS)}
    with snapshot(places, scratch, without=without) as files:

        def everything() -> Iterator[tuple[str, Path]]:
            for name, file in files:
                if name in (AUDIT, backup_audit.FILE):
                    facts["audit_records"], facts["audit_head"] = head_of(file)
                yield name, file
            for number, (name, repository) in enumerate(_places(config).items()):
                packed = scratch / f"{number}-{DATASETS}"
                if name.endswith(DATASETS) and (repository / ".git").exists() and bundle(repository, packed):
                    yield name, packed
            if in_a_server(config):
                lines = scratch / backup_audit.LINES
                facts["audit_records"], facts["audit_head"] = backup_audit.dumped(config, lines, clock)
                yield backup_audit.LINES, lines
            if config.store_url and not config.store_url.startswith(_SQLITE):
                from adapters.store.dump import dump

                dump(config.store_url, scratch / STORE)
                yield STORE, scratch / STORE

        yield everything()


def _places(config: Config) -> dict[str, Path]:
    """Where each part stands that is files on this machine."""
    places = {STATE: config.state, **_systems(config)}
    for target in config.every_target[1:]:
        own_ones = {name: path for name, path in _systems(config.at(target)).items() if path not in places.values()}
        places |= {f"targets/{target}/{name}": path for name, path in own_ones.items()}
    if config.store_url and config.store_url.startswith(_SQLITE):
        places["store.db"] = Path(config.store_url.removeprefix(_SQLITE))
    places |= backup_audit.place_of(config)
    kept = config.state
    return {
        name: path
        for name, path in places.items()
        if name == STATE or name.endswith(DATASETS) or not path.is_relative_to(kept)
    }


def _systems(config: Config) -> dict[str, Path]:
    """Where the parts of one target stand that are files on this machine."""
    places = {DATASETS: config.datasets.repository}
    if "://" not in config.datasets.remote:
        places[REMOTE] = Path(config.datasets.remote)
    if config.tracking.uri.startswith(_SQLITE):
        places[f"{MODELS}/mlflow.db"] = Path(config.tracking.uri.removeprefix(_SQLITE))
    artifacts = _folder(config.tracking.artifacts)
    if artifacts is not None:
        places[f"{MODELS}/artifacts"] = artifacts
    return places


def _folder(address: str | None) -> Path | None:
    if not address:
        return None
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(address) if not parts.scheme else None


def _proven(manifest: Manifest, fresh: Path, clock: Clock) -> int | None:
    """Check databases and the audit chain of what was fetched; return the number of its records."""
    for file in sorted(path for path in fresh.rglob("*") if path.is_file()):
        if is_sqlite(file) and (found := damage(file)):
            raise IntegrityError(f"{file.relative_to(fresh)} of backup {manifest.stamp} is damaged: {found}")
    chains = [fresh / name for name in (AUDIT, backup_audit.FILE, backup_audit.LINES)]
    return backup_audit.proven(chains, dict(manifest.facts), clock)


def _placed(config: Config, fresh: Path, clock: Clock) -> tuple[list[str], list[str]]:
    """Put each part in the place the configuration names, and return those put and those left alone."""
    done: list[str] = []
    left: list[str] = []
    for name, place in _places(config).items():
        source = fresh / name
        if not source.exists():
            continue
        if place.exists() and (place.is_file() or any(place.iterdir())):
            left.append(name)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(DATASETS):
            unbundle(source, place)
        else:
            _place(source, place)
        done.append(name)
    if (fresh / backup_audit.LINES).is_file() and in_a_server(config):
        filled = backup_audit.restored(config, fresh / backup_audit.LINES, clock)
        (done if filled else left).append(backup_audit.LINES)
    if (fresh / STORE).is_file() and config.store_url:
        from adapters.store.dump import load

        (done if load(config.store_url, fresh / STORE) else left).append(STORE)
    return done, left


def _place(source: Path, place: Path) -> None:
    if place.is_dir():
        place.rmdir()
    shutil.move(source, place)


def _parts_in(manifest: Manifest) -> list[str]:
    return sorted({file.name.split("/")[0] for file in manifest.files})
