"""A configuration with a little state, for tests of backups."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import yaml

from adapters.audit.sqlite import SqliteAudit
from adapters.store.sqlalchemy import SqlStore
from domain.clock import Clock, FrozenClock
from domain.receipt import AuditEntry, RecordKind
from service.config import Config, load_config

NOTE = AuditEntry(kind=RecordKind.NOTE, cycle_id="si_2026_01_01_001", tool="promote", actor="A. Person")


def config_in(folder: Path, **sections: object) -> Config:
    """Write an `evercrew.yaml` of this folder and read it."""
    content = {
        "state": "state",
        "platform": {"url": "http://127.0.0.1:9"},
        "metrics": {"url": "http://127.0.0.1:9/metrics"},
        "values": {"remote": str(folder / "values.git")},
        "tracking": {"uri": f"sqlite:///{folder}/mlflow.db", "artifacts": str(folder / "mlruns")},
        "datasets": {"repository": "datasets", "remote": str(folder / "dvc-remote")},
        "evaluation": {"sealed": "sealed.jsonl"},
        **sections,
    }
    (folder / "evercrew.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_config(folder / "evercrew.yaml")


def state_of(config: Config, clock: Clock | None = None) -> None:
    """Fill the state folder: a chain of three records, a store, an artifact, a database of models."""
    config.state.mkdir(parents=True)
    append(config, 3, clock or FrozenClock())
    SqlStore(f"sqlite:///{config.state}/evercrew.db").close()
    artifact = config.state / "artifacts" / "si_2026_01_01_001" / "outcome.json"
    artifact.parent.mkdir(parents=True)
    artifact.write_text('{"outcome": "improved"}\n')
    (config.state / "memory.jsonl").write_text('{"id": "one"}\n{"id": "tw')
    models = Path(config.tracking.uri.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(models)) as database, database:
        database.execute("CREATE TABLE models (name TEXT)")
        database.execute("INSERT INTO models VALUES ('reranker')")


def append(config: Config, records: int, clock: Clock) -> None:
    """Make the audit chain longer."""
    audit = SqliteAudit(config.state / "audit.db", clock)
    for _ in range(records):
        audit.append(NOTE)
    audit.close()
