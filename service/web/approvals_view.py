"""Approvals as a page shows them: what waits for whom, whether this person may decide it, and a conflict in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cycles.dossier import Dossier
from domain.approval import ApprovalRequest, ApprovalState, VoteAnswer
from domain.budget import MICROS
from domain.decision import Effect
from domain.errors import DependencyError
from domain.people import same
from service.web.asked import call_said
from service.web.money import account_of, amount
from service.web.policy_tools import tool_facts
from service.web.render import sentence
from service.web.standing import title_of
from service.web.waiting import judge

if TYPE_CHECKING:
    from domain.access import Caller
    from service.api.serving import Serving
    from service.wiring import App

MOST = 200
_DECIDABLE = (ApprovalState.WAITING, ApprovalState.GRANTED)
TONES = {
    ApprovalState.WAITING: "warn",
    ApprovalState.GRANTED: "good",
    ApprovalState.USED: "good",
    ApprovalState.DENIED: "bad",
    ApprovalState.EXPIRED: "idle",
    ApprovalState.WITHDRAWN: "idle",
}
"""How loud a state is drawn."""
CHANGED = (
    "The change is not the one you were shown: something moved since you opened this page. "
    "Read the change below once more, then decide."
)
_COMMITS = frozenset({"promote", "apply_tuning", "ab_start", "ab_stop", "roll_back", "restore_values"})


@dataclass(frozen=True)
class Mine:
    """What a person may do about a request: approve it, deny it, or neither, and why."""

    approve: bool
    deny: bool
    why: str = ""


@dataclass(frozen=True)
class Row:
    """A request in a list; `title` is what is wrong, while its cycle is open."""

    request: ApprovalRequest
    state: ApprovalState
    mine: Mine
    title: str = ""

    @property
    def said(self) -> str:
        """What it asks for."""
        return call_said(self.request.binding.tool, self.request.args)

    @property
    def tone(self) -> str:
        """How loud its state is drawn."""
        return TONES[self.state]


@dataclass(frozen=True)
class Listed:
    """All requests of a page: those this person can decide, those that wait for others, and those that are over."""

    mine: Sequence[Row]
    others: Sequence[Row]
    past: Sequence[Row]


@dataclass(frozen=True)
class Price:
    """What a call may cost at most, and what is left of its cycle and period."""

    said: str
    left: str


@dataclass(frozen=True)
class Reach:
    """How far a call reaches: whom it touches, how much of a file it changes, and the way back from it."""

    whom: str
    change: str
    back: str


def mine(here: Serving, caller: Caller, request: ApprovalRequest) -> Mine:
    """Return what whoever looks may do about a request; the ballot looks again when the vote comes."""
    now = here.clock.now()
    state = request.state(now)
    if state not in _DECIDABLE:
        return Mine(False, False, f"It is {state.value}: nothing can be decided any more.")
    found = judge(here, caller, request, now)
    if found.mine:
        return _keyless(here, caller, request)
    before = next((v for v in request.votes if same(v.person) == same(caller.person or "")), None)
    if before is not None and before.answer is VoteAnswer.APPROVE:
        return Mine(False, True, "You approved this. Until it is carried out you can still deny it.")
    return Mine(False, False, f"{sentence(found.why_not)}.")


def _keyless(here: Serving, caller: Caller, request: ApprovalRequest) -> Mine:
    """Return what somebody may do whom nothing else keeps from voting: whoever has a key signs with it elsewhere."""
    able = here.app.office.consent.ballots.able(request.binding.quorum)
    if any(person.public_key for person in able if same(person.name) == same(caller.person or "")):
        said = "You sign your votes with a key, which never comes to a browser: use evercrew approvals approve --key."
        return Mine(False, False, said)
    return Mine(True, True)


def listed(here: Serving, caller: Caller) -> Listed:
    """Return every request: what waits for this person by what expires first, what waits for others, what is over.

    Raises:
        DependencyError: the store does not answer.
    """
    now = here.clock.now()
    found = here.app.office.consent.store.requests(limit=MOST)
    titles = {cycle.id: title_of(cycle) for cycle in here.app.ports.store.cycles(open_only=True, limit=MOST)}
    rows = [
        Row(request, request.state(now), mine(here, caller, request), titles.get(request.binding.cycle_id, ""))
        for request in found
    ]
    waits = sorted((r for r in rows if r.state is ApprovalState.WAITING), key=lambda r: r.request.expires_at)
    return Listed(
        mine=[row for row in waits if row.mine.approve],
        others=[row for row in waits if not row.mine.approve],
        past=[row for row in rows if row.state is not ApprovalState.WAITING],
    )


def conflict(request: ApprovalRequest, now: datetime, name: str) -> str:
    """Return why a vote came too late or from the wrong person, as that person can understand it."""
    by = f" by {request.denial.person}" if request.denial else ""
    said = {
        ApprovalState.EXPIRED: "Nobody decided in time: this request has expired. The crew asks again if it is needed.",
        ApprovalState.USED: "This approval was used already: the call was made once, and cannot be made again by it.",
        ApprovalState.DENIED: f"This was denied{by} meanwhile. A denial is final for this request.",
        ApprovalState.WITHDRAWN: "The crew took this request back: its cycle went on without it, or ended.",
    }
    state = request.state(now)
    if state in said:
        return said[state]
    if request.proposed_by(name):
        return "You proposed this yourself, so somebody else has to decide it."
    return "You have voted on this already; a person counts once."


def price_of(app: App, found: Dossier) -> Price:
    """Return what a call may cost beside what is left; where the ledger does not answer, that is said."""
    price = found.price
    more = [f"{price.gpu_seconds / 60:.0f} min of GPU"] if price.gpu_seconds else []
    more += [f"{price.tokens:,} tokens"] if price.tokens else []
    said = ", ".join([amount("usd_micros", price.usd_micros), *more])
    purse, cycle = app.office.purse, app.ports.store.cycle(found.request.binding.cycle_id)
    if purse is None or cycle is None:
        return Price(said, "")
    try:
        standings = purse.standings(cycle)
    except DependencyError:
        return Price(said, "what is left is not known: the ledger does not answer")
    left = []
    for standing in standings:
        if standing.left.usd_micros is not None:
            where = "in this cycle" if standing.name.startswith("cycle/") else "in this period"
            left.append(f"{amount('usd_micros', standing.left.usd_micros)} left {where}")
    return Price(said, ", ".join(left))


def spent_of(app: App, found: Dossier) -> str:
    """Return what the cycle of a request has spent, as its account says it; without one, what its models cost."""
    cycle = app.ports.store.cycle(found.request.binding.cycle_id)
    try:
        account = account_of(app, cycle) if cycle is not None else None
    except DependencyError:
        return "not known: the ledger does not answer"
    if account is None:
        return f"{amount('usd_micros', round(found.spent_usd * MICROS))}, {found.spent_tokens:,} tokens"
    return ", ".join(line.spoken_spent for line in account.lines if line.used) or "nothing"


def reach(request: ApprovalRequest, lines: Sequence[tuple[str, str]]) -> Reach:
    """Return how far a call reaches; `lines` are those of the change, with their kinds."""
    bound, facts = request.binding, tool_facts().get(request.binding.tool)
    kinds = [kind for kind, _ in lines]
    added, removed = kinds.count("added"), kinds.count("removed")
    changed = f"{added} added, {removed} removed lines of the values file" if added or removed else "no file"
    share = request.args.get("share")
    who = f"{float(share):.0%} of the users" if share else "everybody who uses it"
    return Reach(
        f"{bound.target} in {bound.environment}: {who}", changed, _back(bound.tool, facts.effect if facts else None)
    )


def _back(tool: str, effect: Effect | None) -> str:
    if effect is Effect.READ:
        return "nothing to take back: it only reads"
    if tool in _COMMITS:
        return "one revert commit; the watch makes it by itself where automatic roll-back is on"
    return "none: what it removes is gone" if effect is Effect.IRREVERSIBLE else "the opposite call undoes it"
