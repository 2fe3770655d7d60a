"""How well a sentence fits each question: what speaks for it, what is missing, and which words that accounts for.

A score is a sum of what was found. The weights say how telling a sign is: two for what names the question, one for what
usually goes with it, a half for what fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.operator.deeds import how_to, still_so, who_or_when
from agents.operator.heard import Heard
from domain.intent import Kind

NAMES, GOES, FITS = 2.0, 1.0, 0.5


@dataclass(frozen=True)
class Candidate:
    """One reading: the intent's slots as found, how well it fits, the places it accounts for, what it still needs."""

    kind: Kind
    score: float
    slots: dict[str, Any] = field(default_factory=dict)
    places: frozenset[int] = frozenset()
    missing: tuple[str, ...] = ()


def _one(found: list[str]) -> str | None:
    return found[0] if len(found) == 1 else None


def _mood(heard: Heard) -> float:
    return FITS if heard.question else 0.0


def _period(heard: Heard) -> dict[str, Any]:
    return {"period": heard.when[0]} if heard.when[0] is not None else {}


def explain(heard: Heard) -> Candidate:
    """*Why did nDCG fall last night?*"""
    signal, why = heard.name("signal"), heard.has("why")
    moved = heard.has("down", "up")
    score = NAMES * why + 1.5 * (signal is not None) + GOES * moved + FITS * bool(_period(heard)) + _mood(heard) * why
    # *What happened to relevance?* asks for the reason too.
    asked = heard.has("happened") and signal is not None and heard.question
    score += (NAMES + FITS) * (asked and not why)
    if not why and not asked and not (signal and moved):
        score -= GOES
    score -= GOES * bool(heard.cycles) + GOES * (heard.conditional or _what_then(heard))
    score -= GOES * (_first(heard) == "would" or (heard.has("help") and signal is None))
    return Candidate(
        Kind.EXPLAIN,
        score,
        {"signal": signal, **_period(heard)},
        heard.at("why", "down", "up") | heard.places("signal") | heard.when[1],
    )


def why_action(heard: Heard) -> Candidate:
    """*Why did it roll back?*"""
    deed = heard.name("deed")
    apart = heard.places("deed") - heard.places("signal")
    why = heard.has("why") and not (_going_on(heard) and deed is None)
    fits = bool(apart) and deed is not None
    why = why and not heard.conditional and not (heard.has("help") and deed is None and not heard.cycles)
    score = (
        NAMES * why
        + (NAMES * fits + 1.5 * bool(heard.cycles) + _mood(heard)) * why
        + FITS * bool(_period(heard)) * fits
    )
    slots = {"cycle": _one(heard.cycles), "action": deed if fits else None, **_period(heard)}
    return Candidate(Kind.WHY, score, slots, heard.at("why") | heard.places("deed") | heard.when[1])


_AHEAD = frozenset({"estimat", "balpark", "quot", "ballpark", "reckon"})
# Words that may speak of money, and of other things.
_MAYBE_GONE = frozenset({"so", "far", "done", "be", "left", "burn", "burned", "burning", "go", "goes", "remain", "end"})


def _going_on(heard: Heard) -> bool:
    """*What is going on with it?* asks to be shown it, though it may ask for a reason elsewhere."""
    texts = {heard.words[place].text for place in heard.at("why")}
    return bool(texts & {"going", "happening", "up"}) and not texts & {"why", "reason"}


def cost(heard: Heard) -> Candidate:
    """*What would it cost?*"""
    deed = heard.name("deed")
    price = heard.has("price")
    ahead = heard.has("estimate")
    price = price or (ahead and deed is not None and any(word.stem in _AHEAD for word in heard.words))
    score = (1.5 + GOES * ahead + _mood(heard) + FITS * (deed is not None)) * price
    dated = bool(_period(heard)) and not (ahead and deed is not None)
    score -= GOES * (heard.has("why") + dated + bool(heard.cycles)) + FITS * bool(heard.places("signal"))
    slots = {"cycle": _one(heard.cycles), "action": deed}
    return Candidate(Kind.COST, score, slots, heard.at("price", "estimate") | heard.places("deed"))


def spent(heard: Heard) -> Candidate:
    """*What have we spent this week?*"""
    price, gone = heard.has("price"), _gone(heard)
    score = (
        0.8 * price
        + NAMES * gone
        + 1.2 * (price and bool(_period(heard)))
        + FITS * bool(_period(heard))
        + (GOES + FITS) * bool(heard.cycles)
    )
    score += _mood(heard) * gone - GOES * (heard.has("why") + (not price and not gone) + heard.has("estimate"))
    slots = {"cycle": _one(heard.cycles), **_period(heard)}
    return Candidate(Kind.SPENT, score, slots, heard.at("price", "spent") | heard.when[1])


def _gone(heard: Heard) -> bool:
    """Whether money is said to be gone; *so far* alone may be about anything."""
    texts = {heard.words[place].text for place in heard.at("spent")}
    return heard.has("spent") and (
        heard.has("price") or ("burn" in {*_stems(heard)} and bool(_period(heard))) or not texts <= _MAYBE_GONE
    )


def _first(heard: Heard) -> str:
    return heard.words[0].text if heard.words else ""


def _stems(heard: Heard) -> list[str]:
    return [word.stem for word in heard.words]


def waiting(heard: Heard) -> Candidate:
    """*What waits for me?*"""
    score = (
        (2.5 + _mood(heard)) * heard.has("waiting")
        - GOES * bool(heard.cycles)
        - 1.5 * (heard.has("policy") and bool(heard.places("tool")))
        - 1.5 * _allowed(heard)
    )
    return Candidate(Kind.WAITING, score, {}, heard.at("waiting"))


def _allowed(heard: Heard) -> bool:
    """Whether it asks who may: *am I allowed to approve my own?*"""
    said = ("allowed", "permitted", "entitled", "authorised", "authorized", "whose", "required", "right", "must")
    return bool(heard.at("policy")) and any(word.text in said for word in heard.words)


def history(heard: Heard) -> Candidate:
    """*What happened yesterday?*"""
    score = (NAMES + _mood(heard)) * (heard.has("happened") or who_or_when(heard)) + FITS * who_or_when(heard)
    score += GOES * heard.has("absence") + GOES * bool(_period(heard)) - GOES * heard.has("why")
    away = bool(_period(heard)) or heard.has("absence") or who_or_when(heard)
    score -= GOES * (heard.has("status") and not away) + FITS * bool(heard.cycles) + GOES * heard.conditional
    score -= GOES * (bool(heard.places("signal")) + (_allowed(heard) and not away) + _what_then(heard))
    return Candidate(Kind.HISTORY, score, _period(heard), heard.at("happened", "absence") | heard.when[1])


def cycles(heard: Heard) -> Candidate:
    """*Which cycles are running?*"""
    noun, still = heard.has("cycle"), heard.has("open")
    score = 1.5 * noun + GOES * (heard.has("list") or heard.has("show")) + GOES * still + _mood(heard) * noun
    score += (
        FITS * (noun and bool(_period(heard)))
        - (0 if noun else NAMES)
        - NAMES * bool(heard.cycles)
        - GOES * heard.has("why")
        - NAMES * heard.has("price", "spent")
        - NAMES * (how_to(heard) or _allowed(heard))
        - GOES * heard.conditional
    )
    score -= GOES * (heard.has("everything") and not heard.has("list"))
    slots = {"open_only": still, **_period(heard)}
    return Candidate(Kind.CYCLES, score, slots, heard.at("cycle", "open", "list", "show") | heard.when[1])


def cycle(heard: Heard) -> Candidate:
    """*Show si_2026_01_31_001.*"""
    one = _one(heard.cycles)
    # An identity alone asks to be shown; beside words that nobody understood it may be about anything.
    score = (1.6 + NAMES * heard.has("show", "status", "happened", "open") - FITS * heard.has("why", "report")) * (
        one is not None
    )
    alone = not heard.unexplained(heard.at("cycle")) and not {*heard.mentions} - {"cycle", "quiet"}
    score += GOES * (one is not None and (alone or (heard.question and not heard.has("policy", "why", "report"))))
    score -= NAMES * ((heard.has("price") or _gone(heard)) and one is not None)
    return Candidate(Kind.CYCLE, score, {"cycle": one}, heard.at("show", "cycle", "status", "happened", "open"))


def what_would(heard: Heard) -> Candidate:
    """*What would it do if latency doubled?*"""
    signal = heard.name("signal")
    about = signal is not None or heard.has("down", "up")
    would = heard.question and heard.has("react") and any(w.text in ("would", "your") for w in heard.words)
    makes = about and heard.question and _first(heard) == "would"
    given = makes or heard.conditional or (about and (heard.has("if") or would)) or _what_then(heard)
    score = (
        NAMES + GOES * heard.has("react") + 0.7 * (signal is not None) + FITS * heard.has("down", "up") + _mood(heard)
    ) * given
    score -= NAMES * who_or_when(heard) + GOES * (
        heard.has("price") and signal is None and heard.name("deed") is not None
    )
    places = heard.at("if", "react", "down", "up") | heard.places("signal")
    return Candidate(Kind.WHAT_WOULD, score, {"signal": signal}, places)


def _what_then(heard: Heard) -> bool:
    """*How do you deal with a drop?*, *what does the crew do in case of it?*: asked of every time, not of one."""
    texts = [word.text for word in heard.words]
    crew = {"you", "crew", "it", "evercrew", "your", "be"} & {*texts}
    asked = {"how", "what"} & {*texts}
    past = {"did", "have", "has", "was", "been", "doing"} & {*texts} or heard.when[0] is not None
    spoken = bool(heard.places("signal")) or heard.has("if")
    past = past or "make" in texts
    return bool(asked and crew and not past and spoken and heard.has("react") and (heard.has("if", "down", "up")))


def policy(heard: Heard) -> Candidate:
    """*May it promote in production without an approval?*"""
    tool, environment = heard.name("tool"), heard.name("environment")
    asked = heard.has("policy") or _third_person(heard) or (heard.question and _allowed(heard))
    score = (NAMES + 0.7 * (tool is not None) + 0.4 * (environment is not None) + _mood(heard)) * asked
    mine = any(word.text in ("me", "my", "mine") for word in heard.words) and heard.has("waiting")
    mine = mine and not _allowed(heard)
    asking = heard.question or heard.asked or heard.polite
    score -= GOES * (heard.conditional + (not asking) + heard.has("why") + mine)
    places = heard.at("policy", "approve", "cancel", "stop", "start", "cycle", "gate") | heard.places("flag")
    places |= heard.places("tool") | heard.places("environment")
    return Candidate(Kind.POLICY, score, {"tool": tool, "environment": environment}, places)


def _third_person(heard: Heard) -> bool:
    """*Can the crew ...*, *is it able to ...*: about what somebody may, with a deed of the crew's behind it."""
    first = _first(heard)
    about = any(
        w.text in ("crew", "it", "evercrew", "agent", "agents", "they", "anyone", "someone", "anybody")
        for w in heard.words[1:4]
    )
    myself = any(word.text in ("i", "operators", "everybody", "everyone", "people") for word in heard.words[1:3])
    done = bool(heard.places("tool")) or bool(heard.at("stop", "start", "cancel", "approve", "override", "rollback"))
    return first in ("can", "may", "could", "might") and (about or myself) and done


def report(heard: Heard) -> Candidate:
    """*The weekly report, please.*"""
    told = heard.has("report")
    score = (2.5 + FITS * bool(_period(heard)) + FITS * bool(heard.cycles) + 0.3 * heard.has("show")) * told
    score -= GOES * (heard.has("status") and bool(heard.places("environment")))
    score -= GOES * (heard.has("happened") or (_gone(heard) and not heard.cycles))
    slots = {"cycle": _one(heard.cycles), **_period(heard)}
    return Candidate(Kind.REPORT, score, slots, heard.at("report", "show", "report_of") | heard.when[1])


def help_(heard: Heard) -> Candidate:
    """*What can I ask?*"""
    asked = how_to(heard)
    score = max((2.2 + _mood(heard)) * heard.has("help"), 4.6 * asked)
    return Candidate(Kind.HELP, score, {}, heard.at("help"))


def status(heard: Heard) -> Candidate:
    """*How is production?*"""
    environment = heard.name("environment")
    holds = still_so(heard)
    stands = heard.has("status") or holds or (heard.asked and environment is not None and heard.has("well"))
    score = (NAMES + GOES * (environment is not None) + _mood(heard) + FITS * holds) * stands
    score -= (
        GOES * (heard.has("why") + bool(heard.cycles) + (heard.has("waiting") and not environment))
        + NAMES * heard.conditional
        + NAMES * (how_to(heard) or (who_or_when(heard) and not holds) or _what_then(heard))
    )
    score -= FITS * (bool(_period(heard)) and heard.has("happened"))
    gone_by = {"been", "went", "since"} & {word.text for word in heard.words}
    score -= 1.5 * (bool(gone_by) and heard.has("happened") and environment is None)
    score -= GOES * heard.has("price", "spent", "help")
    return Candidate(Kind.STATUS, score, {"environment": environment}, heard.at("status") | heard.places("environment"))


QUESTIONS: Mapping[Kind, Callable[[Heard], Candidate]] = {
    Kind.EXPLAIN: explain,
    Kind.WHY: why_action,
    Kind.COST: cost,
    Kind.SPENT: spent,
    Kind.WAITING: waiting,
    Kind.HISTORY: history,
    Kind.CYCLES: cycles,
    Kind.CYCLE: cycle,
    Kind.WHAT_WOULD: what_would,
    Kind.POLICY: policy,
    Kind.REPORT: report,
    Kind.HELP: help_,
    Kind.STATUS: status,
}


def questions(heard: Heard) -> Iterator[Candidate]:
    """Return how well each question fits."""
    return (each(heard) for each in QUESTIONS.values())
