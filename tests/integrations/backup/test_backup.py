"""Backups, made beside a working service, damaged, lost and brought back."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.audit.sqlite import SqliteAudit
from adapters.backup.archive import kept_of
from adapters.backup.base import ObjectsPort
from adapters.backup.local import LocalObjects
from adapters.backup.memory import MemoryObjects
from adapters.backup.s3 import S3Objects
from adapters.backup.snapshot import snapshot
from adapters.s3 import S3Location
from domain.clock import FrozenClock, SystemClock
from domain.errors import (
    ConfigurationError,
    ConflictError,
    DependencyTimeout,
    DependencyUnavailable,
    DigestMismatch,
    IntegrityError,
    InvalidInput,
)
from service.backup import back_up, backups, objects_of, restore, verify
from service.config import Config
from service.sections import BackupConfig
from testbed.servers.moto import Moto
from tests.contract.gitremote import git
from tests.integrations.backup.office import append, config_in, state_of
from tests.integrations.stores import silence


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = config_in(tmp_path)
    state_of(made)
    return made


def contents(folder: Path) -> dict[str, bytes]:
    """Return relative path -> bytes of the files that are no database."""
    files = (p for p in folder.rglob("*") if p.is_file() and ".db" not in p.name)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.mark.integration("backup", "works")
def test_what_was_lost_comes_back_as_it_was_but_for_a_line_that_was_not_whole(
    config: Config, clock: FrozenClock, s3: Moto
) -> None:
    target = BackupConfig.model_validate({"to": f"{s3.bucket('daily')}/search", "s3": {"endpoint_url": s3.url}})
    objects = objects_of(target)
    before = contents(config.state)
    record = back_up(config, objects, clock)
    shutil.rmtree(config.state)
    done = restore(config, objects, clock)
    assert contents(config.state) == {**before, "memory.jsonl": b'{"id": "one"}\n'}
    assert (done.stamp, done.audit_records, record.audit_records) == (record.stamp, 3, 3)
    assert done.parts == ("state",)
    assert done.left_alone == ("models/mlflow.db",)
    audit = SqliteAudit(config.state / "audit.db", clock)
    assert (audit.verify(), audit.head()[1]) == (3, record.audit_head)
    audit.close()


@pytest.mark.integration("backup", "works")
def test_everything_that_is_files_comes_back_when_the_whole_machine_was_lost(
    config: Config, clock: FrozenClock, tmp_path: Path
) -> None:
    repository = config.datasets.repository
    repository.mkdir()
    git(repository, "init", "--quiet", "--initial-branch=main")
    (repository / "train.dvc").write_text("outs: []\n")
    git(repository, "add", "--all")
    git(repository, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "data")
    git(repository, "tag", "gold/first")
    (tmp_path / "dvc-remote" / "files").mkdir(parents=True)
    (tmp_path / "dvc-remote" / "files" / "object").write_text("data")
    objects = MemoryObjects()
    back_up(config, objects, clock)
    for name in ("state", "datasets", "dvc-remote"):
        shutil.rmtree(tmp_path / name)
    (tmp_path / "mlflow.db").unlink()
    done = restore(config, objects, clock)
    assert sorted(done.parts) == ["dataset-remote", "datasets.bundle", "models/mlflow.db", "state"]
    assert git(repository, "log", "-1", "--format=%s", "gold/first") == "data"
    assert (repository / "train.dvc").exists()
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        assert database.execute("SELECT name FROM models").fetchall() == [("reranker",)]
    assert (tmp_path / "dvc-remote" / "files" / "object").read_text() == "data"


@pytest.mark.integration("backup", "works")
def test_data_and_models_of_a_further_target_come_back_too(tmp_path: Path, clock: FrozenClock) -> None:
    ads = {
        "platform": {"url": "http://127.0.0.1:9/ads"},
        "metrics": {"url": "http://127.0.0.1:9/ads/metrics"},
        "values": {"path": "ads.yaml"},
        "tracking": {"uri": f"sqlite:///{tmp_path}/ads.db", "model": "ads"},
        "datasets": {"repository": "ads-datasets"},
        "evaluation": {"sealed": "ads.jsonl"},
    }
    config = config_in(tmp_path, targets={"ads": ads})
    state_of(config)
    repositories = [config.datasets.repository, config.at("ads").datasets.repository]
    for repository in repositories:
        repository.mkdir()
        git(repository, "init", "--quiet", "--initial-branch=main")
        (repository / "train.dvc").write_text(repository.name)
        git(repository, "add", "--all")
        git(repository, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", repository.name)
    with closing(sqlite3.connect(tmp_path / "ads.db")) as database, database:
        database.execute("CREATE TABLE models (name TEXT)")
    objects = MemoryObjects()
    back_up(config, objects, clock)
    for place in (config.state, *repositories):
        shutil.rmtree(place)
    for name in ("mlflow.db", "ads.db"):
        (tmp_path / name).unlink()
    done = restore(config, objects, clock)
    further = ["targets/ads/datasets.bundle", "targets/ads/models/mlflow.db"]
    assert sorted(done.parts) == ["datasets.bundle", "models/mlflow.db", "state", *further]
    assert [(repository / "train.dvc").read_text() for repository in repositories] == ["datasets", "ads-datasets"]
    assert (tmp_path / "ads.db").is_file()


@pytest.mark.integration("backup", "works")
def test_a_second_backup_uploads_what_has_changed_only(config: Config, clock: FrozenClock) -> None:
    objects = MemoryObjects()
    first = back_up(config, objects, clock)
    clock.advance(timedelta(days=1))
    append(config, 1, clock)
    second = back_up(config, objects, clock)
    assert first.uploaded_files == first.files == second.files
    assert second.uploaded_files == 1
    assert second.audit_records == 4
    assert [m.stamp for m in backups(objects, clock)] == [second.stamp, first.stamp]
    with pytest.raises(ConflictError, match=second.stamp):
        back_up(config, objects, clock)
    clock.advance(timedelta(days=1))
    assert back_up(config, objects, clock, full=True).uploaded_files == 5


@pytest.mark.integration("backup", "works")
def test_an_older_backup_comes_back_into_a_folder_of_its_own(
    config: Config, clock: FrozenClock, tmp_path: Path
) -> None:
    objects = LocalObjects(tmp_path / "elsewhere")
    old = back_up(config, objects, clock)
    clock.advance(timedelta(hours=1))
    append(config, 5, clock)
    back_up(config, objects, clock)
    done = restore(config, objects, clock, stamp=old.stamp, into=tmp_path / "look")
    assert done.audit_records == 3
    assert sorted(path.name for path in (tmp_path / "look").iterdir()) == ["models", "state"]
    assert SqliteAudit(config.state / "audit.db", clock).verify() == 8


@pytest.mark.integration("backup", "works")
def test_two_databases_are_seen_at_one_moment_while_they_are_written_to(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    pair = [sqlite3.connect(folder / name, isolation_level=None, check_same_thread=False) for name in ("a.db", "b.db")]
    for database in pair:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE n (n INTEGER)")
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            for database in pair:  # always a before b: a is ahead by one at most
                database.execute("INSERT INTO n VALUES (?)", (number,))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = [_highest(folder, tmp_path / f"scratch{turn}") for turn in range(15)]
    finally:
        stop.set()
        writer.join()
        for database in pair:
            database.close()
    assert all(a - b in (0, 1) for a, b in found), found
    assert found[-1][0] > found[0][0]


def _highest(folder: Path, scratch: Path) -> tuple[int, int]:
    with snapshot({"state": folder}, scratch) as files:
        rows = {}
        for name, copy in files:
            with closing(sqlite3.connect(copy)) as database:
                rows[name] = database.execute("SELECT coalesce(max(n), 0), count(*) FROM n").fetchone()
    assert all(highest == count for highest, count in rows.values())
    return rows["state/a.db"][0], rows["state/b.db"][0]


@pytest.mark.integration("backup", "works")
def test_a_backup_beside_a_chain_that_grows_is_a_whole_chain(config: Config, tmp_path: Path) -> None:
    clock, stop = SystemClock(), threading.Event()

    def write() -> None:
        while not stop.is_set():
            append(config, 5, clock)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        record = back_up(config, LocalObjects(tmp_path / "to"), clock)
    finally:
        stop.set()
        writer.join()
    done = restore(config, LocalObjects(tmp_path / "to"), clock, into=tmp_path / "back")
    assert done.audit_records == record.audit_records
    assert (record.audit_records or 0) >= 3


@pytest.mark.integration("backup", "works")
def test_backups_are_kept_by_day_then_by_week_and_their_files_with_them(
    config: Config, clock: FrozenClock, tmp_path: Path
) -> None:
    objects = MemoryObjects()
    target = BackupConfig(to=str(tmp_path), keep_daily=3, keep_weekly=2)
    changing = config.state / "artifacts" / "today.txt"
    for day in range(16):  # from Thursday, 1 January 2026 on
        changing.write_text(f"day {day}")
        back_up(config, objects, clock, target=target)
        clock.advance(timedelta(days=1))
    kept = [m.stamp[:8] for m in backups(objects, clock)]
    assert kept == ["20260116", "20260115", "20260114", "20260111"]
    for manifest in backups(objects, clock):
        verify(objects, clock, stamp=manifest.stamp)
    needed = {f"objects/{f.sha256}" for m in backups(objects, clock) for f in m.files}
    assert set(objects.names("objects/")) == needed


def test_the_newest_backup_is_never_deleted() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    old = ["20250101T000000Z", "20250102T000000Z"]
    assert kept_of(old, now, keep_daily=1, keep_weekly=0) == {"20250102T000000Z"}
    same_day = ["20260601T000000Z", "20260601T060000Z"]
    assert kept_of(same_day, now, keep_daily=14, keep_weekly=8) == {"20260601T060000Z"}


class Failing(MemoryObjects):
    """A store that refuses from the third object on."""

    def put(self, name: str, source: Path) -> None:
        """See `ObjectsPort.put`."""
        if len(self.objects) >= 2:
            raise DependencyUnavailable("backup s3", "the disk is full")
        super().put(name, source)


@pytest.mark.integration("backup", "refused")
def test_a_backup_that_was_broken_off_is_no_backup(config: Config, clock: FrozenClock) -> None:
    objects = Failing()
    with pytest.raises(DependencyUnavailable, match="disk is full"):
        back_up(config, objects, clock)
    assert backups(objects, clock) == []
    with pytest.raises(InvalidInput, match="there is no backup yet"):
        restore(config, objects, clock, into=config.state.parent / "back")


@pytest.mark.integration("backup", "refused")
def test_a_bucket_that_went_away_is_named(config: Config, clock: FrozenClock, s3: Moto) -> None:
    gone = objects_of(BackupConfig.model_validate({"to": "s3://went-away", "s3": {"endpoint_url": s3.url}}))
    with pytest.raises(DependencyUnavailable, match="no bucket went-away"):
        back_up(config, gone, clock)


@pytest.mark.integration("backup", "slow")
def test_a_store_that_does_not_answer_and_a_database_that_is_held_are_timeouts(
    config: Config, clock: FrozenClock, s3: Moto, tmp_path: Path
) -> None:
    with silence() as url:
        late = S3Objects(S3Location(url="s3://late", endpoint_url=url, timeout=timedelta(milliseconds=200)))
        with pytest.raises(DependencyTimeout, match="did not answer"):
            back_up(config, late, clock)
    with closing(sqlite3.connect(config.state / "audit.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with (
            pytest.raises(DependencyTimeout, match="locked"),
            snapshot({"state": config.state}, tmp_path / "scratch", busy=timedelta(milliseconds=50)),
        ):
            pytest.fail("the snapshot must not begin")


@pytest.fixture
def made(config: Config, clock: FrozenClock) -> Iterator[MemoryObjects]:
    objects = MemoryObjects()
    back_up(config, objects, clock)
    shutil.rmtree(config.state)
    yield objects
    assert not config.state.exists(), "something was put in place"


def altered(objects: MemoryObjects, holds: bytes) -> str:
    """Change an object that holds these bytes, or the manifest, and return its name."""
    name = next(n for n, data in objects.objects.items() if holds in data and n.startswith("objects/"))
    objects.objects[name] = objects.objects[name].replace(holds, holds[::-1])
    return name


@pytest.mark.integration("backup", "lying")
def test_an_altered_file_is_found_by_verify_and_never_restored(
    config: Config, clock: FrozenClock, made: MemoryObjects
) -> None:
    name = altered(made, b"improved")
    for look in (lambda: verify(made, clock), lambda: restore(config, made, clock)):
        with pytest.raises(DigestMismatch, match=name):
            look()


@pytest.mark.integration("backup", "lying")
@pytest.mark.parametrize("kind", ["altered", "cut off", "another backup's"])
def test_a_manifest_that_is_not_what_was_written_is_not_followed(
    config: Config, clock: FrozenClock, made: MemoryObjects, kind: str
) -> None:
    (name,) = made.names("backups/")
    text = made.objects[name]
    damaged = {"altered": text.replace(b"outcome.json", b"outcome.jsox"), "cut off": text[:-9]}
    made.objects[name] = damaged.get(kind, text)
    if kind == "another backup's":
        made.objects = {n.replace("20260101", "20260102"): data for n, data in made.objects.items()}
    with pytest.raises(DigestMismatch, match="manifest"):
        restore(config, made, clock)


@pytest.mark.integration("backup", "lying")
def test_a_missing_object_is_named(config: Config, clock: FrozenClock, made: MemoryObjects) -> None:
    name = next(iter(made.names("objects/")))
    made.delete([name])
    with pytest.raises(InvalidInput, match=name):
        restore(config, made, clock)


@pytest.mark.integration("backup", "lying")
def test_a_chain_that_does_not_verify_is_not_put_in_place(config: Config, clock: FrozenClock) -> None:
    with closing(sqlite3.connect(config.state / "audit.db")) as database, database:
        database.execute("DROP TRIGGER records_no_update")
        database.execute("UPDATE records SET body = replace(body, 'Person', 'Nobody') WHERE sequence = 2")
    objects = MemoryObjects()
    back_up(config, objects, clock)
    shutil.rmtree(config.state)
    with pytest.raises(IntegrityError):
        restore(config, objects, clock)
    assert not config.state.exists()


@pytest.mark.integration("backup", "misconfigured")
@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("oci://bucket", r"backup\.to: 'oci://bucket' is no known kind"),
        ("s3://Upper", r"backup\.to: 's3://Upper' is not an address"),
    ],
)
def test_a_place_that_is_none_names_its_field(to: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        objects_of(BackupConfig(to=to))


@pytest.mark.integration("backup", "misconfigured")
def test_a_restore_overwrites_nothing_and_a_backup_of_nothing_is_none(
    config: Config, clock: FrozenClock, tmp_path: Path
) -> None:
    objects: ObjectsPort = MemoryObjects()
    back_up(config, objects, clock)
    with pytest.raises(InvalidInput, match="is not empty"):
        restore(config, objects, clock)
    shutil.rmtree(config.state)
    with pytest.raises(InvalidInput, match="no folder state"):
        back_up(config, objects, clock)
    with pytest.raises(InvalidInput, match="no backup 20200101T000000Z"):
        restore(config, objects, clock, stamp="20200101T000000Z")
