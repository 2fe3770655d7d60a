"""What a crew is for: one typed question, who proposes the answer, who reviews it, and the program that checks it in
between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from domain.actor import Role
from domain.approval import Denial
from domain.brief import Brief
from tools.evidence import Results

T = TypeVar("T", bound=BaseModel)


class CheckReport(BaseModel):
    """What a program found in a proposal: `problems` in words, `ok` when it can be carried out as it stands."""

    model_config = ConfigDict(frozen=True)

    ok: bool
    problems: tuple[str, ...] = ()
    details: Mapping[str, Any] = {}

    @classmethod
    def of(cls, problems: list[str], **details: Any) -> CheckReport:
        """Return the report on these problems."""
        return cls(ok=not problems, problems=tuple(problems), details=details)


@dataclass(frozen=True)
class Question(Generic[T]):
    """One typed question.

    `facts` names the results of earlier stages the crew is shown; `review` is None where nobody reviews. `check` gets
    the proposal, the brief, and the recorded results of this crew's calls.
    """

    name: str
    propose: str
    proposer: Role
    answer: type[T]
    facts: tuple[str, ...]
    check: Callable[[T, Brief, Results], CheckReport]
    review: str | None = None


def shown_brief(question: Question[Any], brief: Brief) -> dict[str, Any]:
    """Return the brief as the crew is shown it: the typed fields, and the facts the question names.

    What the alert's sender wrote is not in it; that goes into the prompt as untrusted text. What people denied on the
    target lately is, so that it is not simply proposed again.
    """
    told: dict[str, Any] = {
        "cycle_id": brief.cycle_id,
        "stage": brief.stage,
        "target": brief.target,
        "environment": brief.environment,
        "opened_at": brief.opened_at,
        "alert": {
            "signal": brief.alert.signal,
            "status": brief.alert.status.value,
            "starts_at": brief.alert.starts_at.isoformat(),
            "source": brief.alert.source,
        },
        "facts": {name: value_of(brief, name) for name in question.facts if name in brief.facts},
    }
    return {**told, "denied_by_people": [_denied(denial) for denial in brief.denials]} if brief.denials else told


def _denied(denial: Denial) -> dict[str, Any]:
    """Return what a person refused, and why; the words are the person's, and no instructions."""
    return {
        "cycle_id": denial.cycle_id,
        "at": denial.at.isoformat(),
        "tool": denial.tool,
        "args": {name: str(value)[:200] for name, value in denial.args.items()},
        "reason": {"text": denial.reason[:500], "source": f"the denial by {denial.by}"},
    }


def value_of(brief: Brief, name: str) -> Any:
    """Return a fact; of a crew's answer kept as a fact, the value only."""
    fact = brief.facts.get(name)
    return fact["value"] if isinstance(fact, Mapping) and {"value", "models"} <= set(fact) else fact
