"""What stands in a sentence, before anybody says what it means: concepts, names, moments, mood, and what is negated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property

from agents.operator.lexicon import (
    COMMON,
    DECIDING,
    DOING,
    FILLER,
    NOT,
    found_at,
    known_stems,
    negates,
    phrases,
    starts_of,
    word_set,
)
from agents.operator.moments import Calendar, duration
from agents.operator.mood import after, asks_politely, supposes, tells, wonders
from agents.operator.names import Named, Vocabulary, named, only
from agents.operator.plainly import plainly
from agents.operator.remarks import remarks, without_reason
from agents.operator.words import HAVE, Word, mended, normalised, stem, words
from domain.intent import Period

# So far a *not* reaches, in words.
_REACH = 4
_LEAD, _HARMLESS = word_set("lead"), word_set("harmless")
# Pasts that are not bent by an ending.
_PAST = frozenset({
    "went", "gone", "took", "taken", "brought", "made", "gave", "given", "threw", "thrown", "froze", "frozen", "held",
    "kept", "undid", "undone", "ran", "began", "begun", "got", "came", "sent", "gotten", "left",
})  # fmt: skip
# Verbs that only look bent.
_UNBENT = frozenset({"proceed", "bring", "need", "feed"})
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?%?")


@dataclass(frozen=True)
class Mention:
    """A concept in a sentence: where, whether it is negated, and whether it is an order's verb."""

    concept: str
    places: tuple[int, ...]
    negated: bool
    ordered: bool


class Heard:
    """A sentence, taken apart."""

    def __init__(self, text: str, vocabulary: Vocabulary, now: datetime) -> None:
        self.vocabulary = vocabulary
        self.said = normalised(text)
        put = plainly(self.said)
        self.put, self.courteous = put.text, put.courteous
        self.asked = not put.courteous and put.text.rstrip(" .!").endswith("?")
        said, self.reason = without_reason(put.text)
        self.words = mended(words(said), known_stems() | vocabulary.stems | DECIDING, FILLER | COMMON | DECIDING)
        self._calendar = Calendar(now)
        self.leaning, self.narrow = "", False
        self.today = now.date()

    def leaning_to(self, concept: str) -> Heard:
        """Return the same sentence, as if a verb of this concept ordered something in it."""
        other = copy(self)
        other.leaning = concept
        return other

    def narrowed(self) -> Heard:
        """Return the same sentence, as if what it has done were bound as narrowly as can be."""
        other = copy(self)
        other.narrow = True
        return other

    # -- names -------------------------------------------------------------------------------------------------------

    @cached_property
    def names(self) -> Mapping[str, tuple[Named, ...]]:
        """Names by sort of thing."""
        found = {sort: named(self.words, sort, self.vocabulary) for sort in self.vocabulary.phrases}
        return {sort: self._apart(sort, each) for sort, each in found.items()}

    def name(self, sort: str) -> str | None:
        """Return the one name of a sort that is said."""
        return only(self.names[sort])

    def places(self, sort: str) -> frozenset[int]:
        """Return where names of a sort stand."""
        return frozenset(place for each in self.names[sort] for place in each.places)

    def ids(self, pattern: str) -> list[str]:
        """Return the words that have this form, each once."""
        return list(dict.fromkeys(word.text for word in self.words if re.fullmatch(pattern, word.text)))

    def places_of_ids(self) -> frozenset[int]:
        """Return where cycles and approvals are named."""
        return frozenset(word.place for word in self.words if word.text in (*self.cycles, *self.approvals))

    @cached_property
    def cycles(self) -> list[str]:
        return self.ids(r"si_\d{4}_\d{2}_\d{2}_\d{3,6}")

    @cached_property
    def approvals(self) -> list[str]:
        return self.ids(r"ap_[0-9a-f]{4,24}")

    @cached_property
    def numbers(self) -> list[float]:
        """The numbers that are no part of a duration or a date, percentages as shares."""
        taken = self.lasting[1] | self.when[1]
        return [
            float(word.text.rstrip("%").replace(",", ".")) / (100 if word.text.endswith("%") else 1)
            for word in self.words
            if _NUMBER.fullmatch(word.text) and word.place not in taken
        ]

    @cached_property
    def when(self) -> tuple[Period | None, frozenset[int]]:
        """The period that is spoken of, and where."""
        return self._calendar.period(self.words)

    @cached_property
    def day(self) -> tuple[date | None, frozenset[int]]:
        """The day that is spoken of, and where."""
        return self._calendar.day(self.words)

    @cached_property
    def lasting(self) -> tuple[timedelta | None, frozenset[int]]:
        """For how long something is to be, and where that stands."""
        return duration(self.words)

    # -- concepts and mood -------------------------------------------------------------------------------------------

    @cached_property
    def mentions(self) -> Mapping[str, tuple[Mention, ...]]:
        """The concepts that stand in the sentence."""
        return {
            concept: tuple(Mention(concept, p, self._negated(p[0]), self._ordered(p[0], concept)) for p in found)
            for concept, found in self._found.items()
        }

    @cached_property
    def _found(self) -> Mapping[str, list[tuple[int, ...]]]:
        """The places of each concept's words, the longest phrases first."""
        found: dict[str, list[tuple[int, ...]]] = {}
        starts = starts_of(self.words)
        for phrase, concept in phrases():
            for start in starts.get(phrase[0], ()):
                places = found_at(self.words, start, phrase)
                if places and not any(set(places) & set(known) for known in found.get(concept, ())):
                    found.setdefault(concept, []).append(places)
        return found

    def has(self, *concepts: str) -> bool:
        """Whether one of the concepts stands there and is not negated."""
        return any(not m.negated for concept in concepts for m in self.mentions.get(concept, ()))

    def ordered(self, concept: str) -> tuple[Mention, ...]:
        """Return the mentions of a concept as the verb of an order, not negated."""
        return tuple(m for m in self.mentions.get(concept, ()) if m.ordered and not m.negated)

    def at(self, *concepts: str) -> frozenset[int]:
        """Return the places of concepts."""
        return frozenset(p for concept in concepts for m in self.mentions.get(concept, ()) for p in m.places)

    @cached_property
    def conditional(self) -> bool:
        """Whether it speaks of what may be."""
        return supposes(self.words)

    @cached_property
    def reported(self) -> bool:
        """Whether it tells of what somebody said or wrote: that is no order."""
        return tells(self.words)

    @cached_property
    def polite(self) -> bool:
        """Whether it is an order in the form of a question: *could you please ...*"""
        return asks_politely(self.words)

    @cached_property
    def question(self) -> bool:
        """Whether something is asked."""
        start = next(w.place for w in self.words if w.text == "you") + 1 if self.polite else 0
        # *Find out why, and touch nothing*: its bound makes it an order.
        bound = {"find", "out"} <= {word.text for word in self.words[:3]} and "touch_nothing" in self._found
        return (wonders(self.words, start) and not bound) or (self.asked and not self.polite)

    @cached_property
    def nots(self) -> frozenset[int]:
        """The places of words that negate something."""
        said = (w for w in self.words if negates(w))
        return frozenset(w.place for w in said if self._after(w.place) not in _HARMLESS)

    def _negated(self, place: int) -> bool:
        clause = self.words[place].clause
        before = [w for w in self.words[max(0, place - _REACH) : place] if w.clause == clause]
        for word in reversed(before):
            if negates(word):
                return self._after(word.place) not in _HARMLESS
        return False

    def _ordered(self, place: int, concept: str) -> bool:
        word = self.words[place]
        if concept not in DOING or self.question:
            return False
        before = [w for w in self.words[:place] if w.clause == word.clause]
        if not all(self._leads(w) for w in before):
            return False
        if word.text in _PAST and not self._passive(before):
            return False
        bent = word.text.endswith(("ing", "ed")) and stem(word.text) != word.text and word.text not in _UNBENT
        return not bent or (word.text.endswith("ed") and self._passive(before))

    def _leads(self, word: Word) -> bool:
        """Whether a word may stand before the verb of an order: politeness, or a name of what the order is about."""
        about = {
            place for concept in ("everything", "gold") for places in self._found.get(concept, ()) for place in places
        }
        named_here = self.places("environment") | self.when[1] | self.lasting[1] | self.places("role") | about
        if word.stem == HAVE and self._after(word.place) == "to":
            return True
        identity = word.text in self.cycles or word.text in self.approvals
        return (
            word.text in _LEAD
            or word.stem == "need"
            or word.text in NOT
            or word.place in named_here
            or identity
            or _is_joint(word)
        )

    @staticmethod
    def _passive(before: Sequence[Word]) -> bool:
        """*production should be stopped*, *I want everything stopped*: an order, though its verb is bent."""
        texts = [word.text for word in before]
        asked = len(texts) > 1 and texts[-1] == "be" and bool({*texts[:-1]} & {"should", "must", "to", "may"})
        wanted = bool({*texts} & {"want", "need", "like", "get", "have"}) and "be" not in texts
        return asked or wanted

    def _apart(self, sort: str, each: tuple[Named, ...]) -> tuple[Named, ...]:
        """An environment is not named by *stage* as the step of a cycle; other names stand as they are."""
        if sort != "environment":
            return each
        taken = {"at", "which", "what", "each", "every", "next"}
        return tuple(n for n in each if not (self._stage(n) and self._before(n) in taken))

    def _after(self, place: int) -> str:
        return after(self.words, place)

    def _stage(self, each: Named) -> bool:
        return self.words[each.places[0]].text in ("stage", "stages")

    def _before(self, each: Named) -> str:
        return self.words[each.places[0] - 1].text if each.places[0] else ""

    @cached_property
    def remarks(self) -> frozenset[int]:
        """The places of what is said beside an order and does not bind it."""
        return remarks(self)

    # -- what is left ------------------------------------------------------------------------------------------------

    def unexplained(self, explained: Iterable[int]) -> tuple[str, ...]:
        """Return the words that mean something and that nothing accounts for."""
        known = {*explained, *self.at("quiet")}
        return tuple(
            word.text
            for word in self.words
            if word.place not in known and word.text not in FILLER and word.text not in NOT and word.text.isalpha()
        )


def _is_joint(word: Word) -> bool:
    return word.text in ("but", "and", "then", "also", "ale", "але")
