"""What the platform itself must show before a diagnosis may change it, whatever the model says and quotes.

`warranted` reads the recorded results of the tools and nothing else of the diagnosis than its action and the slots that
effects are filled from. The model chooses which true statements it quotes; it does not choose whether a signal is
breached, whether a release is worse, or which values a setting may be given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeGuard

from domain.diagnosis import Action, Diagnosis
from domain.plan import AugmentationPlan

Results = Mapping[str, Mapping[str, Any]]

QUALITY_SIGNALS = frozenset({"ndcg_at_10", "recall_at_20"})
RUNTIME_COST = frozenset({"latency_p95_ms", "cost_per_1k_requests", "budget_share"})
# Less is the noise of some hundred sessions, or what is always on its way into the index.
NEW_SHARE = 0.05
LOST_COVERAGE = 0.05
MISSING_SHARE = 0.05
WORSE = -0.03
WORSE_Z = -2.6
SAFE_SETTINGS: Mapping[str, str] = {"mode": "balanced", "tier": "standard"}


def warranted(diagnosis: Diagnosis, results: Results) -> str:
    """Return why the results do not warrant the diagnosis' action, or the empty string."""
    check = _CHECKS.get(diagnosis.action)
    if check is None:
        return ""
    if not _last(results, "signal_snapshot"):
        return f"{diagnosis.action.value} needs a signal_snapshot"
    return check(diagnosis, results)


def recorded(results: Results, tool: str, *fields: str) -> list[Any]:
    """Return what stands in the named fields of every result of a tool; lists are taken apart."""
    found: list[Any] = []
    for result in _of(results, tool):
        for field in fields:
            value = result.get(field)
            found += value if isinstance(value, list | tuple) else [value]
    return [value for value in found if value is not None]


def within(plan: AugmentationPlan, action: Action, results: Results) -> AugmentationPlan:
    """Return the plan with nothing in it that no tool has named; where damaged judgements are mended, they go."""
    words = {*recorded(results, "drift_report", "new_tokens", "low_coverage_tokens")}
    subjects = {
        *recorded(results, "drift_report", "affected_categories", "new_subjects"),
        *recorded(results, "recall_report", "lost_subjects"),
    }
    return plan.model_copy(
        update={
            "target_tokens": tuple(token for token in plan.target_tokens if token in words),
            "target_categories": tuple(name for name in plan.target_categories if name in subjects),
            "drop_damaged": plan.drop_damaged or action is Action.DATA_FIX,
        }
    )


def since(said: str | None, results: Results, otherwise: datetime) -> datetime:
    """Return when damage began: what the diagnosis says where a tool has said so too, else what the tool said, or
    `otherwise`. What names no zone is UTC.
    """
    named = [*recorded(results, "data_quality_report", "since"), *recorded(results, "anomaly_check", "onset")]
    known = [moment for moment in map(_moment, named) if moment is not None]
    told = _moment(said)
    if told is not None and told in known:
        return told
    return known[0] if known else otherwise


def _retrain(diagnosis: Diagnosis, results: Results) -> str:
    drift = _last(results, "drift_report")
    share = drift.get("new_subject_session_share")
    new = bool(drift.get("new_subjects")) and _number(share) and share >= NEW_SHARE
    now, before = drift.get("coverage"), drift.get("coverage_before")
    uncovered = _number(now) and _number(before) and now <= before - LOST_COVERAGE
    unseen = "" if new or uncovered else "drift_report shows nothing that the model never saw"
    worse = "deployment_history shows a release to be worse" if _worse_release(results) else ""
    return _fallen(results) or _ruled_out(results, "deployment_history") or worse or unseen


def _data_fix(diagnosis: Diagnosis, results: Results) -> str:
    damaged = _last(results, "data_quality_report").get("damaged") is True
    return _fallen(results) or ("" if damaged else "data_quality_report does not find the judgements damaged")


def _rollback(diagnosis: Diagnosis, results: Results) -> str:
    worse = "" if _worse_release(results) else "deployment_history does not show the release to be worse"
    return _fallen(results) or _ruled_out(results) or worse


def _ruled_out(results: Results, *tools: str) -> str:
    """Return what was not looked at that looks like the cause from further away, or was found, or the empty string."""
    missing = next((tool for tool in ("data_quality_report", *tools) if not _last(results, tool)), "")
    if missing:
        return f"{missing} was not asked, and what it shows looks the same"
    damaged = _last(results, "data_quality_report").get("damaged") is True
    lost = _last(results, "recall_report").get("missing_share")
    if damaged:
        return "data_quality_report finds the judgements damaged, which looks the same"
    incomplete = _number(lost) and lost >= MISSING_SHARE
    return "recall_report finds documents missing from the index, which looks the same" if incomplete else ""


def _worse_release(results: Results) -> bool:
    history = _last(results, "deployment_history")
    drop, z = history.get("drop"), history.get("drop_z")
    return _number(drop) and _number(z) and drop <= WORSE and z <= WORSE_Z


def _tune(diagnosis: Diagnosis, results: Results) -> str:
    if not diagnosis.tuning:
        return "tune names no setting"
    problems = (_setting(name, value, results) for name, value in diagnosis.tuning.items())
    return next((problem for problem in problems if problem), "")


def _setting(name: str, value: str | int, results: Results) -> str:
    """Return why a setting may not be given this value, or the empty string."""
    if name not in _SETTINGS:
        return f"{name[:40]!r} is no setting"
    reason, allowed = _SETTINGS[name]
    breached = _breached(results)
    if not reason(results, breached):
        return f"nothing that {name} could mend is breached"
    if any(type(value) is type(known) and value == known for known in allowed(results)):
        return ""
    return f"{name} {str(value)[:40]!r} stands in no result and is no known remedy"


def _fallen(results: Results) -> str:
    """Return why no quality signal has fallen beyond its noise, or the empty string."""
    fallen = _breached(results) & QUALITY_SIGNALS
    if not fallen:
        return "no quality signal is breached in signal_snapshot"
    checks = {check.get("signal"): check.get("anomalous") for check in _of(results, "anomaly_check")}
    looked = fallen & set(checks)
    if not looked:
        return f"anomaly_check was not asked about {' or '.join(sorted(fallen))}"
    within = "its fall is within its noise (anomaly_check)"
    return "" if any(checks[name] is not False for name in looked) else f"{', '.join(sorted(looked))}: {within}"


def _breached(results: Results) -> frozenset[str]:
    return frozenset(_last(results, "signal_snapshot").get("breached") or ())


def _before(setting: str, results: Results) -> Iterator[Any]:
    """What a setting was before a person changed it shortly before the alert."""
    for history in _of(results, "deployment_history"):
        changed = history.get("settings")
        if isinstance(changed, Mapping) and setting in changed["before"]:
            yield changed["before"][setting]


def _running(setting: str) -> Callable[[Results], Iterator[Any]]:
    def values(results: Results) -> Iterator[Any]:
        yield SAFE_SETTINGS[setting]
        yield from recorded(results, "runtime_state", f"declared_{setting}")
        yield from _before(setting, results)

    return values


def _intake(setting: str, declared: str) -> Callable[[Results], Iterator[Any]]:
    def values(results: Results) -> Iterator[Any]:
        yield from _before(setting, results)
        yield from (2 * known for known in recorded(results, "etl_report", declared) if _number(known))

    return values


def _as_before(setting: str) -> Callable[[Results], Iterator[Any]]:
    return lambda results: _before(setting, results)


def _next_generation(results: Results) -> Iterator[Any]:
    yield from (known + 1 for known in recorded(results, "runtime_state", "declared_generation"))


def _index(results: Results, breached: frozenset[str]) -> bool:
    missing = _last(results, "recall_report").get("missing_share")
    incomplete = _number(missing) and missing >= MISSING_SHARE and not _fallen(results)
    return "vector_index_errors" in breached or bool(incomplete)


def _any_of(signals: frozenset[str]) -> Callable[[Results, frozenset[str]], bool]:
    return lambda results, breached: bool(breached & signals)


# A setting, what must be wrong before it is touched, and the values it may then be given.
_SETTINGS: Mapping[str, tuple[Callable[[Results, frozenset[str]], bool], Callable[[Results], Iterator[Any]]]] = {
    "mode": (_any_of(RUNTIME_COST), _running("mode")),
    "tier": (_any_of(RUNTIME_COST), _running("tier")),
    "candidates": (_any_of(RUNTIME_COST | QUALITY_SIGNALS), _as_before("candidates")),
    "title_chars": (_any_of(frozenset({"user_satisfaction"})), _as_before("title_chars")),
    "etl_workers": (_any_of(frozenset({"etl_backlog_s"})), _intake("etl_workers", "declared_workers")),
    "etl_batch": (_any_of(frozenset({"etl_backlog_s"})), _intake("etl_batch", "declared_batch")),
    "index_generation": (_index, _next_generation),
}

_CHECKS: Mapping[Action, Callable[[Diagnosis, Results], str]] = {
    Action.RETRAIN: _retrain,
    Action.DATA_FIX: _data_fix,
    Action.ROLLBACK: _rollback,
    Action.TUNE: _tune,
}


def _of(results: Results, tool: str) -> list[Mapping[str, Any]]:
    """Return the results of a tool, in the order they were recorded."""
    return [result for call, result in results.items() if call.split("/")[1:2] == [tool]]


def _last(results: Results, tool: str) -> Mapping[str, Any]:
    found = _of(results, tool)
    return found[-1] if found else {}


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
