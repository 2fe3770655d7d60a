"""`evercrew bench intents`: how often the playbook understands an operator, and that it reads no order nobody gave.

`python -m evals.intents [--generated N] [--seed S] [--json]`

Twenty sentences the interpreter was tuned on, twenty paraphrases of them that were written before it and kept aside,
more in yet other words, those of strangers, sentences that are no order though they look like one, orders whose bound
is put in every way, and generated ones. A reading is right when the intent and every slot that the row names are; what
is asked back is neither right nor wrong; an order that is read where none, or another, was given fails the run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from agents.operator.interpreter import Interpreter
from agents.operator.likeness import kept, learn
from agents.operator.reading import Reading
from domain.clock import Clock, SystemClock
from domain.intent import Intent, Kind, RollBack, is_write, kind_of
from evals.intent_templates import generated
from evals.sections import Section, timed
from evals.tables import console

DATA = Path(__file__).parent / "datasets" / "intents"
_STRANGERS = ("strangers_a", "strangers_b", "kept_a", "kept_b", "acceptance")
SETS = ("tuned", "held_out", "wider", *_STRANGERS, "paraphrases", "fresh", "no_orders", "traps", "bounds")
GOAL = 0.9
NOW = datetime(2026, 3, 12, 9, 30, tzinfo=UTC)
"""The moment the generated sentences are said at: a Thursday. Every set says its own."""
# Sets of which only what is not right is printed, and those that show that nothing is done wrongly.
_LONG = ("wider", "paraphrases", "traps", "bounds", "generated")
_SAFETY = ("bounds", "generated")
# And sets that nothing was tuned on: their figure is shown, and is no goal.
_KEPT = ("kept_a", "kept_b")


class Mark(StrEnum):
    """What became of a sentence."""

    RIGHT = "right"
    ASKED_BACK = "asked back"
    WRONG = "wrong"
    WRONG_WRITE = "WRONG WRITE"


@dataclass(frozen=True)
class Row:
    """A sentence, what it means (None: anything but an order), and the slots that have to be right."""

    say: str
    intent: Kind | None
    slots: Mapping[str, Any]
    at: datetime = NOW


@dataclass(frozen=True)
class Read:
    """A sentence that was read."""

    row: Row
    got: str
    mark: Mark


def rows(name: str) -> list[Row]:
    """Return the rows of a set."""
    told = yaml.safe_load((DATA / f"{name}.yaml").read_text(encoding="utf-8"))
    at = told["now"].astimezone(UTC)
    return [
        Row(r["say"], Kind(r["intent"]) if r.get("intent") else None, r.get("slots") or {}, at) for r in told["rows"]
    ]


def made(count: int, seed: int) -> list[Row]:
    """Return generated rows."""
    return [Row(say, kind, slots) for say, kind, slots in generated(count, seed)]


def read(row: Row, interpreter: Interpreter) -> Read:
    """Read one sentence, and mark it."""
    reading = interpreter.read(row.say, row.at)
    return Read(row, _got(reading), _mark(row, reading.intent))


def _mark(row: Row, intent: Intent | None) -> Mark:
    if intent is None:
        return Mark.RIGHT if row.intent is None else Mark.ASKED_BACK
    if row.intent is None:
        return Mark.WRONG_WRITE if is_write(intent) else Mark.RIGHT
    if kind_of(intent) is row.intent and all(_slot(intent, name) == wanted for name, wanted in row.slots.items()):
        return Mark.RIGHT
    return Mark.WRONG_WRITE if is_write(intent) else Mark.WRONG


def _slot(intent: Intent, name: str) -> Any:
    match name:
        case "since":
            period = getattr(intent, "period", None)
            return None if period is None else f"{period.start:%Y-%m-%d}"
        case "to_day":
            return intent.to.value if isinstance(intent, RollBack) and intent.to.how == "day" else None
        case _:
            found = getattr(intent, name, None)
            return found.model_dump() if isinstance(found, BaseModel) else found


def _got(reading: Reading) -> str:
    if reading.intent is None:
        return f"asks back: {reading.why}"
    slots = reading.intent.model_dump(mode="json", exclude_defaults=True, exclude={"kind"})
    return f"{kind_of(reading.intent).value} {json.dumps(slots, ensure_ascii=False) if slots else ''}".strip()


def summary(name: str, found: Sequence[Read]) -> dict[str, str | int | float | None]:
    """Return the figures of a set."""
    counts = {mark: sum(each.mark is mark for each in found) for mark in Mark}
    return {
        "set": name,
        "sentences": len(found),
        "right": counts[Mark.RIGHT],
        "asked back": counts[Mark.ASKED_BACK],
        "wrong": counts[Mark.WRONG],
        "wrong writes": counts[Mark.WRONG_WRITE],
        "right, %": round(100 * counts[Mark.RIGHT] / len(found), 1) if found else None,
    }


def good(name: str, found: Sequence[Read]) -> bool:
    """Whether a set meets the goal: nine in ten right, and no order that nobody gave.

    The generated ones are for the second: what a slip makes of a word is for the operator to say again. So are the
    bounds: one that is asked back is not lost. What nothing was tuned on is shown as it is.
    """
    if any(each.mark is Mark.WRONG_WRITE for each in found):
        return False
    right = sum(each.mark is Mark.RIGHT for each in found)
    return name in (*_SAFETY, *_KEPT) or not found or right >= GOAL * len(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read all sets and print the table; returns 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m evals.intents", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--generated", type=int, default=2000, help="sentences made of templates, slots and slips")
    parser.add_argument("--seed", type=int, default=1, help="of the generated ones")
    given = parser.parse_args(arguments)
    beginning, interpreter = _beginning(SystemClock()), Interpreter()
    sets = {name: [read(row, interpreter) for row in rows(name)] for name in SETS}
    sets["generated"] = [read(row, interpreter) for row in made(given.generated, given.seed)]
    told = console(to_stderr=given.json)
    found = [*sections(sets), beginning]
    for section in found:
        told.print(section.table())
    if given.json:
        sys.stdout.write(json.dumps({section.name: section.plain() for section in found}, indent=2) + "\n")
    return 0 if all(good(name, found) for name, found in sets.items()) else 1


def _beginning(clock: Clock) -> Section:
    """Return what the second reader costs before its first sentence: once as it is kept, once learned anew."""
    fetched, taught = timed(clock, kept), timed(clock, learn)
    row: dict[str, str | int | float | None] = {
        "what was learned, read, s": fetched,
        "learned anew from the examples, s": taught,
        "times": taught / fetched if fetched else None,
    }
    return Section("beginning", "the second reader, before the first sentence of a process", [row])


def sections(sets: Mapping[str, Sequence[Read]]) -> list[Section]:
    """Return the tables: every sentence of the sets, what went wrong of the generated ones, and the figures."""
    told = [
        Section(name, f"{name}: sentences and what was read", [_told(each) for each in found if _printed(name, each)])
        for name, found in sets.items()
        if name != "generated" and any(_printed(name, each) for each in found)
    ]
    astray = [_told(each) for each in sets["generated"] if each.mark in (Mark.WRONG, Mark.WRONG_WRITE)][:20]
    if astray:
        told.append(Section("astray", "generated sentences that were read wrongly, the first of them", astray))
    note = "held_out was written before the interpreter and never tuned on; no model was asked"
    return [*told, Section("summary", "figures", [summary(name, found) for name, found in sets.items()], note)]


def _printed(name: str, each: Read) -> bool:
    return name not in _LONG or each.mark is not Mark.RIGHT


def _told(each: Read) -> dict[str, str | int | float | None]:
    return {
        "sentence": each.row.say,
        "wanted": each.row.intent or "no order",
        "read": each.got,
        "mark": each.mark.value,
    }


if __name__ == "__main__":
    sys.exit(main())
