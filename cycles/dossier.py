"""What people are shown before they decide: the change as it would be made now, the evidence, and the price.

The change is computed by the tool itself from the present state, never told from memory; a part that cannot be had is
named, for a decision without it is another decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from cycles.desk import Office
from domain.approval import ApprovalRequest, ApprovalState
from domain.budget import MICROS, Amounts
from domain.canonical import sha256_text
from domain.cycle import Cycle
from domain.errors import DependencyUnavailable, EvercrewError
from tools.tool import Call, Scope

EVIDENCE = ("diagnostic_report.json", "evaluation.json", "ab_test_results.json", "watch.json")
SIMILAR = 3


class Judged(BaseModel):
    """A verdict with the figures it rests on, and the artifact it stands in."""

    model_config = ConfigDict(frozen=True)

    artifact: str
    name: str
    verdict: str
    reason: str
    figures: Mapping[str, Any] = {}


class Dossier(BaseModel):
    """A request with all that bears on it. `seen` is the SHA-256 of the diff; `missing` says what could not be had."""

    model_config = ConfigDict(frozen=True)

    request: ApprovalRequest
    state: ApprovalState
    at: datetime
    counting: tuple[str, ...]
    diff: str
    seen: str
    signal: str
    diagnosis: str
    judged: tuple[Judged, ...]
    similar: tuple[str, ...]
    price: Amounts
    spent_usd: float
    spent_tokens: int
    missing: tuple[str, ...] = ()


def dossier(office: Office, request: ApprovalRequest, *, shut: DependencyUnavailable | None = None) -> Dossier:
    """Return what is known about a request now.

    Args:
        shut: why the systems that it would change cannot be asked; the change is missing then.
    """
    missing: list[str] = []
    cycle = office.store.cycle(request.binding.cycle_id)

    def change() -> str:
        if shut is not None:
            raise shut
        return preview(office, request, cycle)

    diff = _had("the diff", change, "", missing)
    answers = [f for f in (cycle.facts if cycle else {}).values() if isinstance(f, dict) and "tokens" in f]
    spent = float((cycle.facts if cycle else {}).get("cost_usd", 0.0)) + sum(
        float(a.get("cost_usd", 0)) for a in answers
    )
    return Dossier(
        request=request,
        state=request.state(office.clock.now()),
        at=office.clock.now(),
        counting=_had("the votes", lambda: _voters(office, request), (), missing),
        diff=diff,
        seen=sha256_text(diff),
        signal=cycle.alert.signal if cycle else "",
        diagnosis=_diagnosis(cycle),
        judged=_had("the verdicts", lambda: _judged(office, request.binding.cycle_id), (), missing),
        similar=_had("similar cycles", lambda: _similar(office, cycle), (), missing),
        price=_had("the price", lambda: _price(office, request), Amounts(), missing),
        spent_usd=spent,
        spent_tokens=sum(int(a["tokens"]) for a in answers),
        missing=tuple(missing),
    )


def preview(office: Office, request: ApprovalRequest, cycle: Cycle | None) -> str:
    """Return the change as the tool would make it now.

    Raises:
        EvercrewError: it cannot be told, or the call would fail.
    """
    bound = request.binding
    tool = office.gate.registry.get(bound.tool)
    scope = Scope(
        cycle_id=bound.cycle_id,
        stage=bound.stage,
        target=bound.target,
        environment=bound.environment,
        alert_at=cycle.alert.starts_at if cycle else request.asked_at,
        opened_at=cycle.opened_at if cycle else request.asked_at,
    )
    call = Call(scope=scope, actor=request.actor, key=request.key, place="")
    return str(tool.preview(tool.input.model_validate(dict(request.args)), call))


def usd_of(amounts: Amounts) -> float:
    """Return the money in US dollars."""
    return amounts.usd_micros / MICROS


def _had(what: str, make: Any, otherwise: Any, missing: list[str]) -> Any:
    try:
        return make()
    except (EvercrewError, ValidationError) as problem:
        missing.append(f"{what}: {' '.join(str(problem).split())}")
        return otherwise


def _voters(office: Office, request: ApprovalRequest) -> tuple[str, ...]:
    return tuple(vote.person for vote in office.consent.ballots.counting(request))


def _price(office: Office, request: ApprovalRequest) -> Amounts:
    tool = office.gate.registry.get(request.binding.tool)
    return Amounts.model_validate(tool.price(tool.input.model_validate(dict(request.args))))


def _diagnosis(cycle: Cycle | None) -> str:
    found = ((cycle.facts if cycle else {}).get("diagnosis") or {}).get("value") or {}
    return f"{found['action']}: {found.get('summary', '')}" if "action" in found else ""


def _judged(office: Office, cycle_id: str) -> tuple[Judged, ...]:
    found: list[Judged] = []
    for name in EVIDENCE:
        content = office.artifacts.read(cycle_id, name) or {}
        if "verdict" not in content:
            continue
        overall = {"name": "overall", "verdict": content["verdict"], "reason": content.get("reason", "")}
        for gate in (overall, *content.get("gates", ())):
            found.append(
                Judged(artifact=name, **{k: gate[k] for k in ("name", "verdict", "reason", "figures") if k in gate})
            )
    return tuple(found)


def _similar(office: Office, cycle: Cycle | None) -> tuple[str, ...]:
    if cycle is None:
        return ()
    action = cycle.action.value if cycle.action else ""
    passages = office.retrieval.similar(f"{cycle.alert.signal} on {cycle.target}: {action}", SIMILAR + 1)
    return tuple(f"{p.id}: {p.text}" for p in passages if p.id != cycle.id)[:SIMILAR]
