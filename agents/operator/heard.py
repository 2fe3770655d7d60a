"""What stands in a sentence, before anybody says what it means: concepts, names, moments, mood, and what is negated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property

from agents.operator.lexicon import COMMON, DOING, FILLER, NOT, found_at, known_stems, phrases, starts_of, word_set
from agents.operator.moments import Calendar, duration
from agents.operator.names import Named, Vocabulary, named, only
from agents.operator.words import Word, mended, normalised, stem, words
from domain.intent import Period

# So far a *not* reaches, in words.
_REACH = 4
_WH, _AUX, _POLITE = word_set("wh"), word_set("auxiliary"), word_set("polite")
_LEAD = word_set("lead")
_ASK_LEAD = _LEAD | word_set("ask_lead")
_CONDITIONS, _REPORTED, _HARMLESS = word_set("conditions"), word_set("reported"), word_set("harmless")
_BECAUSE = re.compile(r"\s(?:because|due to|reason:|since it|since the|as it|ponieważ|bo|тому що|\u0431\u043e)\s")
# Verbs that only look bent.
_UNBENT = frozenset({"proceed", "bring", "need", "feed"})
_ONCE_MORE = frozenset({"more", "again"})
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
        said = normalised(text)
        self.asked = said.rstrip(" .!").endswith("?")
        cut = _BECAUSE.search(said)
        self.reason = said[cut.end() :].strip() if cut else ""
        plain = words(said[: cut.start()] if cut else said)
        self.words = mended(plain, known_stems() | vocabulary.stems, FILLER | COMMON)
        self._calendar = Calendar(now)
        self.today = now.date()

    # -- names -------------------------------------------------------------------------------------------------------

    @cached_property
    def names(self) -> Mapping[str, tuple[Named, ...]]:
        """Names by sort of thing."""
        found = {sort: named(self.words, sort, self.vocabulary) for sort in self.vocabulary.phrases}
        return {sort: self._apart(sort, each, found) for sort, each in found.items()}

    def name(self, sort: str) -> str | None:
        """Return the one name of a sort that is said."""
        return only(self.names[sort])

    def places(self, sort: str) -> frozenset[int]:
        """Return where names of a sort stand."""
        return frozenset(place for each in self.names[sort] for place in each.places)

    def ids(self, pattern: str) -> list[str]:
        """Return the words that have this form, each once."""
        return list(dict.fromkeys(word.text for word in self.words if re.fullmatch(pattern, word.text)))

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
        said = [w for w in self.words if w.text in _CONDITIONS and self._after(w.place) not in _ONCE_MORE]
        return bool(said) or (self.has("if") and "when" in self._texts[1:])

    @cached_property
    def reported(self) -> bool:
        """Whether it tells of what somebody said or wrote: that is no order."""
        told = [w for w in self.words if w.text in _REPORTED]
        return any(not (w.text == "say" and self._after(w.place) in ("yes", "no")) for w in told)

    @cached_property
    def polite(self) -> bool:
        """Whether it is an order in the form of a question: *could you please ...*"""
        at = next((w.place for w in self.words if w.text in _POLITE), None)
        if at is None or at > 2 or at + 1 >= len(self.words) or self.words[at + 1].text != "you":
            return False
        return all(word.text in _LEAD for word in self.words[:at])

    @cached_property
    def question(self) -> bool:
        """Whether something is asked."""
        if self.polite:
            after = next(w.place for w in self.words if w.text == "you") + 1
            return self._wondering(after)
        if self._wondering(0):
            return True
        return self.asked

    def _wondering(self, start: int) -> bool:
        """Whether a question word opens the sentence, after words of asking only."""
        for word in self.words[start:]:
            if word.text in _WH and not self._relative(word.place):
                return True
            if word.place == start and word.text in _AUX and not self._ordering_do(word.place):
                return True
            if word.text not in _ASK_LEAD:
                return False
        return False

    def _relative(self, place: int) -> bool:
        return (
            self.words[place].text == "when" and place > 0 and self.words[place - 1].stem not in ("tell", "me", "know")
        )

    def _ordering_do(self, place: int) -> bool:
        """*do not promote*, *do roll it back*, *have a look*: no question."""
        following = self.words[place + 1].text if place + 1 < len(self.words) else ""
        if self.words[place].text == "do":
            return following not in ("we", "you", "i", "they", "the", "any", "these", "our")
        return self.words[place].text == "have" and following in ("a", "the", "it")

    @cached_property
    def _texts(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.words)

    @cached_property
    def nots(self) -> frozenset[int]:
        """The places of words that negate something."""
        said = (w for w in self.words if w.text in NOT or w.stem in NOT)
        return frozenset(w.place for w in said if self._after(w.place) not in _HARMLESS)

    def _negated(self, place: int) -> bool:
        clause = self.words[place].clause
        before = [w for w in self.words[max(0, place - _REACH) : place] if w.clause == clause]
        for word in reversed(before):
            if word.text in NOT or word.stem in NOT:
                return self._after(word.place) not in _HARMLESS
        return False

    def _ordered(self, place: int, concept: str) -> bool:
        word = self.words[place]
        if concept not in DOING or self.question:
            return False
        before = [w for w in self.words[:place] if w.clause == word.clause]
        if not all(self._leads(w) for w in before):
            return False
        bent = word.text.endswith(("ing", "ed")) and stem(word.text) != word.text and word.text not in _UNBENT
        return not bent or (word.text.endswith("ed") and self._passive(before))

    def _leads(self, word: Word) -> bool:
        """Whether a word may stand before the verb of an order: politeness, or a name of what the order is about."""
        about = {
            place for concept in ("everything", "gold") for places in self._found.get(concept, ()) for place in places
        }
        named_here = self.places("environment") | self.when[1] | self.places("role") | about
        identity = word.text in self.cycles or word.text in self.approvals
        return word.text in _LEAD or word.text in NOT or word.place in named_here or identity or _is_joint(word)

    @staticmethod
    def _passive(before: Sequence[Word]) -> bool:
        """*production should be stopped*, *I want everything stopped*: an order, though its verb is bent."""
        texts = [word.text for word in before]
        asked = len(texts) > 1 and texts[-1] == "be" and bool({*texts[:-1]} & {"should", "must", "to", "may"})
        wanted = bool({*texts} & {"want", "need", "like", "get", "have"}) and "be" not in texts
        return asked or wanted

    def _apart(self, sort: str, each: tuple[Named, ...], found: Mapping[str, tuple[Named, ...]]) -> tuple[Named, ...]:
        """An environment is not named by *stage* as the step of a cycle; other names stand as they are."""
        if sort != "environment":
            return each
        taken = {"at", "which", "what", "each", "every", "next"}
        return tuple(n for n in each if not (self._stage(n) and self._before(n) in taken))

    def _after(self, place: int) -> str:
        return self.words[place + 1].text if place + 1 < len(self.words) else ""

    def _stage(self, each: Named) -> bool:
        return self.words[each.places[0]].text in ("stage", "stages")

    def _before(self, each: Named) -> str:
        return self.words[each.places[0] - 1].text if each.places[0] else ""

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
