"""What was understood of a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agents.operator.questions import Candidate
from domain.errors import InvalidInput
from domain.intent import Intent, Kind, intent_of


@dataclass(frozen=True)
class Reading:
    """What was understood.

    `intent` is None where it has to be asked back: then `missing` names the slots of `wanted` that were not said, or
    `options` are the readings that were too close to choose between; `why` says it in a sentence. What is `final` is
    not for a model to read otherwise: it says not to do something.
    """

    intent: Intent | None
    score: float = 0.0
    options: tuple[Intent, ...] = ()
    wanted: Kind | None = None
    missing: tuple[str, ...] = ()
    why: str = ""
    final: bool = False

    @property
    def clear(self) -> bool:
        """Whether there is one reading."""
        return self.intent is not None


def reading_of(best: Candidate) -> Reading:
    """Return the reading that a candidate is; what it lacks is asked back."""
    if best.missing:
        said = ", ".join(best.missing)
        return Reading(None, wanted=best.kind, missing=best.missing, why=f"it does not say which {said}")
    slots = {name: value for name, value in best.slots.items() if value is not None}
    try:
        intent = intent_of({"kind": best.kind.value, **slots})
    except InvalidInput as problem:
        return Reading(None, wanted=best.kind, missing=(problem.field,), why=str(problem))
    return Reading(intent, best.score)


def between(candidates: Sequence[Candidate], why: str) -> Reading:
    """Return that it is asked which of these was meant, each with what is meant where nothing else is said."""
    whole = (reading_of(replace(each, missing=())) for each in candidates)
    options = [reading.intent for reading in whole if reading.intent is not None]
    return Reading(None, options=tuple(dict.fromkeys(options)), why=why)
