"""What an office in tests is made of: its rules, its times, its values file, its alerts and its models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adapters.evaluation.sealed import SealedRow
from adapters.tracking.base import EFFECT_ALIAS, EFFECT_LOG_RUN, EFFECT_REGISTER, TrackingPort
from domain.alert import Alert, AlertStatus
from domain.brief import Answered, Brief
from domain.clock import Clock
from domain.diagnosis import Action
from domain.measurement import Measurement
from domain.permit import PermitOffice
from domain.verdict import Verdict
from policies.contract import Contract, breached, load_contract
from policies.packaged import packaged_contract, packaged_profile
from policies.profiles import Profile, load_profile
from service.sections import JobsConfig
from tests.support.jobs import EXPLAIN, SCORE, TRAIN, digest_of
from tests.support.world import CATALOG, Fault
from tools.observe.reading import SignalReader, Windows

MODEL = "reranker"
JOBS = JobsConfig(train=TRAIN, score=SCORE, explain=EXPLAIN)
FAULTS: Mapping[Action, Fault] = {
    Action.RETRAIN: Fault.SHIFT,
    Action.ROLLBACK: Fault.BAD_RELEASE,
    Action.DATA_FIX: Fault.LABELS,
    Action.TUNE: Fault.LATENCY,
    Action.NOISE: Fault.NOISE,
}
VALUES = """\
# Values of the search platform.
model:
  name: reranker
  version: "{version}"
  digest: {digest}  # by content
variants:
  - name: champion
    digest: {digest}
    weight: 100
search:
  mode: balanced
  tier: standard
index:
  generation: 1
"""
Say = Mapping[str, Callable[[Brief], Answered[Any]]]


# What tests count on; the packaged numbers may be tuned without breaking them.
TIMES: Mapping[str, Mapping[str, object]] = {
    "measure": {"current": "12s", "baseline": "20s", "gap": "10s", "confirm": "14s", "near": "60s"},
    "ab": {"window": "40s", "min_window": "0s", "poll": "2s", "min_users_per_arm": 120, "planned_users": None},
    "watch": {"window": "12s", "checks": 6, "interval": "2s", "min_samples": 30, "baseline_checks": 6, "tolerance": 0},
    "poll": {"delivery": "300ms", "delivery_timeout": "30s", "approval": "1s", "approval_timeout": "10m"},
}


def profile(name: str = "dev", **changes: Mapping[str, object]) -> Profile:
    """Return a packaged profile with the times of tests, and `changes` by section."""
    packaged = load_profile(packaged_profile(name), file=name).model_dump(mode="json")
    for section in (*TIMES, *changes):
        packaged[section] = {**packaged[section], **TIMES.get(section, {}), **changes.get(section, {})}
    return Profile.model_validate(packaged)


def contract(of: Profile) -> Contract:
    """Return the packaged contract as the profile changes it."""
    return load_contract(packaged_contract()).with_overrides(of.signals)


def signal_reader(metrics: Any, of: Profile, rules: Contract, clock: Clock) -> SignalReader:
    """Return the reader of the default signals."""

    def judge(name: str, current: Measurement, baseline: Measurement) -> tuple[bool | None, str]:
        found = breached(rules, name, current, baseline)
        return {Verdict.FAIL: True, Verdict.PASS: False}.get(found.verdict), found.reason

    windows = Windows(of.measure.current, of.measure.baseline, of.measure.gap)
    return SignalReader(metrics, CATALOG, windows, judge, clock)


def alert_of(action: Action, clock: Clock) -> Alert:
    """Return the alert that opens a cycle of this kind."""
    return Alert(
        fingerprint=f"f-{action.value}",
        name="SignalBreached",
        status=AlertStatus.FIRING,
        signal="latency_p95_ms" if action is Action.TUNE else "ndcg_at_10",
        target="search",
        environment="dev",
        starts_at=clock.now(),
    )


def sealed_rows() -> list[SealedRow]:
    """Return two hundred held-out sessions."""
    return [
        SealedRow(request_id=f"s{n}", ts=float(n), query=f"q{n} held out", relevant={f"d{n}": 1}, shown=(f"d{n}",))
        for n in range(200)
    ]


def register(tracking: TrackingPort, permits: PermitOffice, bundle: Path, name: str, trained_at: str) -> str:
    """Register a bundle as the platform's own release process does, make it champion, and return its digest."""
    effects = (EFFECT_LOG_RUN, EFFECT_REGISTER, EFFECT_ALIAS)
    permit = permits.mint(
        tool="set-up", effects=effects, args_hash="", actor="release", cycle_id="si_2025_01_01_001", key=name
    )
    tags = {"trained_at": trained_at}
    run_id = tracking.log_run(name=name, params={}, metrics={}, tags={}, artifacts=[], key=name, permit=permit)
    ref = tracking.register(
        model=MODEL, bundle=bundle, digest=digest_of(bundle), run_id=run_id, tags=tags, key=name, permit=permit
    )
    tracking.set_alias(model=MODEL, alias="champion", version=ref.version, key=name, permit=permit)
    return ref.digest
