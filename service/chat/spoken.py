"""What *it* is: the one cycle, or the one request, that was spoken of in the last turns of a talk.

A reference is followed only where exactly one thing fits it, and that one was named by the caller or by a typed part of
an answer: an identity that merely stands in a quoted text makes a reference doubtful, and is never what it leads to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents.operator.reading import Reading
from domain.conversation import Message
from domain.intent import Intent, Kind, kind_of

TURNS = 3
"""Turns that a reference looks back, each a sentence and its answer."""
MOST = 10
"""Identities that a reference is tried with: each of them is one more reading of the sentence."""
_IDENTITY = re.compile(r"\b(?:si_\d{4}_\d{2}_\d{2}_\d{3,6}|ap_[0-9a-f]{4,24})\b")
_REFERENCE = re.compile(
    r"\b(?:(?:this|that|the same|the|said) (?:one|cycle|run|request|approval)|the same(?: thing)?|it"
    r"|(?:this|that)(?=\s*(?:[,.;:!?]|$|\s(?:please|now|because|again|going|further|through)\b)))\b",
    re.IGNORECASE,
)
# Questions that *it* is asked of a cycle in; elsewhere *it* may as well be the crew.
_ASKED = (Kind.WHY, Kind.SPENT, Kind.REPORT, Kind.CYCLE)


@dataclass(frozen=True)
class Followed:
    """A reading, and what a reference in its sentence was taken to be; nothing where there was none."""

    reading: Reading
    word: str = ""
    identity: str = ""


def followed(text: str, reading: Reading, before: Sequence[Message], read: Callable[[str], Reading]) -> Followed:
    """Return the reading of a sentence, its reference followed where that is safe.

    Args:
        reading: what the sentence is by itself.
        before: what was said before it, oldest first.
        read: reads a sentence by itself.
    """
    found = _REFERENCE.search(text)
    if found is None or reading.final or _IDENTITY.search(text) or not _open(reading):
        return Followed(reading)
    last = before[-2 * TURNS :]
    named = {each for message in last for each in _named(message)}
    spoken = named | {each for message in last for each in _IDENTITY.findall(message.text)}
    if len(spoken) > MOST:
        why = f"it does not say which: more than {MOST} were spoken of"
        return Followed(replace(reading, intent=None, options=(), why=why))
    fitting: dict[str, Reading] = {}
    for identity in sorted(spoken):
        other = read(f"{text[: found.start()]}{identity}{text[found.end() :]}")
        if _fits(reading.intent, other.intent, identity):
            fitting[identity] = other
    if not fitting:
        return Followed(reading)
    if len(fitting) == 1 and fitting.keys() <= named:
        ((identity, one),) = fitting.items()
        return Followed(one, found[0].lower(), identity)
    options = tuple(each.intent for each in fitting.values() if each.intent is not None)
    why = f"it does not say which: {', '.join(fitting)} were spoken of" if len(fitting) > 1 else "it does not say which"
    return Followed(replace(reading, intent=None, options=options, missing=(), why=why))


def _open(reading: Reading) -> bool:
    """Whether a reading leaves room for a reference: it is not clear, or asks something of a cycle and names none."""
    if reading.intent is None:
        return True
    return kind_of(reading.intent) in _ASKED and getattr(reading.intent, "cycle", None) is None


def _fits(alone: Intent | None, other: Intent | None, identity: str) -> bool:
    """Whether a sentence with an identity in place of its reference is clear, of the identity, and asks the same."""
    if other is None or identity not in (getattr(other, "cycle", None), getattr(other, "approval", None)):
        return False
    return alone is None or kind_of(alone) is kind_of(other)


def _named(message: Message) -> Iterator[str]:
    """Yield the identities that somebody named: the caller, or a typed part of an answer that was looked up."""
    if message.who == "caller":
        yield from _IDENTITY.findall(message.text)
        return
    for event in message.events:
        yield from (each for each in _typed(event) if _IDENTITY.fullmatch(each))


def _typed(event: Mapping[str, Any]) -> Iterator[str]:
    match event.get("event"):
        case "cites":
            yield from (str(cite.get("id", "")) for cite in event.get("cites", ()))
        case "did":
            yield str(event.get("cycle_id", ""))
        case "proposes":
            yield from _slots(event.get("intent", {}))
        case "asks_back":
            for option in event.get("options", ()):
                yield from _slots(option.get("intent", {}))
        case _:
            return


def _slots(intent: Mapping[str, Any]) -> Iterator[str]:
    yield from (str(intent.get(slot, "")) for slot in ("cycle", "approval"))
