"""The forms in which calls and moves stand on a tape. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from domain.canonical import canonical_json, json_ready, sha256_text
from domain.cycle import Cycle
from domain.stage import StageResult
from domain.tape import TapedDecision, TapedMove, TapedOutcome
from tools.ask import Witnessed
from tools.outcome import Done, Failed, Outcome, Refused

# The result of an effect that is longer, in characters, is not repeated on the tape: it is kept as a recording.
LARGE = 2000


def taped_move(after: Cycle, result: StageResult) -> TapedMove:
    """Return how a step ended."""
    return TapedMove(
        next=result.next.value,
        reason=result.reason,
        wait_s=result.wait.total_seconds(),
        action=after.action.value if after.action else None,
        outcome=after.outcome.value if after.outcome else None,
        verdicts=verdicts_of(after.facts),
    )


def verdicts_of(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return what the gates of the cycle have said so far: verdicts kept as facts, and the last look of each kind."""
    kept = {name.removeprefix("verdict_"): str(v) for name, v in facts.items() if name.startswith("verdict_")}
    looks = {"ab look": (facts.get("ab") or {}).get("looks"), "watch look": facts.get("watch")}
    return {**kept, **{name: str(seen[-1]["verdict"]) for name, seen in looks.items() if seen}}


def plain_args(args: Mapping[str, Any] | BaseModel) -> Any:
    """Return arguments as plain JSON; None for what has none, which the door refuses."""
    try:
        return json_ready({"args": args})["args"]
    except (TypeError, ValueError):
        return None


def taped_decision(seen: Witnessed) -> TapedDecision | None:
    """Return what the policies said of a call."""
    decision = seen.decision
    if decision is None:
        return None
    return TapedDecision(
        answer=decision.answer,
        policies=decision.policies,
        policy_hash=decision.policy_hash,
        reason=decision.reason,
    )


def taped_outcome(seen: Witnessed) -> TapedOutcome:
    """Return what came of a call."""
    outcome: Outcome = seen.outcome
    match outcome:
        case Done(value, call, receipt):
            text = canonical_json({"tool": seen.name, "args": seen.args, "result": value})
            # The result of a key never changes; a read of the same place may answer otherwise later.
            by_reference = receipt.intent is not None and len(text) > LARGE
            return TapedOutcome(
                came="done",
                call=call,
                result=None if by_reference else json.loads(text)["result"],
                kept=sha256_text(text) if by_reference else "",
                intent=receipt.intent,
                outcome=receipt.outcome,
                permit=receipt.permit,
                repeated=receipt.repeated,
            )
        case Refused(kind, reason, call):
            return TapedOutcome(came="refused", call=call, word=kind, reason=reason)
        case Failed(error, reason, call, unknown):
            return TapedOutcome(came="failed", call=call, word=error, reason=reason, unknown=unknown)
