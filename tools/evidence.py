"""The claim checker: every number a diagnosis rests on is looked up where it is said to stand, and compared again.

`check` needs no model and no judgement: a claim cites a call, a path in that call's recorded result, a comparison and
a value. What does not hold is dropped and counted. `sufficient` then asks whether what is left carries the action, by
the table `REQUIREMENTS`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from domain.diagnosis import Action, CheckedClaim, CheckedDiagnosis, Claim, Comparison, Diagnosis
from tools.warrant import warranted

Results = Mapping[str, Mapping[str, Any]]
"""The recorded result of each call, as plain JSON, by the call's place (``stage/tool/hash``)."""

# Figures are quoted with three digits or so; half a percent is rounding, more is another number.
RELATIVE_TOLERANCE = 0.005
ABSOLUTE_TOLERANCE = 1e-9

QUALITY_SIGNALS = ("ndcg_at_10", "recall_at_20")
RUNTIME_SIGNALS = (
    "latency_p95_ms",
    "cost_per_1k_requests",
    "budget_share",
    "vector_index_errors",
    "etl_backlog_s",
    "user_satisfaction",
)
# Reports that say of one part of the platform how it runs.
RUNTIME_REPORTS = ("etl_report", "recall_report", "satisfaction_report")

_FALLS = frozenset({Comparison.BELOW, Comparison.AT_MOST, Comparison.EQUALS})
_MISSING = object()


@dataclass(frozen=True)
class Witness:
    """A kind of claim: about a result of `tool`, and where `prefixes` are given, at a path that starts with one of
    them.

    `falls` asks that the number found is negative and was not merely claimed to be above something.
    """

    tool: str
    prefixes: tuple[str, ...] = ()
    falls: bool = False

    def __str__(self) -> str:
        return f"{self.tool} ({' or '.join(self.prefixes)})" if self.prefixes else self.tool


@dataclass(frozen=True)
class Slot:
    """A field of the diagnosis that effects are filled from, and where its value must stand in a result. ``*`` is any
    list element.
    """

    field: str
    tool: str
    path: str


@dataclass(frozen=True)
class Requirement:
    """What an action needs: for every element of `witnesses` one supported claim of one of its kinds, and every
    filled slot on record.
    """

    witnesses: tuple[tuple[Witness, ...], ...]
    slots: tuple[Slot, ...] = ()
    claims: int = 2


_QUALITY_DROP = Witness(
    "signal_snapshot", tuple(f"readings.{name}.relative_delta" for name in QUALITY_SIGNALS), falls=True
)
_RUNTIME_READING = Witness("signal_snapshot", tuple(f"readings.{name}." for name in RUNTIME_SIGNALS))

REQUIREMENTS: Mapping[Action, Requirement] = {
    Action.RETRAIN: Requirement(((_QUALITY_DROP,), (Witness("drift_report"),))),
    Action.ROLLBACK: Requirement(
        ((Witness("deployment_history"),),),
        (
            Slot("suspect_digest", "deployment_history", "suspect.digest"),
            Slot("restore_revision", "deployment_history", "releases.*.revision"),
        ),
    ),
    Action.DATA_FIX: Requirement(((Witness("data_quality_report"),),)),
    Action.TUNE: Requirement(((Witness("runtime_state"), _RUNTIME_READING, *map(Witness, RUNTIME_REPORTS)),)),
}


class Sufficiency(BaseModel):
    """Whether the supported claims carry the action, and what is missing when they do not."""

    model_config = ConfigDict(frozen=True)

    ok: bool
    reason: str

    def __bool__(self) -> bool:
        return self.ok


def check(diagnosis: Diagnosis, results: Results) -> CheckedDiagnosis:
    """Return the diagnosis with its claims split into those that hold in `results` and those that do not, each with
    the reason.
    """
    judged = held(diagnosis.claims, results)
    return CheckedDiagnosis(
        diagnosis=diagnosis,
        supported=tuple(claim for claim in judged if claim.supported),
        dropped=tuple(claim for claim in judged if not claim.supported),
    )


def held(claims: Sequence[Claim], results: Results) -> list[CheckedClaim]:
    """Return claims with what was found where they point, each compared again."""
    return [_judged(claim, results) for claim in claims]


def sufficient(checked: CheckedDiagnosis, results: Results | None = None) -> Sufficiency:
    """Return whether the supported claims carry the action.

    With `results`, the slots that effects are filled from must stand in them too (a digest or revision of the model's
    own making does not), and they must warrant the action by themselves: see `tools/warrant.py`.
    """
    action = checked.diagnosis.action
    requirement = REQUIREMENTS.get(action)
    if requirement is None:
        return Sufficiency(ok=True, reason=f"{action.value} changes nothing and needs no proof")
    distinct = {(c.claim.call, c.claim.path) for c in checked.supported}
    if len(distinct) < requirement.claims:
        return Sufficiency(
            ok=False, reason=f"{action.value} needs {requirement.claims} supported claims and has {len(distinct)}"
        )
    for kinds in requirement.witnesses:
        if not any(_testifies(claim, kind) for claim in checked.supported for kind in kinds):
            wanted = " or ".join(map(str, kinds))
            return Sufficiency(ok=False, reason=f"{action.value} needs a supported claim from {wanted}")
    for slot in requirement.slots if results is not None else ():
        value = getattr(checked.diagnosis, slot.field)
        if value is not None and not _on_record(slot, value, results or {}):
            return Sufficiency(ok=False, reason=f"{slot.field} {value!r} stands in no result of {slot.tool}")
    unwarranted = warranted(checked.diagnosis, results) if results is not None else ""
    if unwarranted:
        return Sufficiency(ok=False, reason=unwarranted)
    return Sufficiency(ok=True, reason=f"{len(checked.supported)} supported claims carry {action.value}")


def tool_of(call: str) -> str:
    """Return the name of the tool in a call's place ``stage/tool/hash``, or the empty string."""
    parts = call.split("/")
    return parts[1] if len(parts) == 3 else ""


def find(result: Any, path: str) -> Any:
    """Return what stands at the dotted `path`; list elements by their index from 0.

    Raises:
        KeyError: there is nothing.
    """
    here = result
    for part in path.split("."):
        here = _step(here, part)
        if here is _MISSING:
            raise KeyError(path)
    return here


def _step(here: Any, part: str) -> Any:
    if isinstance(here, Mapping):
        return here.get(part, _MISSING)
    if isinstance(here, Sequence) and not isinstance(here, str) and part.isdecimal() and int(part) < len(here):
        return here[int(part)]
    return _MISSING


def _judged(claim: Claim, results: Results) -> CheckedClaim:
    if claim.call not in results:
        return CheckedClaim(claim=claim, supported=False, reason=f"there is no result of a call {claim.call!r}")
    try:
        found = find(results[claim.call], claim.path)
    except KeyError:
        return CheckedClaim(claim=claim, supported=False, reason=f"{claim.path!r} is not in the result")
    problem = _contradicted(found, claim)
    return CheckedClaim(claim=claim, supported=not problem, found=found, reason=problem)


def _contradicted(found: Any, claim: Claim) -> str:
    """Return why the claim does not hold for what was found, or the empty string."""
    if _is_number(found) and _is_number(claim.value):
        return _compared(float(found), float(claim.value), claim.comparison)
    if type(found) is not type(claim.value):
        return f"found {_kind(found)}, the claim compares with {_kind(claim.value)}"
    if claim.comparison is not Comparison.EQUALS:
        return f"{_kind(found)} can only be compared with eq"
    return "" if found == claim.value else f"found {found!r}"


def _compared(found: float, claimed: float, comparison: Comparison) -> str:
    if not (math.isfinite(found) and math.isfinite(claimed)):
        return "not a finite number"
    holds = _HOLDS[comparison](found, claimed)
    return "" if holds else f"found {found:g}, which is not {comparison.value} {claimed:g}"


def _same(found: float, claimed: float) -> bool:
    return math.isclose(found, claimed, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)


_HOLDS: Mapping[Comparison, Callable[[float, float], bool]] = {
    Comparison.EQUALS: _same,
    Comparison.ABOVE: operator.gt,
    Comparison.AT_LEAST: operator.ge,
    Comparison.BELOW: operator.lt,
    Comparison.AT_MOST: operator.le,
}


def _testifies(checked: CheckedClaim, kind: Witness) -> bool:
    claim = checked.claim
    if tool_of(claim.call) != kind.tool:
        return False
    if kind.prefixes and not claim.path.startswith(kind.prefixes):
        return False
    return not kind.falls or (claim.comparison in _FALLS and _is_number(checked.found) and checked.found < 0)


def _on_record(slot: Slot, value: Any, results: Results) -> bool:
    mine = [result for call, result in results.items() if tool_of(call) == slot.tool]
    return any(value in _all(result, slot.path.split(".")) for result in mine)


def _all(here: Any, parts: list[str]) -> list[Any]:
    if not parts:
        return [here]
    if parts[0] == "*":
        items = here if isinstance(here, Sequence) and not isinstance(here, str) else ()
        return [found for item in items for found in _all(item, parts[1:])]
    following = _step(here, parts[0])
    return [] if following is _MISSING else _all(following, parts[1:])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "a truth value"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case _:
            return "a structure"
