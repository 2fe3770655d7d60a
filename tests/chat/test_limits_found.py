"""What is taken back, quoted, told, for a part, for another place or for another time is no order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from agents.operator.interpreter import Interpreter
from agents.operator.reading import Reading
from agents.operator.words import MOST_CHARACTERS, normalised, too_long
from domain.conversation import Conversation, Message
from domain.intent import Intent, Kind, OpenCycle, Stop, is_write, kind_of
from evals.intents import NOW
from service.chat.understanding import Heed, Understanding

INTERPRETER = Interpreter()
CYCLE, ASKED = "si_2026_02_14_003", "ap_3f2a1b"
STOP = "stop everything in production"
GIVEN = (
    STOP,
    f"approve {ASKED}",
    f"cancel {CYCLE}",
    f"resume {CYCLE}",
    "switch auto promote off in staging",
    "roll back staging to gold",
    "retrain the reranker but do not promote",
)
BACK = (
    *("{}. Actually don't", "{}, scratch that", "{}. I changed my mind", "{}. I take it back", "{}, that is wrong"),
    *("{}, just kidding", "{}, never mind", "{}, wait, no", "{} - on second thoughts", "{}. No, wait", "{}. Oops"),
    *("{} because it is fine. Actually don't", "{} because it is slow, scratch that", "{} because of that. Forget it"),
)
PARTS = (
    *(f"stop everything {word} production" for word in ("bar", "minus", "barring", "aside from", "beside", "leave")),
    *("stop anything failing in production", "stop everything new in production", "stop most of production"),
    *("stop one thing in production", "stop certain things in production", "stop the other things in production"),
    *("stop the crew in production from promoting", "stop the emails for everyone in production"),
    *(f"approve most of {ASKED}", f"approve all up to {ASKED}", f"cancel all cycles since {CYCLE}"),
    *(f"cancel most of {CYCLE}", f"cancel everything {CYCLE} did", "cancel everything it did"),
)
PLACES = (
    *("non-production", "non-prod envs", "non production", "nonprod", "ex-production", "post-production", "prod-eu"),
    *("prod_eu", "prod/eu", "prod-2", "prod2", "prod 2", "prod #2", "staging-2", "staging 2", "pre-staging", "eu-prod"),
)
TIMES = (
    *("at 5", "at 17", "by 5", "at 1700", "at dawn", "in the morning", "in the evening", "every night", "each night"),
    *("every monday", "temporarily", "for a moment", "just for today", "this evening"),
)
TOLD = (
    *("production stops", "production halts", "everything in production stops", "stop of production"),
    *("stop, production is fine", "given errors, stop production", "in case of errors, stop production"),
    *(f'"approve {ASKED}"', f"'approve {ASKED}'", f"\u201capprove {ASKED}\u201d", f"\u00ab{STOP}\u00bb", f"> {STOP}"),
    *(f"Forget about cancelling {CYCLE}", f"Hold off on cancelling {CYCLE}", f"stop cancelling {CYCLE}"),
    *("switch auto promote off and on again", f"approve {ASKED} because it is fine and also stop production"),
    *(f"approve {ASKED} because it is fine, tomorrow", f"approve {ASKED} because it is fine tomorrow"),
    *(f"cancel {CYCLE}, cancel that", f"approve {ASKED} because it is fine, cancel that"),
    *("retrain the reranker on Monday", "retrain the reranker in march", "retrain the reranker on 1 april"),
)
KEPT = (
    (STOP, Kind.STOP),
    ("stop staging", Kind.STOP),
    ("stop everything in pre-prod", Kind.STOP),
    (f"{STOP} because it is slow", Kind.STOP),
    (f"{STOP}, it is dangerous now", Kind.STOP),
    (f"approve {ASKED} because it is fine", Kind.APPROVE),
    (f"{ASKED} looks good to me, go ahead", Kind.APPROVE),
    (f'deny {ASKED} because "too risky for now"', Kind.DENY),
    ("temporarily override the ndcg gate to 0.01 in staging for two hours", Kind.OVERRIDE),
    ("retrain the reranker on the new subjects but do not promote", Kind.OPEN),
)


def order(said: str) -> Intent | None:
    """Return the order that is read in a sentence."""
    intent = INTERPRETER.read(said, NOW).intent
    return intent if intent is not None and is_write(intent) else None


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("form", BACK)
def test_what_is_taken_back_is_no_order(form: str, given: str) -> None:
    assert order(form.format(given)) is None


def test_what_is_taken_back_is_not_left_to_a_model() -> None:
    assert INTERPRETER.read(f"{STOP} because it is slow, scratch that", NOW).final


@pytest.mark.parametrize("said", [*PARTS, *TOLD])
def test_a_part_and_what_is_told_or_quoted_is_no_order(said: str) -> None:
    assert order(said) is None


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", ["stop everything in {}", "start everything in {}", "switch auto promote off in {}"])
def test_a_place_whose_name_only_holds_that_of_another_is_not_the_other(form: str, place: str) -> None:
    assert order(form.format(place)) is None


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("given", GIVEN)
def test_another_time_makes_it_no_order(given: str, time: str) -> None:
    assert order(f"{given} {time}") is None


@pytest.mark.parametrize("time", ["every night", "in the morning", "at dawn"])
def test_an_override_has_a_duration_and_no_other_time(time: str) -> None:
    assert order(f"override the ndcg gate to 0.01 in staging for two hours {time}") is None


@pytest.mark.parametrize(("said", "kind"), KEPT)
def test_the_orders_beside_them_are_read(said: str, kind: Kind) -> None:
    found = order(said)
    assert found is not None
    assert kind_of(found) is kind


def test_pre_production_is_staging_however_it_is_written() -> None:
    for place in ("pre-prod", "preprod", "pre-production"):
        assert order(f"stop everything in {place}") == Stop(environment="staging")


@pytest.mark.parametrize(
    "said",
    [
        "Stop everything in production. " + "The users are unhappy. " * 25 + "Wait, do not.",
        f"{STOP}. " + "x" * MOST_CHARACTERS,
        f"{STOP} " + "\ufdfa" * MOST_CHARACTERS,
        f"{STOP} " * 10_000,
    ],
)
def test_a_text_that_is_longer_than_what_is_read_gives_no_order(said: str) -> None:
    found = INTERPRETER.read(said, NOW)
    assert found.intent is None
    assert found.final
    assert "too long" in found.why


@pytest.mark.parametrize("blank", [" ", "\n", "\t", "\u200b", "\u2060", " \n"])
def test_what_stands_behind_blanks_is_read(blank: str) -> None:
    said = "retrain the reranker " + blank * 3000 + " but do not promote"
    found = order(said)
    assert not too_long(said)
    assert found is None or (isinstance(found, OpenCycle) and found.do_not_promote)
    assert order(f"{STOP} {blank * 3000} tomorrow") is None


def test_an_order_of_more_words_than_any_example_is_asked_back() -> None:
    said = f"approve {ASKED} " + "please " * 70
    assert not too_long(said)
    assert order(said) is None
    assert order(f"approve {ASKED} please please") is not None


def test_a_text_that_is_as_long_as_may_be_is_read_to_its_end() -> None:
    assert normalised("x" * (MOST_CHARACTERS - 2) + " y").endswith(" y")
    assert not too_long("x" * MOST_CHARACTERS)
    assert too_long("x" * (MOST_CHARACTERS + 1))


class _Eager:
    """A listener that reads one order in whatever is said."""

    def heed(self, text: str, talk: Conversation, before: Sequence[Message], reading: Reading) -> Heed:
        return Heed(Stop(environment="production"), models=("eager",))


@pytest.mark.parametrize(
    ("said", "proposed"),
    [
        ("make production quiet", True),
        ("make production quiet, not", False),
        ("nobody is to make production quiet", False),
        ("make production quiet, scratch that", False),
        ("if it burns make production quiet", False),
    ],
)
def test_a_model_proposes_no_order_where_the_sentence_has_a_not(said: str, proposed: bool) -> None:
    talk = Conversation(id="ch_0123456789abcdef", caller="somebody", opened_at=datetime(2026, 3, 12, tzinfo=UTC))
    heed = Understanding(INTERPRETER, _Eager()).more(said, talk, (), Reading(None), NOW)
    assert heed is not None
    assert (heed.intent is not None) is proposed
    assert bool(heed.problem) is not proposed
