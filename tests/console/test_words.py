"""How pages say times left, facts, rules, intervals and conversations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.conversation import Message
from domain.errors import InvalidInput
from domain.intent import WRITES
from policies.contract import GateSpec
from service.web.chat_view import TITLES, label_of, place_of, slots_of, states_of, turns_of
from service.web.forms import Fault, by_field, moment, number
from service.web.page_filters import gate_rule, plain, timing, until
from service.wording import readable

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
TALK = "ch_0123456789abcdef"


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (timedelta(days=2, hours=5), "expires in 2 d 5 h"),
        (timedelta(hours=3, minutes=12), "expires in 3 h 12 min"),
        (timedelta(minutes=4, seconds=7), "expires in 4 min 7 s"),
        (timedelta(), "expired"),
        (timedelta(seconds=-1), "expired"),
    ],
)
def test_what_is_left_is_said_in_two_units(left: timedelta, said: str) -> None:
    assert until(NOW + left, NOW) == said


def test_facts_are_said_as_people_say_them() -> None:
    assert [plain(value) for value in (True, False, 0, "", "act")] == ["yes", "no", "0", "nothing", "act"]


@pytest.mark.parametrize(
    ("kind", "threshold", "said"),
    [
        ("min_relative_delta", 0.03, "at least +3 % against the baseline"),
        ("max_relative_delta", 0.15, "at most +15 % against the baseline"),
        ("min", 4.0, "at least 4"),
        ("max", 0.5, "at most 0.5"),
    ],
)
def test_a_rule_of_a_gate_is_said(kind: str, threshold: float, said: str) -> None:
    assert gate_rule(GateSpec.model_validate({"signal": "s", "kind": kind, "threshold": threshold})) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("every 1:00:00", "every 1 h"),
        ("every 0:15:00", "every 15 min"),
        ("every 2 days, 0:00:00", "every 2 d"),
        ("30 3 * * 0", "cron 30 3 * * 0 (UTC)"),
    ],
)
def test_a_timing_is_said_in_its_unit(text: str, said: str) -> None:
    assert timing(text) == said


def test_a_time_of_a_form_is_in_utc_and_another_zone_is_converted() -> None:
    assert moment("", "since") is None
    assert moment("2026-01-31T12:00", "since") == NOW
    assert moment("2026-01-31T13:00+01:00", "since") == NOW
    with pytest.raises(InvalidInput, match="is no date and time"):
        moment("yesterday", "since")


@pytest.mark.parametrize("text", ["", "much", "nan", "inf", "1e999"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no number"):
        number(text, "threshold")


def test_a_number_may_be_written_with_a_comma() -> None:
    assert number(" 0,02 ", "threshold") == 0.02


def test_a_fault_is_a_sentence_with_its_remedy_and_the_first_of_a_field_counts() -> None:
    faults = [Fault("a", "is empty", "Say why"), Fault("a", "another", "x"), Fault.of(InvalidInput("b", "no", "Do"))]
    found = by_field(faults)
    assert found["a"].said == "Is empty. Say why."
    assert list(found) == ["a", "b"]
    assert Fault.of(InvalidInput("env", "p", "r"), {"env": "environment"}).field == "environment"


# -- the chat ---------------------------------------------------------------------------------------------------------


def _proposal(identity: str, until_: datetime) -> Message:
    event = {
        "event": "proposes",
        "proposal_id": identity,
        "intent": {"kind": "stop", "environment": "dev", "agent": None},
        "shown": "stop everything in dev",
        "expires_at": until_.isoformat(),
        "irreversible": False,
    }
    said = {"event": "said", "text": "I understood: "}
    return Message(conversation_id=TALK, who="evercrew", text="...", at=NOW, events=(said, event))


def test_a_proposal_is_open_until_it_is_confirmed_or_over() -> None:
    a, b, c = (f"pr_{letter * 24}" for letter in "abc")
    later, before = NOW + timedelta(minutes=5), NOW - timedelta(minutes=5)
    confirmed = Message(conversation_id=TALK, who="caller", text=f"confirmed {b}", at=NOW)
    messages = [_proposal(a, later), _proposal(b, later), confirmed, _proposal(c, before)]
    assert states_of(messages, NOW) == {a: "open", b: "confirmed", c: "expired"}
    turns = turns_of(messages)
    assert [turn.text for turn in turns] == ["I understood: ", "I understood: ", "Confirmed.", "I understood: "]
    assert [event["event"] for event in turns[0].events] == ["proposes"]


@pytest.mark.parametrize(
    ("cite", "place"),
    [
        ({"kind": "cycle", "id": "si_2026_01_31_001"}, "/cycles/si_2026_01_31_001"),
        ({"kind": "record", "id": "12"}, "/audit/12"),
        ({"kind": "call", "id": "x", "of": "si_2026_01_31_001"}, "/cycles/si_2026_01_31_001/evidence"),
        ({"kind": "call", "id": "x"}, ""),
        ({"kind": "runbook", "id": "latency"}, ""),
        ({"kind": "cycle", "id": "../../logout?x=<b>"}, "/cycles/....logoutxb"),
    ],
)
def test_a_citation_leads_to_its_page_and_never_elsewhere(cite: dict[str, str], place: str) -> None:
    assert place_of(cite) == place


def test_an_intent_is_shown_by_its_slots_without_those_that_are_empty() -> None:
    intent = {"kind": "open_cycle", "signal": "ndcg_at_10", "model": None, "new_subjects": True, "subjects": ["a", "b"]}
    assert slots_of(intent) == [("signal", "ndcg_at_10"), ("new subjects", "yes"), ("subjects", "a, b")]
    assert label_of({"kind": "cycle", "id": "si", "label": ""}) == "si"
    assert set(TITLES) == {kind.value for kind in WRITES}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ndcg_at_10 is back at 0.597", "nDCG@10 is back at 0.597"),
        (
            "Breached: latency_p95_ms. It is watched.; a person looks",
            "Breached: p95 latency. It is watched; a person looks",
        ),
        ("readings.ndcg_at_10.value of my_ndcg_at_10", "readings.ndcg_at_10.value of my_ndcg_at_10"),
        ("see /metrics/ndcg_at_10 and ndcg_at_10_level", "see /metrics/ndcg_at_10 and ndcg_at_10_level"),
        ("", ""),
    ],
)
def test_a_sentence_of_the_record_names_signals_as_people_do_and_leaves_paths_alone(text: str, said: str) -> None:
    assert readable(text) == said


def test_a_reason_does_not_repeat_the_gate_that_stands_beside_it() -> None:
    reason = "latency_p95_ms: +5.05% where at most +15.00% is asked for"
    assert readable(reason, about="evaluation: latency_p95_ms") == "+5.05% where at most +15.00% is asked for"
    assert readable(reason, about="ndcg_at_10") == "p95 latency: +5.05% where at most +15.00% is asked for"
