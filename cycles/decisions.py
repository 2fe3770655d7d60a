"""The decision log of a cycle, by its tapes: what was asked, decided and answered, what gates said, where it went.

One canonical JSON object a line. The log of a record and the log of its replay are made by the same function from two
sets of tapes that have nothing in common but what the world had told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from domain.canonical import canonical_hash, canonical_json
from domain.tape import StepTape, TapedCall, TapedQuestion

Line = dict[str, Any]
# What an answer of a crew decides by itself; the rest of it are arguments of calls, which have lines of their own.
_DECIDES = ("action", "suspect_digest", "proceed", "verdict")
# What may differ between two logs that decide the same.
_WORDS = ("reason", "policies", "policy_hash", "answer_hash")


def decision_log(tapes: Sequence[StepTape]) -> list[Line]:
    """Return the lines of a cycle, in order."""
    lines, verdicts = list[Line](), dict[str, str]()
    for tape in tapes:
        lines += step_lines(tape, verdicts)
        verdicts = dict(tape.moved.verdicts)
    return lines


def step_lines(tape: StepTape, before: Mapping[str, str]) -> list[Line]:
    """Return the lines of a step; `before` are the verdicts that stood before it."""
    at = {"step": tape.step, "stage": tape.stage}
    return [{**at, **line} for line in _step(tape, before)]


def log_text(lines: Sequence[Line]) -> str:
    """Return a log as text: the same lines, the same bytes."""
    return "".join(canonical_json(line) + "\n" for line in lines)


def decided(line: Line) -> Line:
    """Return a line without the words that may differ between equal decisions."""
    return {name: value for name, value in line.items() if name not in _WORDS}


def said(line: Line | None) -> str:
    """Return a line for people."""
    match line:
        case None:
            return "nothing"
        case {"kind": "call"}:
            policies = ", ".join(line["policies"]) or "no policy"
            decision = f"{line['decision']} by {policies}" if line["decision"] else "not decided"
            return f"{line['tool']} for {line['actor']}: {decision}; {line['outcome']}"
        case {"kind": "verdict"}:
            return f"{line['name']}: {line['verdict']}"
        case {"kind": "answer"}:
            decides = "; ".join(f"{k} {v}" for k, v in line["decides"].items())
            return f"{line['question']}: {line.get('problem') or line['stopped'] or decides or 'answered'}"
        case _:
            wait = f", after {line['wait_s']:g} s" if line["wait_s"] else ""
            outcome = f" as {line['outcome']}" if line["outcome"] else ""
            return f"{line['stage']} -> {line['next']}{outcome}{wait}: {line['reason']}"


def _step(tape: StepTape, before: Mapping[str, str]) -> Iterator[Line]:
    by_question: dict[int, list[TapedCall]] = {}
    for call in tape.calls:
        if call.question is not None:
            by_question.setdefault(call.question, []).append(call)
    told: set[int] = set()
    for call in tape.calls:
        if call.question is None:
            yield _call(call)
        elif call.question not in told:
            told.add(call.question)
            yield from _question(tape.questions[call.question], by_question[call.question])
    for number, question in enumerate(tape.questions):
        if number not in told:
            yield from _question(question, [])
    for name, verdict in sorted(tape.moved.verdicts.items()):
        if before.get(name) != verdict:
            yield {"kind": "verdict", "name": name, "verdict": verdict}
    moved = tape.moved
    yield {
        "kind": "transition",
        "next": moved.next,
        "reason": moved.reason,
        "wait_s": moved.wait_s,
        "action": moved.action,
        "outcome": moved.outcome,
    }


def _question(question: TapedQuestion, calls: Sequence[TapedCall]) -> Iterator[Line]:
    """A model may ask for several calls at once, which are then made in any order: they are told in one."""
    for call in sorted(calls, key=lambda c: (c.turn, c.tool, c.args_hash)):
        yield _call(call)
    answer = question.answer or {}
    value = answer.get("value") or {}
    yield {
        "kind": "answer",
        "question": question.name,
        "decides": {name: value[name] for name in _DECIDES if value.get(name) is not None},
        "stopped": answer.get("stopped", ""),
        "answer_hash": canonical_hash(value),
        "problem": str(question.problem) if question.problem else "",
    }


def _call(call: TapedCall) -> Line:
    decision = call.decision
    return {
        "kind": "call",
        "tool": call.tool,
        "args_hash": call.args_hash,
        "actor": call.actor,
        "decision": decision.answer.value if decision else "",
        "policies": list(decision.policies) if decision else [],
        "policy_hash": decision.policy_hash if decision else "",
        "outcome": call.outcome.said,
    }
