"""There is no way round the door: not behind its back, and not while its policies or its records are broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.audit.memory import MemoryAudit
from adapters.store.base import FlagRow
from domain.clock import FrozenClock
from domain.errors import PermitAltered, PermitError, PermitExpired, PermitMissing, PermitSpent
from domain.permit import Permit
from policies.packaged import packaged_policy_files
from policies.pdp import load_decision_point
from tests.tools.test_every_tool import EFFECTFUL, NAMES, Bench, bench_in
from tools.outcome import Done, Refused

# What brings the platform back to where it was well, takes down what was begun, or tells somebody.
_SAFE = frozenset(
    {
        *("roll_back", "restore_values", "restore_flags", "point_dataset", "sync_live", "withdraw_change", "ab_stop"),
        *("notify", "lift_silence", "annotate"),
    }
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return bench_in(tmp_path)


def _none(bench: Bench, name: str) -> Permit | None:
    return None


def _used(bench: Bench, name: str) -> Permit | None:
    permit = bench.permit(name)
    for effect in permit.effects:
        bench.rig.permits.spend(permit, effect=effect, key=permit.key)
    return permit


def _expired(bench: Bench, name: str) -> Permit | None:
    permit = bench.permit(name)
    assert isinstance(bench.rig.clock, FrozenClock)
    bench.rig.clock.advance(timedelta(hours=1))
    return permit


def _altered(bench: Bench, name: str) -> Permit | None:
    return bench.permit(name, key="f" * 32).model_copy(update={"key": bench.key(name)})


def _forged(bench: Bench, name: str) -> Permit | None:
    return bench.permit(name).model_copy(update={"seal": "0" * 64})


def _for_another(bench: Bench, name: str) -> Permit | None:
    return bench.permit(name, key="e" * 32)


@pytest.mark.parametrize("name", EFFECTFUL)
@pytest.mark.parametrize(
    ("permit", "error"),
    [
        (_none, PermitMissing),
        (_used, PermitSpent),
        (_expired, PermitExpired),
        (_altered, PermitAltered),
        (_forged, PermitAltered),
        (_for_another, PermitMissing),
    ],
)
def test_behind_the_doors_back_nothing_happens(
    bench: Bench, name: str, permit: Callable[[Bench, str], Permit | None], error: type[PermitError]
) -> None:
    before = bench.world()
    handed = permit(bench, name)
    with pytest.raises(error):
        bench.direct(name, handed)
    assert bench.world() == before


def _broken_sets() -> Mapping[str, dict[str, bytes]]:
    files = packaged_policy_files()
    return {
        "empty": {},
        "no schema": {n: c for n, c in files.items() if not n.endswith("schema")},
        "no policies": {n: c for n, c in files.items() if n.endswith("schema")},
        "a syntax error": {**files, "permits.cedar": files["permits.cedar"] + b"\npermit ("},
        "an unknown action": {**files, "more.cedar": b'@id("x") permit (principal, action == Action::"y", resource);'},
    }


@pytest.mark.parametrize("problem", sorted(_broken_sets()))
def test_with_a_broken_policy_set_no_tool_answers(tmp_path: Path, problem: str) -> None:
    bench = bench_in(tmp_path)
    bench.rig.gate._pdp = load_decision_point(_broken_sets()[problem])
    before = bench.world()
    for name in NAMES:
        outcome = bench.call(name)
        assert isinstance(outcome, Refused), name
        assert outcome.kind == "denied", name
        assert "broken" in outcome.reason, name
    assert bench.world() == before


def test_with_the_audit_store_failing_no_tool_answers(bench: Bench) -> None:
    assert isinstance(bench.rig.audit, MemoryAudit)
    bench.rig.audit.broken = True
    before = bench.world()
    for name in NAMES:
        outcome = bench.call(name)
        assert isinstance(outcome, Refused), name
        assert outcome.kind == "audit", name
    assert bench.world() == before


@pytest.mark.parametrize("name", EFFECTFUL)
def test_with_the_kill_switch_on_only_a_rollback_and_a_message_get_through(bench: Bench, name: str) -> None:
    bench.rig.store.set_flag(FlagRow(name="kill_switch", enabled=True), by="a person", at=bench.rig.clock.now())
    before = bench.world()
    outcome = bench.call(name)
    if name in _SAFE:
        assert isinstance(outcome, Done)
    else:
        assert isinstance(outcome, Refused)
        assert bench.world() == before
