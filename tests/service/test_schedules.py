"""What the configuration makes of the schedules, and what the jobs do on an office in memory."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.vcs.memory import MemoryVcs
from cycles.routine import HealthCheck, rehearse_gold
from domain.clock import FrozenClock
from domain.diagnosis import Action
from domain.errors import ConfigurationError, IntegrityError
from domain.outcome import OutcomeKind
from service.schedules import timings
from tests.integrations.gold.test_gold import _damaged, golden, restorer, spoilt
from tests.support.office import Rig, office_in_memory
from tests.support.setting import profile

PRODUCTION, DEV = profile("production"), profile("dev")


def test_the_profile_says_when() -> None:
    found = timings(PRODUCTION, {}, backup=True)
    assert {name: str(timing) for name, timing in found.items()} == {
        "rehearsal": "30 3 * * 0",
        "health": "every 4:00:00",
        "weekly_report": "0 6 * * 1",
        "backup": "0 2 * * *",
    }
    assert "backup" not in timings(PRODUCTION, {}, backup=False)
    assert "backup" not in timings(DEV, {}, backup=True)


def test_nothing_is_deleted_by_the_clock_unless_retention_is_enabled() -> None:
    assert "retention" not in timings(PRODUCTION, {}, backup=True)
    assert str(timings(DEV, {}, backup=False, retention=True)["retention"]) == "30 4 * * 0"
    given: dict[str, Any] = {"retention": {"cron": "0 5 1 * *"}}
    assert str(timings(DEV, given, backup=False, retention=True)["retention"]) == "0 5 1 * *"
    with pytest.raises(ConfigurationError, match=r"tracking\.retention\.enabled"):
        timings(PRODUCTION, given, backup=True)
    assert "retention" not in timings(PRODUCTION, {"retention": {"enabled": False}}, backup=True)


def test_the_configuration_has_the_last_word() -> None:
    given: dict[str, Any] = {
        "rehearsal": {"cron": "0 6 * * 1"},
        "health": {"enabled": False},
        "backup": {"every": "12h"},
    }
    found = timings(DEV, given, backup=True)
    assert str(found["rehearsal"]) == "0 6 * * 1"
    assert found["backup"].every == timedelta(hours=12)
    assert "health" not in found
    assert timings(PRODUCTION, {"backup": {"enabled": True}}, backup=True)["backup"].cron == "0 2 * * *"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dinner": {}}, r"schedules\.dinner: is not a schedule. Use backup, health, rehearsal, retention"),
        ({"backup": {"cron": "0 2 * *"}}, r"schedules\.backup.*4 fields, not five"),
        ({"backup": {"every": "often"}}, r"schedules\.backup\.every.*no duration"),
        ({"backup": {"every": "1h", "cron": "0 2 * * *"}}, r"schedules\.backup.*either cron or every"),
        ({"backup": {"at": "noon"}}, r"schedules\.backup\.at"),
    ],
)
def test_an_entry_that_is_wrong_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        timings(PRODUCTION, given, backup=True)


def test_a_backup_needs_a_place() -> None:
    with pytest.raises(ConfigurationError, match=r"backup\.to"):
        timings(PRODUCTION, {"backup": {"cron": "0 2 * * *"}}, backup=False)


def test_the_rehearsal_says_what_it_did_and_fails_by_name(tmp_path: Path) -> None:
    assert "no gold baseline yet" in rehearse_gold(restorer(office_in_memory(tmp_path / "young")))
    rig = golden(tmp_path / "old").rig
    assert "the present values are these already" in rehearse_gold(restorer(rig))
    spoilt(rig)
    said = rehearse_gold(restorer(rig))
    for words in ("can be restored", "can be taken back", "files and its digest", "files and verifies", "carry gold/"):
        assert words in said
    _damaged(rig)
    with pytest.raises(IntegrityError, match=r"gold/.* cannot be restored: dataset: .*hash"):
        rehearse_gold(restorer(rig))


def _health(rig: Rig) -> HealthCheck:
    from tests.support.setting import contract, signal_reader

    reader = signal_reader(rig.ports.metrics, rig.profile, contract(rig.profile), rig.clock)
    return HealthCheck(reader, rig.store, rig.clock, rig.engine.start, target="search", environment="dev")


def test_a_healthy_platform_opens_no_cycle(tmp_path: Path) -> None:
    rig = golden(tmp_path).rig
    assert isinstance(rig.ports.vcs, MemoryVcs)
    assert isinstance(rig.clock, FrozenClock)
    rig.clock.advance(timedelta(hours=1))
    before = len(rig.store.cycles())
    assert "none is beyond its limit" in _health(rig)()
    assert len(rig.store.cycles()) == before


def test_a_breach_nobody_alerted_of_opens_a_cycle_that_is_worked(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path, Action.TUNE)
    assert isinstance(rig.clock, FrozenClock)
    rig.engine.launch()
    rig.clock.advance(rig.profile.measure.current)
    said = _health(rig)()
    (cycle,) = rig.store.cycles()
    assert said == f"latency_p95_ms beyond the limit: {cycle.id} opened"
    assert cycle.alert.source == "schedule"
    assert rig.engine.wait(cycle.id).outcome is OutcomeKind.TUNED


def test_a_breach_may_take_the_way_of_every_alert_and_is_resolved_when_the_signal_is_well(tmp_path: Path) -> None:
    from adapters.inbox.memory import MemoryInbox
    from cycles.intake import take_turn
    from domain.alert import AlertStatus

    rig = office_in_memory(tmp_path, Action.TUNE)
    assert isinstance(rig.clock, FrozenClock)
    rig.engine.launch()
    rig.clock.advance(rig.profile.measure.current)
    inbox = MemoryInbox(rig.store, rig.clock)
    check = _health(rig)
    check._inbox = inbox
    assert check() == "latency_p95_ms beyond the limit: told to the inbox"
    assert rig.store.cycles() == []
    turn = take_turn(inbox, rig.clock)
    assert turn is not None
    [opened] = turn.opened
    rig.engine.start(opened)
    assert rig.engine.wait(opened).outcome is OutcomeKind.TUNED
    rig.clock.advance(timedelta(hours=1))
    assert "none is beyond its limit" in check()
    take_turn(inbox, rig.clock)
    known = inbox.incident("dev/search", "scheduled-latency_p95_ms")
    assert known is not None
    assert (known.status, known.cycle_id) == (AlertStatus.RESOLVED, opened)
