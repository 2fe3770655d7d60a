"""Deleting old models and data by the clock, through the door like everything else.

A round is a report, then one call that deletes what the report listed: the list is in the chain before anything goes.
A process that dies in between leaves an open intent; the next round makes the same call first, which goes on where it
was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from adapters.audit.base import AuditPort
from cycles.desk import CallFailed, CallRefused
from domain.actor import Actor, Role
from domain.clock import Clock
from tools.gate import Gate
from tools.model.retire import RETENTION, ReportArgs, RetentionReport, Retired
from tools.outcome import Done, Failed, Outcome, Refused
from tools.tool import Scope

V = TypeVar("V", bound=BaseModel)
REPORT, RETIRE = "retention_report", "retire_models_and_data"
_ACTOR = Actor(role=Role.DEVOPS_ENGINEER)


class Retirement:
    """One round of retention; calling it returns what was done, in one line."""

    def __init__(
        self,
        gate: Gate,
        audit: AuditPort,
        clock: Clock,
        *,
        keep_days: float,
        keep_last: int,
        target: str,
        environment: str,
    ) -> None:
        self._gate = gate
        self._audit = audit
        self._clock = clock
        self._limits = ReportArgs(keep_days=keep_days, keep_last=keep_last)
        self._target = target
        self._environment = environment

    def report(self) -> RetentionReport:
        """Return what would be deleted now: a dry run.

        Raises:
            CallRefused: the door said no.
            CallFailed: a system does not answer.
        """
        # Named by its moment: every report is a call of its own.
        moment = self._clock.now().isoformat()
        return _value(REPORT, self._call(REPORT, self._limits, place=moment), RetentionReport)

    def __call__(self) -> str:
        """Finish what was broken off, then delete what is old.

        Raises:
            CallRefused: the policies say no, or something listed has become needed meanwhile; nothing was deleted.
            CallFailed: a system does not answer; the next round goes on.
        """
        resumed = self._resume()
        report = self.report()
        if report.nothing:
            kept = f"{report.versions_kept} versions and {report.datasets_kept} datasets are kept"
            return f"{resumed}nothing is old and needed by nothing; {kept}"
        done = _value(RETIRE, self._call(RETIRE, report.asked()), Retired)
        return f"{resumed}{_said(done)}"

    def _resume(self) -> str:
        said = ""
        for record in self._audit.open_intents(RETENTION):
            outcome = self._call(RETIRE, record.entry.body["args"])
            if isinstance(outcome, Refused):
                # It may not be finished any more: the intent is closed by what can be seen of it.
                self._gate.reconcile(self._scope(), _ACTOR)
                said += "a round that was broken off may not go on; "
            else:
                said += f"finished what was broken off: {_said(_value(RETIRE, outcome, Retired))}; "
        return said

    def _call(self, tool: str, args: BaseModel | Mapping[str, Any], *, place: str = "") -> Outcome:
        return self._gate.call(tool, args, _ACTOR, self._scope(), place=place)

    def _scope(self) -> Scope:
        now = self._clock.now()
        return Scope(
            cycle_id=RETENTION,
            stage=RETENTION,
            target=self._target,
            environment=self._environment,
            alert_at=now,
            opened_at=now,
        )


def _value(tool: str, outcome: Outcome, expected: type[V]) -> V:
    match outcome:
        case Done(value):
            return expected.model_validate(value.model_dump())
        case Refused():
            raise CallRefused(tool, outcome)
        case Failed():
            raise CallFailed(tool, outcome)


def _said(done: Retired) -> str:
    size = f"{done.size / 1_000_000:.1f} MB"
    return f"deleted {len(done.versions)} versions, {done.runs} runs and {len(done.datasets)} datasets ({size})"
