"""A contract of one's own, with a real file: changed, broken, loosened, swapped, deleted, and on record each time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.audit.base import AuditPort
from adapters.audit.memory import MemoryAudit
from domain.clock import FrozenClock
from domain.errors import AuditUnavailable, ConfigurationError
from domain.events import Event, nobody
from domain.receipt import AuditEntry, AuditRecord
from policies.contract import Contract, load_contract
from policies.live_contract import ContractChange, LiveContract
from policies.packaged import packaged_contract
from policies.pdp import hash_of
from policies.profiles import Profile
from service.config import Config
from service.contracts import ContractFile, contract_of, live_contract
from tests.support.setting import profile

TEXT = packaged_contract()
STRICTER = TEXT.replace("threshold: 0.03\n", "threshold: 0.05\n")
ROW = "    reaction: PT24H\n"


def config_of(contract: Path | None) -> Config:
    """Return a configuration with a contract of its own; nothing else of it is looked at."""
    around: dict[str, Any] = {
        "platform": {"url": "http://localhost:1"},
        "metrics": {"kind": "scrape", "url": "http://localhost:1"},
        "values": {"remote": "values.git"},
        "tracking": {"uri": "sqlite:///models.db"},
        "datasets": {"repository": "datasets", "remote": "dvc"},
        "evaluation": {"sealed": "sealed.jsonl"},
    }
    return Config.model_validate({**around, "contract": contract})


def quiet() -> Profile:
    """Return a profile that changes no limit."""
    return profile().model_copy(update={"signals": {}})


class Watched:
    """A file with the packaged contract in it, and a live contract that looks when it is told to."""

    def __init__(self, folder: Path, audit: AuditPort | None = None) -> None:
        self.path = folder / "contract.yaml"
        self.path.write_text(TEXT, encoding="utf-8")
        self.audit = audit or MemoryAudit(FrozenClock())
        self.events: list[Event] = []
        self.clock = FrozenClock()
        self.live = self.opened(self.path)
        self.first = self.live()

    def opened(self, path: Path) -> LiveContract:
        """Return a live contract on a file."""
        return live_contract(config_of(path), quiet(), clock=self.clock, audit=self.audit, observer=self._note)

    def _note(self, event: Event) -> None:
        self.events.append(event)

    def write(self, text: str) -> None:
        """Write the file, and look twice, as a second passes between the looks."""
        self.path.write_text(text, encoding="utf-8")
        self.look()

    def look(self) -> None:
        """Look twice."""
        for _ in range(2):
            self.live.look()

    def gate(self) -> float:
        """Return the threshold of nDCG@10 that counts."""
        return self.live().quality_gates["ndcg_at_10"].threshold

    def statuses(self) -> list[str]:
        """Return what is on record."""
        return [record.entry.status for record in self.audit.records()]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_changed_contract_is_in_force_and_on_record_with_its_hash(watched: Watched) -> None:
    before = watched.live.contract_hash
    watched.write(STRICTER)
    assert watched.gate() == 0.05
    assert watched.live.contract_hash == hash_of({"contract.yaml": STRICTER.encode()}) != before
    [record] = watched.audit.records()
    assert record.entry.status == "contract_changed"
    assert record.entry.body == {"contract": watched.live.contract_hash, "before": before, "problem": ""}
    assert "in force" in watched.events[0].what
    assert watched.live.check() == f"contract {watched.live.contract_hash[:12]} in force"


def test_it_is_looked_at_by_itself_once_a_second_has_passed(watched: Watched) -> None:
    watched.path.write_text(STRICTER, encoding="utf-8")
    assert watched.gate() == 0.03
    for _ in range(2):
        watched.clock.sleep(timedelta(seconds=1))
        watched.live()
    assert watched.gate() == 0.05


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEXT[: len(TEXT) // 2], "contract.yaml"),
        ("", "holds no mapping"),
        (TEXT.replace("threshold: 0.03\n", "threshold: -0.01\n"), "would let a loss through"),
        (TEXT.replace("threshold: -0.01\n", "threshold: -0.5\n"), "no_quality_loss would let a loss through"),
        (TEXT.replace("unit: ms", "unit: s"), "latency_p95_ms is in 's', and measured in 'ms'"),
        (TEXT.replace("threshold: 0.03\n", "threshold: .nan\n"), "finite"),
        (TEXT.replace("PT1H", "PT0S"), "the reaction of ndcg_at_10 is no time"),
        (TEXT.replace("vector_index_errors:", "index_mistakes:"), "came or went"),
        (TEXT.replace("kind: min_relative_delta\n    threshold: 0.03", "kind: min\n    threshold: 0.03"), "no gate"),
        (f"{TEXT}\nmore: 1\n", "more"),
        (TEXT.replace("version: 1", "version: 2024-13-45"), "month"),
        (TEXT.replace("version: 1", f"version: {'9' * 5000}"), "digits"),
        ("[" * 30_000 + "]" * 30_000, "levels deep"),
        (TEXT.replace("bad_direction: down", "bad_direction: up", 1), "ndcg_at_10 is said to get worse going up"),
        (TEXT.replace("threshold: 0.15", "threshold: 40"), "latency_p95_ms would let a rise by 40 through"),
        (TEXT.replace("threshold: 0.15", "threshold: -0.1"), "latency_p95_ms would let a rise by -0.1 through"),
        (TEXT.replace("test: sequential", "test: none", 1), "nothing takes a change back for ndcg_at_10"),
    ],
)
def test_a_broken_or_loose_contract_never_counts_and_the_old_one_stays_loudly(
    watched: Watched, text: str, said: str
) -> None:
    assert text != TEXT
    watched.write(text)
    assert watched.live() is watched.first
    assert said in watched.live.problem
    assert watched.statuses() == ["contract_kept"]
    assert said in str(watched.audit.records()[0].entry.body["problem"])
    assert "stays in force" in watched.events[0].what
    with pytest.raises(ConfigurationError, match="the one of before counts"):
        watched.live.check()
    watched.look()
    assert watched.statuses() == ["contract_kept"]  # told once
    watched.write(TEXT)
    assert watched.live.problem == ""
    assert watched.statuses() == ["contract_kept", "contract_changed"]


def test_a_rollback_by_limits_takes_the_place_of_one_by_the_test(watched: Watched) -> None:
    by_limits = "test: none\n      limits: [{kind: relative_to_baseline, threshold: 0.02}]"
    watched.write(TEXT.replace("test: sequential\n      limits: []", by_limits, 1))
    assert watched.live.problem == ""
    assert watched.live().signal("ndcg_at_10").rollback.test == "none"


def test_a_contract_that_never_took_a_change_back_for_quality_may_stay_so(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    without = TEXT.replace("test: sequential", "test: none", 1)
    path.write_text(without, encoding="utf-8")
    live = live_contract(
        config_of(path), quiet(), clock=FrozenClock(), audit=MemoryAudit(FrozenClock()), observer=nobody
    )
    path.write_text(without.replace("threshold: 0.03\n", "threshold: 0.05\n"), encoding="utf-8")
    for _ in range(2):
        live.look()
    assert live().quality_gates["ndcg_at_10"].threshold == 0.05


@pytest.mark.parametrize("slip", [ValueError(), KeyError("x"), OverflowError("too large"), RecursionError("deep")])
def test_whatever_judging_a_changed_file_raises_is_told_and_the_old_contract_stays(
    tmp_path: Path, slip: Exception
) -> None:
    path, first = tmp_path / "own.yaml", load_contract(TEXT)
    path.write_text(TEXT, encoding="utf-8")

    def build(files: Mapping[str, bytes]) -> Contract:
        if files["own.yaml"] != TEXT.encode():
            raise slip
        return first

    clock, told = FrozenClock(), list[ContractChange]()
    live = LiveContract(ContractFile(path), build, monotonic=clock.monotonic, told=told.append)
    path.write_text(f"{STRICTER}#\n", encoding="utf-8")  # of another size, however soon it follows
    for _ in range(3):
        clock.sleep(timedelta(seconds=1))
        assert live() is first
    assert type(slip).__name__ in live.problem
    assert [change.taken for change in told] == [False]


def test_what_is_still_being_written_waits_until_it_rests(watched: Watched) -> None:
    for number in range(4):
        watched.path.write_text(f"{STRICTER}#{number * 'x'}\n", encoding="utf-8")  # no two of a size
        watched.live.look()
        assert watched.gate() == 0.03
    watched.look()
    assert watched.gate() == 0.05


def test_a_touched_file_is_no_change(watched: Watched) -> None:
    os.utime(watched.path)
    watched.look()
    assert (watched.statuses(), watched.events) == ([], [])


def test_a_deleted_file_leaves_the_contract_in_force_and_may_come_back(watched: Watched) -> None:
    watched.path.rename(watched.path.with_suffix(".away"))
    watched.look()
    assert watched.gate() == 0.03
    assert "cannot be read" in watched.live.problem
    watched.path.with_suffix(".away").rename(watched.path)
    watched.look()
    assert watched.live.problem == ""


def test_a_swapped_symbolic_link_is_a_change(watched: Watched) -> None:
    link, other = watched.path.with_name("current.yaml"), watched.path.with_name("other.yaml")
    other.write_text(STRICTER, encoding="utf-8")
    link.symlink_to(watched.path)
    live = watched.opened(link)
    fresh = link.with_suffix(".new")
    fresh.symlink_to(other)
    fresh.replace(link)
    for _ in range(2):
        live.look()
    assert live().quality_gates["ndcg_at_10"].threshold == 0.05


def test_a_contract_that_cannot_be_put_on_record_does_not_count(tmp_path: Path) -> None:
    class Full(MemoryAudit):
        """Takes nothing."""

        full = True

        def append(self, entry: AuditEntry) -> AuditRecord:
            """See `AuditPort.append`."""
            if self.full:
                raise AuditUnavailable("the disk is full")
            return super().append(entry)

    audit = Full(FrozenClock())
    watched = Watched(tmp_path, audit)
    watched.write(STRICTER)
    assert watched.gate() == 0.03
    assert "could not be put on record" in watched.live.problem
    audit.full = False
    watched.look()
    assert watched.gate() == 0.05
    assert watched.statuses() == ["contract_changed"]


@pytest.mark.parametrize("text", ["", "version: 1\n", TEXT.replace("unit: ms", "unit: s"), None])
def test_nothing_begins_without_a_good_contract(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "contract.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError):
        contract_of(config_of(path), quiet())
    with pytest.raises(ConfigurationError):
        live_contract(config_of(path), quiet(), clock=FrozenClock(), audit=MemoryAudit(FrozenClock()), observer=nobody)


def test_what_is_no_file_or_too_large_or_no_text_is_refused(tmp_path: Path) -> None:
    large, binary = tmp_path / "large.yaml", tmp_path / "binary.yaml"
    large.write_text(TEXT + "# \n" * 500_000, encoding="utf-8")
    binary.write_bytes(b"\xff\xfe\x00version: 1")
    for path, said in ((tmp_path, "no regular file"), (large, "bytes"), (binary, "binary.yaml")):
        with pytest.raises(ConfigurationError, match=said):
            contract_of(config_of(path), quiet())


def test_the_packaged_contract_counts_where_none_is_named_and_with_the_limits_of_the_profile() -> None:
    assert contract_of(config_of(None), quiet()).signal("etl_backlog_s").limits[0].threshold == 60
    assert contract_of(config_of(None), profile()).signal("etl_backlog_s").limits[0].threshold == 10
    assert ROW in TEXT
