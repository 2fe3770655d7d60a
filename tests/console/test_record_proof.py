"""What is said of one record and of the whole chain, also where somebody has changed it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import ConflictError, InvalidInput
from service.api.serving import Serving
from service.web.proving import Progress, Proven, Prover
from service.web.record_proof import proof
from tests.support.serving import serving_of


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    made = serving_of(Path(tmp_path_factory.mktemp("kept")))
    yield made
    made.app.close()


@pytest.fixture
def serving(kept: Serving) -> Iterator[Serving]:
    """Return what is served; what a test does to the files of the chain is undone after it."""
    chain, anchor = kept.app.config.audit_file, kept.app.config.state / "artifacts" / "audit.head"
    head = anchor.read_bytes()
    with sqlite3.connect(chain) as connection:
        before = connection.execute("SELECT sequence, body FROM records").fetchall()
        (guard,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'records_no_update'").fetchone()
    yield kept
    anchor.write_bytes(head)
    with sqlite3.connect(chain) as connection:
        connection.execute("DROP TRIGGER IF EXISTS records_no_update")
        connection.executemany("UPDATE records SET body = ? WHERE sequence = ?", [(b, n) for n, b in before])
        connection.execute(guard)


def _change(serving: Serving, record: int) -> None:
    with sqlite3.connect(serving.app.config.audit_file) as connection:
        connection.execute("DROP TRIGGER records_no_update")
        (text,) = connection.execute("SELECT body FROM records WHERE sequence = ?", (record,)).fetchone()
        changed = text.replace('"actor":"', '"actor":"not ', 1)
        connection.execute("UPDATE records SET body = ? WHERE sequence = ?", (changed, record))


def test_a_record_stands_between_two_others_and_a_signature_covers_it(serving: Serving) -> None:
    found = proof(serving.app.audit, 12)
    assert (found.intact, found.follows, found.followed, found.next) == (True, True, True, 13)
    assert found.vouched is not None
    assert found.vouched.holds
    assert found.vouched.covers >= 12


def test_the_first_record_follows_the_beginning_and_the_last_one_has_none_after_it(serving: Serving) -> None:
    last = serving.app.audit.head().records
    assert proof(serving.app.audit, 1).follows
    assert (proof(serving.app.audit, last).followed, proof(serving.app.audit, last).next) == (None, None)


@pytest.mark.parametrize("number", [0, -1, 100_000])
def test_a_number_there_is_no_record_of_is_refused_with_those_there_are(serving: Serving, number: int) -> None:
    with pytest.raises(InvalidInput, match="The chain has records 1 to"):
        proof(serving.app.audit, number)


def test_a_changed_record_is_seen_to_be_changed(serving: Serving) -> None:
    _change(serving, 12)
    assert not proof(serving.app.audit, 12).intact
    assert proof(serving.app.audit, 11).intact


def test_a_walk_tells_how_far_it_is_and_ends_with_what_it_found(serving: Serving) -> None:
    *steps, result = Prover(serving.app).prove()
    assert isinstance(result, Proven)
    assert result.ok
    assert f"{serving.app.audit.head().records:,} records" in result.said
    assert steps[0] == Progress(0, serving.app.audit.head().records)
    places = [step.done for step in steps if isinstance(step, Progress)]
    assert places == sorted(places)
    assert len(places) > 1


def test_a_walk_over_a_changed_chain_names_the_record_and_why(serving: Serving) -> None:
    _change(serving, 20)
    *_, result = Prover(serving.app).prove()
    assert isinstance(result, Proven)
    assert (result.ok, result.record, result.why) == (False, 20, "changed")


def test_a_chain_whose_anchor_is_gone_is_not_said_to_be_proved(serving: Serving) -> None:
    (serving.app.config.state / "artifacts" / "audit.head").unlink()
    *_, result = Prover(serving.app).prove()
    assert isinstance(result, Proven)
    assert (result.ok, result.why) == (False, "anchor missing")


def test_a_second_walk_at_the_same_time_is_refused_and_one_after_it_is_not(serving: Serving) -> None:
    prover = Prover(serving.app)
    prover._walking.acquire()
    with pytest.raises(ConflictError, match="being verified already"):
        prover.prove()
    prover._walking.release()
    *_, first = prover.prove()
    *_, second = prover.prove()
    assert isinstance(first, Proven)
    assert isinstance(second, Proven)
    assert first.ok
    assert second.ok
