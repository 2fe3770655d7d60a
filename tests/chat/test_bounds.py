"""A bound of an order is kept wherever it stands, or asked back; a *not*, a condition or another time makes it none."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from agents.operator.interpreter import Interpreter
from domain.intent import WRITES, Kind, OpenCycle, is_write
from evals.intent_templates import TEMPLATES, filled
from evals.intents import NOW, Mark, read, rows

INTERPRETER = Interpreter()
TRAINS = (
    "retrain the re-ranker",
    "train the ranker again on the new subjects",
    "kick off a retraining of the re-ranker",
    "could you please refit the ranking model",
    "I'd like you to retrain the ranker",
    "the re-ranker should be retrained",
)
HELD = (
    "do not promote",
    "don't promote it",
    "without promoting it",
    "no promotion",
    "candidate only",
    "keep it out of production",
    "never put it live",
    "it must not go live",
    "under no circumstances deploy it",
    "leave the promotion out",
)
LOOKS = ("look into the latency", "investigate recall", "would you mind diagnosing the search quality")
TOUCHED = (
    "change nothing",
    "don't change anything",
    "read only",
    "without touching anything",
    "nothing should be changed",
)
PLACES = (
    "{order}, {bound}",
    "{order}; {bound}",
    "{order} - {bound}",
    "{order}. {bound}.",
    "{order}, but {bound}",
    "{order} and {bound}, please",
    "{bound}, {order}",
    "{bound}. {order}!",
    "{order} because ndcg fell, but {bound}",
    "hi team, {order}, {bound}, thanks",
)
NEVER = (
    *("do not {}", "don't {}", "dont {}", "never {}", "please do not {}", "you must not {}", "nobody should {}"),
    *("I do not want you to {}", "there is no need to {}", "under no circumstances {}", "we agreed not to {}"),
    *("would you please not {}", "it is not necessary to {}", "he said: {}", "should we {}?", "maybe {}", "perhaps {}"),
)
LATER = (
    *(
        "tomorrow {}",
        "if it gets worse, {}",
        "{} unless it heals",
        "once the demo is over {}",
        "as soon as it fails, {}",
    ),
    *(
        "when the index is ready, {}",
        "at 5pm {}",
        "next week, {}",
        "before the release {}",
        "{}, but not yet",
        "{}? no",
    ),
    *("{} or not", "just kidding: {}", "next week {}", "in two hours {}", "after the release {}"),
)
# Said at the end of an order; what ends with a bound, or a reason, is bounded or reasoned otherwise by it.
AT_THE_END = (
    *("{} tomorrow", "{} if it heals", "{} once the demo is over", "{} as soon as it fails", "{} at 5pm"),
    *("{} next week", "{} before the release", "{} on Monday", "{} when the index is ready", "{} in an hour"),
    *("{} but only for the ranker", "{} except for the index", "{} for the weekend"),
)


def orders() -> Iterator[tuple[Kind, str]]:
    """Yield orders of every kind, of the templates that begin with their verb, their slots filled in."""
    draw = random.Random(3)
    for kind in WRITES:
        verbs = [template for template in TEMPLATES[kind] if not template.startswith("{")]
        yield from ((kind, filled(template, kind, draw)[0]) for template in verbs[:3])


def written(sentence: str) -> Any:
    reading = INTERPRETER.read(sentence, NOW)
    return reading.intent if reading.intent is not None and is_write(reading.intent) else None


def test_wherever_not_to_promote_stands_it_is_kept_or_asked_back() -> None:
    found = [(said, written(said)) for said in _said(TRAINS, HELD)]
    assert not [said for said, order in found if order is not None and not _held(order)]
    assert sum(order is not None for _, order in found) >= 0.8 * len(found)


def test_wherever_to_change_nothing_stands_it_is_kept_or_asked_back() -> None:
    found = [(said, written(said)) for said in _said(LOOKS, TOUCHED)]
    assert not [said for said, order in found if order is not None and not order.only_diagnose]
    assert sum(order is not None for _, order in found) >= 0.8 * len(found)


@pytest.mark.parametrize("form", NEVER)
def test_an_order_that_is_negated_told_or_doubted_is_none(form: str) -> None:
    assert not [said for _, order in orders() for said in [form.format(order)] if written(said) is not None]


@pytest.mark.parametrize("form", LATER)
def test_an_order_for_another_time_or_under_a_condition_is_none(form: str) -> None:
    assert not [said for _, order in orders() for said in [form.format(order)] if written(said) is not None]


@pytest.mark.parametrize("form", AT_THE_END)
def test_a_time_or_a_condition_at_the_end_of_an_order_makes_it_none(form: str) -> None:
    plain = [order for kind, order in orders() if kind not in (Kind.OPEN, Kind.DENY)]
    assert not [said for order in plain for said in [form.format(order)] if written(said) is not None]


def test_the_same_orders_without_any_of_that_are_read() -> None:
    missed = [order for kind, order in orders() if getattr(written(order), "kind", None) is not kind]
    assert not missed


@pytest.mark.parametrize("row", rows("bounds"), ids=lambda row: row.say)
def test_no_bound_is_lost(row: Any) -> None:
    assert read(row, INTERPRETER).mark is not Mark.WRONG_WRITE


@pytest.mark.parametrize(
    "row", [*rows("traps"), *(r for r in rows("fresh") if r.intent is None)], ids=lambda row: row.say
)
def test_no_trap_becomes_an_order(row: Any) -> None:
    assert read(row, INTERPRETER).mark is Mark.RIGHT


def _said(given: tuple[str, ...], bounds: tuple[str, ...]) -> Iterator[str]:
    return (place.format(order=order, bound=bound) for order, bound, place in product(given, bounds, PLACES))


def _held(order: Any) -> bool:
    return isinstance(order, OpenCycle) and order.do_not_promote
