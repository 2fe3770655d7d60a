"""Playing a tape back: what a step was told, handed out again in its order, and where what is asked for parts from it.

Until the first difference every answer of the record applies. Behind it the record cannot say what the world would have
done: reads of the same step still stand, for nothing had been changed between them; an effect that was never made, an
answer to another question and everything of later steps is beyond the record, and the replay ends there and says so.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cycles.shelf import TapeForged, TapeMissing
from cycles.tape import question_number
from domain.canonical import canonical_hash
from domain.decision import Effect
from domain.errors import ModelAnswerInvalid
from domain.tape import StepTape, TapedCall, TapedProblem, TapedQuestion, TapedRead, TapedReply, problem_of


@dataclass(frozen=True)
class Parting:
    """Where a replay parts from its record: both sides, and why."""

    step: int
    stage: str
    recorded: str
    now: str
    why: str = ""

    def __str__(self) -> str:
        why = f"\n  because  {self.why}" if self.why else ""
        return f"step {self.step} ({self.stage})\n  then     {self.recorded}\n  now      {self.now}{why}"


class BeyondRecord(Exception):
    """The record cannot answer this; none of our errors, so that no stage takes it for one."""


@dataclass
class Playback:
    """Hands out what the record of a cycle tells, step by step.

    Args:
        results: what the tools of the cycle answered, by place, for what is on no tape itself.
        strict: whether any difference ends the replay; else it goes on as far as the record applies.
    """

    results: Mapping[str, Mapping[str, Any]]
    strict: bool = True
    partings: list[Parting] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    beyond: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self._tape: StepTape | None = None
        self.rules = ""
        self._at = (0, "")
        self._contexts: list[dict[str, bool | int | str]] = []
        self._moments: list[datetime] = []
        self._left: list[int] = []
        self._asked = 0
        self._replies: dict[int, list[TapedReply]] = {}
        self._reads: list[TapedRead] = []
        self._told: dict[str, TapedRead] = {}
        self._last = datetime.min

    @property
    def parted(self) -> bool:
        """Whether the replay has parted from the record."""
        return bool(self.partings)

    def load(self, tape: StepTape | None, step: int, stage: str) -> None:
        """Go on with a step; None for one that the record does not have."""
        self._tape, self._at = tape, (step, stage)
        self.rules = tape.rules if tape else self.rules
        self._contexts = tape.contexts() if tape else []
        self._moments = tape.moments()[::-1] if tape else []
        self._left = list(range(len(tape.calls))) if tape else []
        self._asked = 0
        self._replies = {n: list(q.replies) for n, q in enumerate(tape.questions)} if tape else {}
        self._reads = list(tape.reads) if tape else []

    def part(self, recorded: str, now: str, why: str = "") -> None:
        """Note a difference."""
        self.partings.append(Parting(*self._at, recorded, now, why))

    def end(self, what: str) -> BeyondRecord:
        """Return the end of the replay, to be raised: the record does not tell `what`."""
        self.beyond = self.beyond or what
        return BeyondRecord(what)

    # -- what a step asks for ---------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the next moment of the step."""
        with self._lock:
            if self._moments:
                self._last = self._moments.pop()
                return self._last
        if not self.parted:
            self.part("the clock was read less often", "the clock is read once more", "the code is another one")
        if self.strict:
            raise self.end("what time it was")
        return self._last

    def take(self, tool: str, args_hash: str, actor: str) -> tuple[TapedCall, dict[str, bool | int | str]]:
        """Return the recorded call that this one is, with its whole context.

        Raises:
            BeyondRecord: there is none.
        """
        if self.beyond:
            raise self.end(self.beyond)
        question = question_number()
        with self._lock:
            wanted = [n for n in self._left if self._calls[n].question == question]
            same = (tool, args_hash, actor)
            # A crew's calls may be made side by side, in any order; a stage's are not.
            among = wanted if question is not None else wanted[:1]
            found = next((n for n in among if _same(self._calls[n]) == same), None)
            if found is not None and not (self.parted and self._calls[found].effect != Effect.READ.value):
                self._left.remove(found)
                return self._calls[found], self._contexts[found]
        if not self.parted:
            then = self._calls[wanted[0]] if wanted else None
            self.part(_told(then), f"{tool} for {actor}", "this call was never made" if then is None else "")
        raise self.end(f"what {tool} would have answered {actor} in {self._at[1]}")

    def result(self, call: TapedCall) -> Any:
        """Return the result of a recorded call.

        Raises:
            TapeMissing: it is kept apart, and is not there. TapeForged: it is another one.
        """
        if not call.outcome.kept:
            return call.outcome.result
        kept = self.results.get(call.outcome.call)
        if kept is None:
            raise TapeMissing(f"the result of {call.outcome.call} is not kept any more")
        if canonical_hash(kept) != call.outcome.kept:
            raise TapeForged(f"the result of {call.outcome.call} is not the one that was recorded")
        return kept["result"]

    def question(self) -> TapedQuestion:
        """Return the question that is asked now, as it was asked then.

        Raises:
            BeyondRecord: none was.
        """
        questions = self._tape.questions if self._tape else ()
        number, self._asked = self._asked, self._asked + 1
        if number < len(questions) and not self.beyond:
            return questions[number]
        if not self.parted:
            self.part("no crew was asked", "a crew is asked")
        raise self.end("what the crew would have answered")

    def calls_of(self, question: int) -> list[TapedCall]:
        """Return the calls a crew made for a question of this step."""
        return [call for call in self._calls if call.question == question]

    def chat_name(self) -> str:
        """Return the name of the model that answered the question that is being asked."""
        replies = self._replies.get(self._number(), [])
        return replies[0].chat if replies else "record"

    def reply(self, asked: str, task: str) -> TapedReply:
        """Return the model's next answer to the question that is being asked.

        Raises:
            EvercrewError: it did not answer then either, or what it would answer is not on record.
        """
        number = self._number()
        with self._lock:
            left = self._replies.get(number, [])
            reply = left.pop(0) if left and not self.beyond else None
        if reply is not None and reply.asked != asked:
            if self.parted:
                reply = None
            else:
                self.notes.append(f"step {self._at[0]}, {task}: the model is shown something else than it was then")
        if reply is None:
            raise self._no_reply(number, task)
        if reply.problem is not None:
            raise problem_of(reply.problem)
        return reply

    def still(self, task: str) -> None:
        """Return while the record still applies.

        Raises:
            ModelAnswerInvalid: it does not, so no model is to be asked any more.
        """
        if self.beyond:
            raise ModelAnswerInvalid(f"{task}: beyond the record: {self.beyond}")

    def read(self, name: str) -> TapedRead:
        """See `cycles.tape.Source`. Behind a difference, what is not on record is as it was told last."""
        if self._reads and self._reads[0].name == name and not self.beyond:
            self._told[name] = self._reads.pop(0)
            return self._told[name]
        if self.parted and name in self._told and not self.beyond:
            return self._told[name]
        if not self.parted:
            self.part(self._reads[0].name if self._reads else "nothing was looked up", f"{name} is looked up")
        raise self.end(f"what {name} was")

    def failed(self, name: str, number: int) -> TapedProblem | None:
        """See `cycles.tape.Source`."""
        failures = self._tape.failed if self._tape else ()
        return next((f.problem for f in failures if (f.name, f.number) == (name, number)), None)

    def leftovers(self) -> str:
        """Return what the record of the step has and the replay did not ask for, in words; nothing where it did."""
        calls = [_told(self._calls[n]) for n in self._left]
        reads = [read.name for read in self._reads]
        clock = ["a reading of the clock"] if self._moments else []
        return next(iter([*calls, *reads, *clock]), "")

    def _no_reply(self, number: int, task: str) -> Exception:
        taped = self._tape.questions[number] if self._tape and number < len(self._tape.questions) else None
        if taped is not None and taped.problem is not None and not self.parted:
            # The crew was given up for a reason that is none of its answers, e.g. for its time was over.
            return problem_of(taped.problem)
        if not self.parted:
            self.part("the model had answered for good", f"{task}: the model is asked once more")
        self.end(f"what the model would have answered ({task})")
        return ModelAnswerInvalid(self.beyond)

    def _number(self) -> int:
        number = question_number()
        return -1 if number is None else number

    @property
    def _calls(self) -> Sequence[TapedCall]:
        return self._tape.calls if self._tape else ()


class ReplayClock:
    """The clock of a replay: `now` is what it was then; nothing is waited for, and nothing takes time."""

    def __init__(self, playback: Playback) -> None:
        self._playback = playback

    def now(self) -> datetime:
        """See `Clock.now`."""
        return self._playback.now()

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return 0.0

    def sleep(self, duration: timedelta) -> None:
        """See `Clock.sleep`."""


def _same(call: TapedCall) -> tuple[str, str, str]:
    return call.tool, call.args_hash, call.actor


def _told(call: TapedCall | None) -> str:
    if call is None:
        return "the step made no further call"
    decision = f"{call.decision.answer.value} ({', '.join(call.decision.policies)})" if call.decision else "not decided"
    return f"{call.tool} for {call.actor}: {decision}; {call.outcome.said}"
