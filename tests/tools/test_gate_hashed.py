"""Everything that matters about a call is inside the hash of its records: whatever is changed later is found."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from domain.budget import Amounts
from domain.canonical import canonical_hash, json_ready
from domain.decision import Answer, AuthorizationRequest, Decision
from domain.errors import ChainBroken
from domain.receipt import AuditEntry, AuditRecord
from tests.support.gates import ACTOR, Door, LampArgs, LampResult, ReadLamp, SwitchLamp
from tools.ask import Asked, Grant, NoBudget
from tools.gate import Gate
from tools.outcome import Done, Refused
from tools.records import Validated
from tools.registry import Registry


class DearLamp(SwitchLamp):
    """Costs a cent at most, and half of it in the end."""

    def price(self, args: LampArgs) -> Amounts:
        return Amounts(usd_micros=10_000)

    def spent(self, args: LampArgs, result: LampResult) -> Amounts:
        return Amounts(usd_micros=5_000)


class AsksFirst:
    """Allows what was approved, and refuses the cellar."""

    def decide(self, request: AuthorizationRequest) -> Decision:
        """See `Decider.decide`."""
        answer = Answer.ALLOW if request.context.get("approved") else Answer.ESCALATE
        return Decision(answer=answer, policies=("ask-first",), policy_hash="of-the-set", reason="it asks first")


class Approved:
    """Two people approved the hall."""

    def use(self, asked: Asked) -> Grant | None:
        """See `Approvals.use`."""
        return Grant("a-17", ("ann@example.org", "bob@example.org")) if asked.args["room"] == "hall" else None

    def request(self, asked: Asked) -> str:
        """See `Approvals.request`."""
        return "two people are asked"


@pytest.fixture
def door() -> Door:
    door = Door()
    door.gate = Gate(
        registry=Registry([DearLamp(door.lamps), ReadLamp()]),
        pdp=AsksFirst(),
        audit=door.audit,
        store=door.store,
        office=door.permits,
        traces=door.traces,
        context=lambda *_: {"hour": 9},
        approvals=Approved(),
        budget=NoBudget(),
    )
    return door


def leaves(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the path of every value."""
    if isinstance(content, dict):
        inner: Any = content.items()
    elif isinstance(content, list | tuple):
        inner = enumerate(content)
    else:
        yield path
        return
    for name, value in inner:
        yield from leaves(value, (*path, name))


def flipped(entry: AuditEntry, path: tuple[Any, ...]) -> AuditEntry:
    """Return the entry with the value at `path` changed."""
    content = entry.model_dump(mode="json")
    place = copy.deepcopy(content)
    inner = place
    for name in path[:-1]:
        inner = inner[name]
    old = inner[path[-1]]
    inner[path[-1]] = (not old) if isinstance(old, bool) else old + 1 if isinstance(old, int | float) else f"{old}x"
    return AuditEntry.model_construct(**{**place, "kind": entry.kind, "policies": tuple(place["policies"])})


INTENT = {
    "kind",
    "cycle_id",
    "stage",
    "tool",
    "actor",
    "key",
    "args_hash",
    "decision",
    "policies",
    "policy_hash",
    "body.args",
    "body.context_hash",
    "body.approval",
    "body.reserved",
}
OUTCOME = {"status", "key", "args_hash", "decision", "policy_hash", "body.result", "body.permit", "body.spent"}


def named(entry: AuditEntry) -> set[str]:
    """Return the names of what an entry says, those of its body with a prefix."""
    said = {name for name, value in entry.model_dump().items() if value not in ("", (), {})}
    return said | {f"body.{name}" for name in entry.body}


def test_an_intent_and_its_outcome_say_who_what_why_by_whose_leave_and_at_what_price(door: Door) -> None:
    done = door.switch()
    assert isinstance(done, Done)
    intent, outcome = (record.entry for record in door.audit.records())
    assert named(intent) >= INTENT
    assert named(outcome) >= OUTCOME
    assert intent.body["approval"] == {"id": "a-17", "by": ["ann@example.org", "bob@example.org"]}
    assert intent.body["reserved"] == {"usd_micros": 10_000}
    assert outcome.body["spent"] == {"usd_micros": 5_000}
    assert (done.receipt.approval, done.receipt.approvers) == ("a-17", ("ann@example.org", "bob@example.org"))


def test_a_call_that_is_repeated_names_the_same_approval(door: Door) -> None:
    door.switch()
    again = door.switch()
    assert isinstance(again, Done)
    assert again.receipt.repeated
    assert again.receipt.approvers == ("ann@example.org", "bob@example.org")


def test_every_value_of_every_record_is_inside_its_hash(door: Door) -> None:
    door.switch()
    assert isinstance(door.switch("attic"), Refused)
    assert isinstance(door.gate.call("metric_query", {"room": "hall"}, ACTOR, door.scope), Done)
    whole = list(door.audit.records())
    assert [r.entry.kind.value for r in whole] == ["intent", "outcome", "refusal", "read"]
    assert door.audit.verify() == 4
    tried = 0
    for place, record in enumerate(whole):
        for path in leaves(record.entry.model_dump(mode="json")):
            if path == ("kind",):
                continue
            changed = record.model_copy(update={"entry": flipped(record.entry, path)})
            door.audit._records = [*whole[:place], changed, *whole[place + 1 :]]
            with pytest.raises(ChainBroken) as told:
                door.audit.verify()
            assert told.value.record == place + 1, path
            tried += 1
    assert tried > 50


@pytest.mark.parametrize("field", ["sequence", "at", "previous", "hash"])
def test_so_is_the_place_of_the_record(door: Door, field: str) -> None:
    door.switch()
    first, second = door.audit.records()
    other: Any = {"sequence": 7, "at": first.at.replace(year=2025), "previous": "1" * 64, "hash": "2" * 64}[field]
    changed: AuditRecord = second.model_copy(update={field: other})
    door.audit._records = [first, changed]
    with pytest.raises(ChainBroken, match="record 2"):
        door.audit.verify()


class Nested(LampArgs):
    """Arguments with everything that JSON has."""

    parts: tuple[LampArgs, ...] = ()
    note: str | None = None


@pytest.mark.parametrize("place", ["", "after the \u201cthird\u201d look"])
def test_the_hash_of_arguments_is_that_of_their_canonical_form_and_of_the_place(place: str) -> None:
    args = Nested(room="caf\u00e9", watts=1e-7, parts=(LampArgs(room="b", watts=2.0), LampArgs(room="a")))
    validated = Validated.of(ReadLamp(), args, place)
    assert validated.args_hash == canonical_hash([args, place])
    assert validated.plain == json_ready({"args": args})["args"]
    assert canonical_hash(validated.plain) == canonical_hash(args)
