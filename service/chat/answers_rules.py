"""What would be done, and who may do it: by the contract and the policy set in force, asked and not read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from domain.actor import Role
from domain.errors import PolicySetBroken
from domain.intent import PolicyQuestion, WhatWould
from service.chat.events import ChatEvent, Cite
from service.chat.told import cite, tell

if TYPE_CHECKING:
    from policies.contract import Signal
    from policies.pdp import PolicyDecisionPoint
    from service.wiring import App

_ANSWERED = {"allow": "allowed", "never": "refused", "approval": "a person has to approve it first"}


def what_would(app: App, asked: WhatWould) -> Iterator[ChatEvent]:
    """What the contract has for a signal; for all of them where none is named."""
    contract = app.contract
    names = [asked.signal] if asked.signal in contract.signals else list(contract.signals)
    yield from tell(*(_row(str(name), contract.signal(str(name))) for name in names))
    yield from tell("Which remedy it is, is decided by the diagnosis, from evidence.")


def _row(name: str, row: Signal) -> str:
    side = "above" if row.bad_direction == "up" else "below"
    limits = " or ".join(
        f"{side} {limit.threshold:g} {row.unit}"
        if limit.kind == "absolute"
        else f"{limit.threshold:.0%} {side} its baseline"
        for limit in row.limits
    )
    approval = " People approve it first." if row.needs_approval else ""
    return (
        f"A breach of {name} is {limits}. A cycle opens and diagnoses, and may {', '.join(row.actions)}; what goes "
        f"live has to meet {', '.join(row.gates)}.{approval} The first remedy is due within "
        f"{row.reaction.total_seconds() / 60:g} minutes."
    )


def policy(app: App, asked: PolicyQuestion) -> Iterator[ChatEvent]:
    """Who may use a tool: the policy set is asked for every role.

    Raises:
        PolicySetBroken: no set is in force.
    """
    from service.rulings import explained

    where = asked.environment or app.profile.name
    if asked.tool is None:
        yield from tell(
            f"Say what is to be done, e.g. a promotion. The set in force is {app.policies.policy_hash[:12]}."
        )
        return
    point = _point(app)
    answers = {
        role: explained(point, role=role.value, tool=asked.tool, environment=where, via="engine", changed={})
        for role in Role
    }
    able = [role for role, found in answers.items() if found.answer != "never"] or [Role.DEVOPS_ENGINEER]
    for role in able:
        found = answers[role]
        yield from tell(
            f"The engine as {role.label} asks for {asked.tool} in {where}, all being well: "
            f"{_ANSWERED[found.answer]} ({found.reason})."
        )
    quorum = app.profile.approvals.quorum(asked.tool) if where == app.profile.name else None
    yield from tell(
        f"An approval of it takes {quorum}." if quorum else "",
        "An agent only proposes it; effects belong to the stages of a cycle.",
    )
    named = dict.fromkeys(name for role in able for name in answers[role].policies)
    yield from cite(*(Cite(kind="policy", id=name, of=app.policies.policy_hash) for name in named))


def _point(app: App) -> PolicyDecisionPoint:
    from policies.pdp import PolicyDecisionPoint

    live = app.policies
    files = live.files(live.policy_hash)
    if not files:
        raise PolicySetBroken(live.problem or "no set is in force")
    return PolicyDecisionPoint.from_files(dict(files))
