"""Questions about orders: how one is given, who gave one and when, and whether one still holds. They give none."""

from __future__ import annotations

from agents.operator.heard import Heard
from agents.operator.lexicon import word_set

_ONESELF = ("i", "we", "one", "somebody", "someone", "people")
_MODAL = ("do", "does", "can", "could", "would", "should", "may", "might", "must", "shall", "did")
_SAID = ("type", "write", "say", "enter", "tell", "send", "put")
_NOW = ("still", "now", "currently", "yet", "present", "presently")
# So far from its beginning a question says what it asks for.
_EARLY = 6


def _told(heard: Heard) -> bool:
    """Whether a verb of an order is in the sentence, in whatever form."""
    verbs = word_set("deed_verbs")
    return any(word.stem in verbs for word in heard.words) or bool(heard.places("flag"))


def how_to(heard: Heard) -> bool:
    """Whether it asks how something is done: *how do I stop everything?*"""
    texts = [word.text for word in heard.words]
    for place, text in enumerate(texts[:_EARLY]):
        after = texts[place + 1 : place + 4]
        if text == "how" and after[:1] == ["to"] and _told(heard):
            return True
        if text == "how" and _by_oneself(after) and _told(heard):
            return True
        if text == "way" and after[:1] in (["to"], ["of"]) and "what" in texts[:place] and _told(heard):
            return True
        if text == "what" and _by_oneself(after) and {*texts[place + 2 : place + 7]} & {*_SAID}:
            return True
    return False


def _by_oneself(after: list[str]) -> bool:
    """*Do I*, *can we*; and *I*, as in *explain how I override a gate*."""
    return bool(after) and (after[0] in _ONESELF or (after[0] in _MODAL and bool({*after[1:2]} & {*_ONESELF})))


def who_or_when(heard: Heard) -> bool:
    """Whether it asks after what was done: *who stopped production?*, *did somebody restart it?*"""
    if heard.has("policy", "why") or heard.conditional or heard.cycles or not _told(heard):
        return False
    texts = [word.text for word in heard.words]
    for place, text in enumerate(texts):
        after = {*texts[place + 1 : place + 3]}
        if text == "when" and after & {"was", "did", "were", "has", "have", "exactly"} and heard.question:
            return True
        if text == "who" and place < _EARLY and not after & {"can", "may", "must", "should", "could", "will", "would"}:
            return not after & {"is", "are"} or bool(after & {"was"})
    return texts[:1] != [] and texts[0] in ("did", "was", "were") and heard.question


def still_so(heard: Heard) -> bool:
    """Whether it asks if an order holds: *is production still stopped?*"""
    if heard.has("policy", "why") or heard.conditional or heard.cycles or not _told(heard) or not heard.question:
        return False
    texts = [word.text for word in heard.words]
    about = bool(heard.places("environment")) or heard.has("everything")
    opens = next((text for text in texts if text not in word_set("ask_lead") and text != "whether"), "")
    return about and (opens in ("is", "are", "has", "have") or bool({*texts} & {*_NOW}))
