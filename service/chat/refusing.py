"""What is said where nothing is done: it was refused, it failed, or it was not clear and is asked back."""

from __future__ import annotations

from collections.abc import Sequence

from agents.operator.reading import Reading
from agents.operator.tongues import excuse
from agents.operator.words import normalised
from domain.access import ApiAction
from domain.decision import Decision
from domain.errors import EvercrewError
from domain.untrusted import one_line
from service.chat.events import AsksBack, Option, Refused
from service.chat.wording import said

_SLOTS = {
    "to": "where to: gold, a day, or a revision",
    "environment": "in which environment: dev, staging or production",
    "cycle": "which cycle, e.g. si_2026_01_31_001",
    "approval": "which request, e.g. ap_3f2a1b",
    "signal": "which signal, e.g. nDCG, latency or recall",
    "gate": "which gate",
    "threshold": "which number it is to count",
    "hours": "for how long, e.g. two hours",
}


def refusal(decision: Decision, action: ApiAction) -> Refused:
    """Return that somebody may not do something, and who could."""
    remedy = f"Ask somebody whose role allows {action.value}"
    return Refused(
        reason=decision.reason or f"{action.value} is not allowed", policies=decision.policies, remedy=remedy
    )


def not_one(target: str) -> Refused:
    """Return that an order counts for all targets, where the sentence names one."""
    reason = f"this counts for every target and cannot be limited to {target}; nothing was done"
    return Refused(reason=reason, remedy=f"Say it without {target}, or cancel the cycles of {target}")


def not_its(target: str, other: str) -> Refused:
    """Return that what an order names is another target's than the one that the sentence names."""
    return Refused(reason=f"it is about {other}, not {target}; nothing was done", remedy="Name what it is about")


def not_several(targets: Sequence[str]) -> AsksBack:
    """Ask which target is meant, where a sentence names several."""
    return AsksBack(question=f"It names {' and '.join(targets)}. Nothing was done. Say it for one at a time.")


def not_without(target: str) -> AsksBack:
    """Ask what is meant, where a sentence seems to leave a target out."""
    return AsksBack(question=f"It may leave {target} out. Nothing was done. Name the target that it is about.")


def failed(problem: EvercrewError) -> Refused:
    """Return what stood in the way, and what to do about it, each said once."""
    remedy = str(getattr(problem, "remedy", ""))
    reason = one_line(str(problem).removesuffix(remedy).rstrip(" .") if remedy else str(problem), 600)
    return Refused(reason=reason, remedy=remedy)


def asked_back(reading: Reading, text: str) -> AsksBack:
    """Ask what is missing, or which of the readings is meant; who does not speak English is told what is spoken."""
    asked = _asks(reading)
    more = excuse(normalised(text))
    return asked.model_copy(update={"question": f"{asked.question} {more}"}) if more else asked


def _asks(reading: Reading) -> AsksBack:
    if reading.wanted is not None and reading.missing:
        asked = "; ".join(_SLOTS.get(name, name) for name in reading.missing)
        return AsksBack(question=f"Say {asked}. Nothing was done.")
    why = f" ({one_line(reading.why, 200)})" if reading.why else ""
    options = tuple(Option(intent=o.model_dump(mode="json", exclude_none=True), said=said(o)) for o in reading.options)
    if options:
        return AsksBack(question=f"I am not sure what you mean{why}. Nothing was done.", options=options)
    if reading.final and reading.why:
        return AsksBack(question=f"Nothing was done: {one_line(reading.why, 200)}.")
    more = "Say `help` for what can be asked, in English."
    return AsksBack(question=f"I did not understand that{why}. Nothing was done. {more}")
