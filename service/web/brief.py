"""What has to be known of a cycle first: what is wrong, what is wanted, why, and what it may cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from domain.approval import ApprovalRequest
from domain.budget import Amounts
from domain.cycle import Cycle
from domain.errors import EvercrewError
from policies.contract import Contract
from service.web.asked import call_said
from service.web.health import limits_said
from service.web.money import AccountCard, amount
from service.web.standing import answer_of, did_of, reading_of, wants_of
from service.wording import clean, duration, readable, signal_label, signal_value, stage_label, words
from tools.gate import Gate


@dataclass(frozen=True)
class Point:
    """One of the four answers: the sentence, and what stands below it."""

    lead: str
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Brief:
    """The four answers."""

    wrong: Point
    wants: Point
    why: Point
    costs: Point


def brief_of(
    cycle: Cycle,
    contract: Contract,
    account: AccountCard | None,
    asked: Sequence[ApprovalRequest],
    price: Amounts | None,
) -> Brief:
    """Return the brief of a cycle.

    Args:
        account: what the cycle may spend and has spent.
        asked: its calls that are before people now.
        price: what those may cost at most; None where it cannot be told.
    """
    return Brief(_wrong(cycle, contract), _wants(cycle, asked), _why(cycle), _costs(cycle, account, asked, price))


def price_of(gate: Gate, asked: Sequence[ApprovalRequest]) -> Amounts | None:
    """Return what the calls may cost at most together; None where one cannot be priced."""
    total = Amounts()
    for request in asked:
        try:
            tool = gate.registry.get(request.binding.tool)
            total = total.plus(Amounts.model_validate(tool.price(tool.input.model_validate(dict(request.args)))))
        except (EvercrewError, ValidationError):
            return None
    return total


def _wrong(cycle: Cycle, contract: Contract) -> Point:
    alert, seen = cycle.alert, reading_of(cycle)
    name = alert.signal
    more = [_limits(contract, name)]
    lead = f"{signal_label(name)} was not measured yet"
    if seen:
        now, before = signal_value(name, seen.get("current")), signal_value(name, seen.get("baseline"))
        lead = f"{signal_label(name)} {now} at the last look, {before} before the alert"
    snapshot = cycle.facts.get("snapshot")
    breached = snapshot.get("breached", ()) if isinstance(snapshot, Mapping) else ()
    others = [signal_label(str(other)) for other in breached if other != name]
    if others:
        more.append(f"Also beyond its limit: {', '.join(others)}")
    return Point(lead, tuple(more))


def _limits(contract: Contract, name: str) -> str:
    row = contract.signals.get(name)
    return f"A breach is {limits_said(name, row)}" if row is not None else "The contract has no limit for it"


def _wants(cycle: Cycle, asked: Sequence[ApprovalRequest]) -> Point:
    more = []
    if cycle.stage.terminal:
        return Point(did_of(cycle), (_ended(cycle),))
    for request in asked:
        more.append(f"Now asks to {call_said(request.binding.tool, request.args)}")
    if not asked:
        reason = f": {readable(cycle.reason, 200)}" if cycle.reason else ""
        more.append(f"Now at {stage_label(cycle.stage.value)}{reason}")
    plan = _plan(cycle)
    if plan:
        more.append(plan)
    return Point(wants_of(cycle), tuple(more))


def _ended(cycle: Cycle) -> str:
    took = duration((cycle.updated_at - cycle.opened_at).total_seconds())
    kind = words(cycle.outcome.value) if cycle.outcome else words(cycle.stage.value)
    return f"Ended after {took}, {kind}{f': {readable(cycle.reason, 300)}' if cycle.reason else ''}"


def _plan(cycle: Cycle) -> str:
    """What the specialists propose beyond the action, the last of it that there is."""
    delivery = answer_of(cycle, "delivery_plan")
    if delivery.get("change"):
        return clean(f"Change: {delivery['change']}", 300)
    training = answer_of(cycle, "training_plan")
    if training.get("rationale"):
        return clean(f"Training: {training['rationale']}", 300)
    augmentation = answer_of(cycle, "augmentation_plan")
    if augmentation.get("rationale"):
        return clean(f"Data: {augmentation['rationale']}", 300)
    tuning = answer_of(cycle, "diagnosis").get("tuning")
    return clean(f"Settings: {', '.join(f'{k} {v}' for k, v in tuning.items())}", 300) if tuning else ""


def _why(cycle: Cycle) -> Point:
    diagnosis = answer_of(cycle, "diagnosis")
    if not diagnosis:
        return Point("Not known yet", ("The crew looks at the signals first, and decides by what it can prove",))
    claims = len(diagnosis.get("claims") or ())
    dropped = int(cycle.facts.get("unsupported_claims") or 0)
    cause = words(str(diagnosis.get("root_cause") or ""))
    held = f"{claims - dropped} of {claims} claims hold, each looked up in the tool call it cites" if claims else ""
    if claims and "unsupported_claims" not in cycle.facts:
        held = f"{claims} {'claim' if claims == 1 else 'claims'}, not checked yet"
    return Point(readable(diagnosis.get("summary", ""), 400), tuple(part for part in (f"Cause: {cause}", held) if part))


def _costs(cycle: Cycle, account: AccountCard | None, asked: Sequence[ApprovalRequest], price: Amounts | None) -> Point:
    lines = account.lines if account is not None else ()
    spent = "; ".join(line.spoken for line in lines if line.used or line.held)
    below = (spent,) if spent else ("Nothing was spent yet",)
    if asked:
        if price is None:
            return Point("What it asks for now cannot be priced", below)
        if price.nothing:
            return Point("What it asks for now costs no money, tokens or GPU time", below)
        return Point(f"At most {_money(price)} for what it asks for now", below)
    if not cycle.stage.terminal:
        return Point("No more than what is left of its budget", below)
    known = [line.spoken_spent for line in lines if line.used]
    return Point(", ".join(known) or "Nothing", below if lines else ())


def _money(price: Amounts) -> str:
    parts = [amount("usd_micros", price.usd_micros)] if price.usd_micros else []
    parts += [f"{price.tokens:,} tokens"] if price.tokens else []
    parts += [f"{amount('gpu_seconds', price.gpu_seconds)} GPU minutes"] if price.gpu_seconds else []
    return ", ".join(parts)
