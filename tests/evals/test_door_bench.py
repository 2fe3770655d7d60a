"""The door's figures are of the real door and a real chain, and a goal that is missed is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.audit.keys import Keys
from adapters.audit.signed import HEAD, SignedAudit
from adapters.audit.signing import SigningKey
from adapters.audit.sqlite import SqliteAudit
from domain.clock import SystemClock
from domain.errors import ChainBroken
from evals import door_bench, door_chain, door_threads
from evals.sections import Section


def test_a_generated_chain_is_one_and_a_changed_byte_of_it_is_found(tmp_path: Path) -> None:
    keys, clock = Keys(tmp_path), SystemClock()
    chain = SqliteAudit(tmp_path / "audit.db", clock)
    assert chain.refill(door_chain.generated(600, keys.current())) == 600
    count, found = SignedAudit(chain, keys, clock, anchor=tmp_path / HEAD).proven()
    assert (count, found.checkpoints, found.covered) == (600, 2, 513)
    assert all(record.intact() for record in chain.of_key("000000000007"))
    chain.close()
    links = list(door_chain.generated(600, SigningKey.made()))
    other = SqliteAudit(tmp_path / "other.db", clock)
    links[300] = links[300]._replace(text=links[300].text.replace("promote", "demote", 1))
    with pytest.raises(ChainBroken, match="record 301"):
        other.refill(links)
    assert other.verify() == 0
    other.close()


def test_every_step_of_the_proof_is_timed_beside_the_bare_hash(tmp_path: Path) -> None:
    section = door_chain.measure(tmp_path, SystemClock(), 1200)
    times = [row["times the bare hash"] for row in section.rows]
    assert times[2] == 1.0
    assert all(isinstance(row["records a minute"], float) and row["records a minute"] > 0 for row in section.rows)


def test_threads_share_flushes_and_every_call_is_let_through(tmp_path: Path) -> None:
    section, best = door_threads.measure(tmp_path, SystemClock(), seconds=1.0, threads=(1, 6))
    rates = {str(row["calls"]): row for row in section.rows}
    assert best > 0
    alone, together = rates["effects, 1 threads"], rates["effects, 6 threads"]
    assert isinstance(alone["calls a flush of the chain"], float)
    assert isinstance(together["calls a flush of the chain"], float)
    assert alone["calls a flush of the chain"] <= 0.5 < 6 * together["calls a flush of the chain"]


def test_a_goal_that_is_missed_is_said_to_be(tmp_path: Path) -> None:
    audit = door_chain.measure(tmp_path, SystemClock(), 1000)
    rows = [
        {"call": name, "p95 ms": 1.0, "p50 ms": 0.5}
        for name in (
            "bare call of a no-op tool",
            "one flushed write (fsync) of 600 bytes",
            "read through the gate",
            "effect through the gate",
        )
    ]
    sections = {
        "gate": Section("gate", "", rows),
        "policy": Section("policy", "", [{"p50 us": 150.0}]),
        "audit": audit,
        "sustained": Section("sustained", "", [{"calls": "reads", "a second": 900.0}]),
    }
    met = {str(row["figure"]): row["met"] for row in door_bench.summary(sections, 999.0).rows}
    assert (met["policy decision p50"], met["gated effects, sustained"]) == ("NO", "NO")
    assert met["gate p95, a read (one flushed record)"] == "-"
