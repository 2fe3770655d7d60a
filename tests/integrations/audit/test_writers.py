"""Many writers, threads and processes, on one chain: no place is taken twice, no record is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.audit.chain import DatabaseChain
from domain.errors import AuditUnavailable
from tests.contract.audit_contract import entry
from tests.contract.store_contract import at_once
from tests.integrations.audit.writer import chain_at

PROCESSES, EACH = 3, 30


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "audit.db")
    fresh: Callable[[], str] = request.getfixturevalue("fresh")
    return fresh()


def keys(chain: DatabaseChain) -> dict[str, int]:
    return {record.entry.key: record.sequence for record in chain.records()}


@pytest.mark.integration("audit", "works")
def test_processes_that_write_at_once_make_one_chain_with_every_record_they_were_told_of(place: str) -> None:
    command = [sys.executable, "-m", "tests.integrations.audit.writer", place]
    running = [
        subprocess.Popen([*command, str(name), str(EACH)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in range(PROCESSES)
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate(timeout=120)[0].split() for process in running]
    chain = chain_at(place)
    assert chain.verify() == PROCESSES * EACH
    found = keys(chain)
    for name, numbers in enumerate(told):
        assert [found[f"{name}/{turn}"] for turn in range(EACH)] == list(map(int, numbers))
    chain.close()


@pytest.mark.integration("audit", "works")
def test_threads_of_several_connections_make_one_chain(place: str) -> None:
    chains = [chain_at(place) for _ in range(3)]
    at_once(12, lambda number: [chains[number % 3].append(entry(key=f"{number}/{turn}")) for turn in range(10)])
    assert chains[0].verify() == 120
    found = keys(chains[1])
    assert all(found[f"5/{turn}"] < found[f"5/{turn + 1}"] for turn in range(9))
    for chain in chains:
        chain.close()


@pytest.mark.integration("audit", "works")
def test_a_record_that_cannot_be_written_costs_nobody_else_theirs(place: str) -> None:
    chain = chain_at(place)
    refused: list[str] = []

    def work(number: int) -> None:
        try:
            chain.append(entry(key=f"{number}", value=float("nan") if number % 3 == 0 else number))
        except AuditUnavailable as problem:
            refused.append(str(problem))

    at_once(9, work)
    assert (chain.verify(), len(refused)) == (6, 3)
    chain.close()
