"""Sentences by the thousand: templates of what operators say, filled with slots, and typed as people type.

The words of the templates are chosen beside the interpreter's lexicon and not out of it: some are in it, some are not.
What a slip makes of a sentence may be asked back, but must never become an order nobody gave.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from domain.intent import Kind

ENVIRONMENTS = {"production": ("production", "prod"), "staging": ("staging", "stg"), "dev": ("dev", "development")}
SIGNALS = {
    "ndcg_at_10": ("ndcg", "nDCG", "search quality", "relevance"),
    "latency_p95_ms": ("latency", "response time", "p95"),
    "recall_at_20": ("recall",),
    "user_satisfaction": ("user satisfaction", "csat"),
}
DAYS = {"2026-03-10": ("Tuesday", "2026-03-10", "march 10"), "2026-03-11": ("yesterday", "Wednesday")}
FLAGS = {
    "auto_promote": ("auto promote", "automatic promotion", "auto_promote"),
    "auto_rollback": ("auto rollback", "automatic rollback"),
    "ab_testing": ("A/B testing", "ab tests"),
}
CYCLES = ("si_2026_03_11_001", "si_2026_03_12_004")
APPROVALS = ("ap_0123456789abcdef01234567", "ap_feedfacefeedfacefeedface")

_TOLD = yaml.safe_load((Path(__file__).parent / "datasets" / "intents" / "templates.yaml").read_text(encoding="utf-8"))
TEMPLATES: Mapping[Kind, Sequence[str]] = {Kind(name): said for name, said in _TOLD["templates"].items()}
NEVER: Sequence[str] = _TOLD["never"]
_POLITE: Sequence[str] = _TOLD["polite"]
_PLAIN: Sequence[str] = _TOLD["plain"]
_ORDERS = (Kind.STOP, Kind.ROLL_BACK, Kind.CANCEL, Kind.APPROVE, Kind.START)
_WHEN = ("yesterday", "last night", "on Tuesday", "since Monday", "in the last 24 hours")


def generated(count: int, seed: int) -> Iterator[tuple[str, Kind | None, Mapping[str, Any]]]:
    """Yield sentences with what they mean and the slots that have to be right; None means: no order, whatever else."""
    draw = random.Random(seed)
    for number in range(count):
        if number % 6 == 5:
            yield _never(draw), None, {}
        else:
            yield _meant(draw)


def _meant(draw: random.Random) -> tuple[str, Kind, Mapping[str, Any]]:
    kind = draw.choice(list(TEMPLATES))
    said, slots = filled(draw.choice(TEMPLATES[kind]), kind, draw)
    order = kind.value in {k.value for k in (*_ORDERS, Kind.OPEN, Kind.FLAG, Kind.OVERRIDE, Kind.RESUME, Kind.DENY)}
    return _typed(draw.choice(_POLITE if order else _PLAIN).format(s=said), draw), kind, slots


def _never(draw: random.Random) -> str:
    kind = draw.choice(_ORDERS)
    order, _ = filled(draw.choice(TEMPLATES[kind]), kind, draw)
    return _typed(draw.choice(NEVER).format(order=order), draw)


def filled(template: str, kind: Kind, draw: random.Random) -> tuple[str, dict[str, Any]]:
    """Return a template with its names filled in, and the slots that a reading of it has to have."""
    slots: dict[str, Any] = {}
    words: dict[str, str] = {"when": draw.choice(_WHEN)}
    for name, slot, values in (
        ("env", "environment", ENVIRONMENTS),
        ("signal", "signal", SIGNALS),
        ("gate", "gate", {k: v for k, v in SIGNALS.items() if k != "recall_at_20"}),
        ("flag", "flag", FLAGS),
        ("day", "to_day", DAYS),
    ):
        if f"{{{name}}}" in template:
            slots[slot] = draw.choice(list(values))
            words[name] = draw.choice(values[slots[slot]])
    for name, identities in (("cycle", CYCLES), ("approval", APPROVALS)):
        if f"{{{name}}}" in template:
            slots[name] = words[name] = draw.choice(identities)
    if kind is Kind.FLAG:
        slots["enabled"] = template.startswith(("enable", "turn"))
    if kind is Kind.OPEN:
        slots["do_not_promote"] = True
    return template.format(**words), slots


def _typed(said: str, draw: random.Random) -> str:
    """Type a sentence as people do: in any case, now and then with a slip, with or without its marks."""
    case = draw.random()
    if case < 0.2 and "si_" not in said and "ap_" not in said:
        said = said.upper()
    elif case < 0.5:
        said = said[:1].upper() + said[1:]
    if draw.random() < 0.25:
        said = _slip(said, draw)
    return said + draw.choice(("", "", ".", "!", "  "))


def _slip(said: str, draw: random.Random) -> str:
    """Make one slip in one word of letters only: two exchanged, one doubled, or one left out."""
    words = said.split(" ")
    able = [i for i, word in enumerate(words) if word.isalpha() and len(word) > 4]
    if not able:
        return said
    at = draw.choice(able)
    word = words[at]
    place = draw.randrange(1, len(word) - 1)
    match draw.randrange(3):
        case 0:
            word = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
        case 1:
            word = word[:place] + word[place] + word[place:]
        case _:
            word = word[:place] + word[place + 1 :]
    words[at] = word
    return " ".join(words)
