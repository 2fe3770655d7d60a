"""Dependencies that are files on this machine: MLflow's store, DVC's remote, the audit chain, the databases."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

from sqlalchemy import event

from tests.chaos.sites import Site, passes, stays
from tests.support.office import Rig

# Where something is out in the world, or about to be.
_HARD = ("train", "promote", "watch", "roll_back", "learn")
_PRAGMAS = {"full": "PRAGMA max_page_count=1", "read-only": "PRAGMA query_only=ON"}
_HEALED = {"full": "PRAGMA max_page_count=1073741823", "read-only": "PRAGMA query_only=OFF"}


class MlflowSite(Site):
    """MLflow on SQLite; `wrong digest` changes a byte of the newest version's bundle in its artifacts."""

    name = "MLflow store"
    faults = (*stays("down", "gone"), *passes("slow", "locked"), *stays("lying", "wrong digest"))
    stages = ("train", "evaluate", "promote", "watch", "learn")

    def hurt(self, fault: str) -> None:
        """See `Site.hurt`."""
        database = self.folder / "mlflow.db"
        match fault:
            case "gone":
                self.moved_away(database)
            case "locked":
                self.locked(database)
            case _:
                self._spoiled()

    def _spoiled(self) -> None:
        """Put a spoiled copy in the bundle's place: where the registry has it, cells may share it."""
        with closing(sqlite3.connect(self.folder / "mlflow.db", timeout=20)) as connection:
            newest = "SELECT version, source FROM model_versions ORDER BY creation_time DESC, version DESC"
            version, source = connection.execute(newest).fetchone()
        bundle = Path(url2pathname(str(source).removeprefix("file://")))
        spoiled = Path(shutil.copytree(bundle, self.folder / "spoiled", dirs_exist_ok=True))
        before = (spoiled / "model.json").read_bytes()
        (spoiled / "model.json").write_bytes(before.replace(b'"skill"', b'"skilk"'))
        self._kept_at(version, spoiled.as_uri())
        self._healing.append(lambda: self._kept_at(version, source))

    def _kept_at(self, version: int, source: str) -> None:
        with closing(sqlite3.connect(self.folder / "mlflow.db", timeout=20)) as connection, connection:
            where = "UPDATE model_versions SET source = ?, storage_location = ? WHERE version = ?"
            connection.execute(where, (source, source, version))


class DvcSite(Site):
    """DVC's remote in a folder; `wrong digest` changes a byte of every object in it and drops the cache."""

    name = "DVC remote"
    faults = (
        *stays("down", "gone"),
        *passes("down", "gone"),
        *stays("lying", "wrong digest", stages=("train", "watch")),
    )
    stages = ("augment", "train", "watch")

    def hurt(self, fault: str) -> None:
        """See `Site.hurt`."""
        remote = self.folder / "dvc-remote"
        if fault == "gone":
            self.moved_away(remote)
            return
        for place in [p for p in remote.rglob("*") if p.is_file()]:
            self._spoil(place)

    def _spoil(self, place: Path) -> None:
        before, mode = place.read_bytes(), place.stat().st_mode
        place.chmod(0o644)
        place.write_bytes(before[:-1] + b"?")

        def back() -> None:
            place.write_bytes(before)
            place.chmod(mode)

        self._healing.append(back)


class AuditSite(Site):
    """The audit chain on SQLite."""

    name = "audit store"
    always_asked = True
    faults = (
        *stays("down", "full"),
        *passes("down", "read-only", stages=_HARD),
        *stays("slow", "locked", stages=_HARD),
    )
    stages = (
        *("observe", "diagnose", "plan", "augment", "train", "evaluate", "ab", "promote", "watch"),
        *("watch of a worse model", "roll_back", "learn"),
    )

    def attach(self, rig: Rig) -> None:
        """See `Site.attach`."""
        self._audit: Any = rig.audit

    def hurt(self, fault: str) -> None:
        """See `Site.hurt`."""
        if fault == "locked":
            self.locked(self.folder / "audit.db")
            return
        self._say(_PRAGMAS[fault])
        self._healing.append(lambda: self._say(_HEALED[fault]))

    def _say(self, pragma: str) -> None:
        with self._audit._pen:
            self._audit._connection.execute(pragma)


class StoreSite(Site):
    """The store on SQLite."""

    name = "store (SQLite)"
    always_asked = True
    faults = AuditSite.faults
    stages = AuditSite.stages

    def attach(self, rig: Rig) -> None:
        """See `Site.attach`."""
        store: Any = rig.store
        self._pragma = ""

        @event.listens_for(store._database.engine, "checkout")
        def _said(connection: Any, _record: object, _proxy: object) -> None:
            if self._pragma:
                connection.execute(self._pragma)

    def hurt(self, fault: str) -> None:
        """See `Site.hurt`."""
        if fault == "locked":
            self.locked(self.folder / "store.db")
            return
        self._pragma = _PRAGMAS[fault]
        self._healing.append(lambda: setattr(self, "_pragma", _HEALED[fault]))


class WorkflowSite(Site):
    """The workflows on SQLite."""

    name = "workflow (SQLite)"
    faults = passes("slow", "locked")
    stages = ("observe", "train", "promote", "watch", "roll_back")

    def hurt(self, fault: str) -> None:
        """See `Site.hurt`."""
        self.locked(self.folder / "workflows.db")
