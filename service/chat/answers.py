"""Answers to questions, from the record: what no store, chain or tool says is said to be not known.

Every number here is read; none is made up, and none comes from a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from domain.access import Caller
from domain.intent import (
    Explain,
    History,
    Intent,
    Kind,
    ListCycles,
    Period,
    Report,
    ShowCycle,
    Status,
    WhyAction,
    kind_of,
)
from domain.receipt import RecordKind
from domain.untrusted import one_line
from domain.wanted import Wanted
from service.chat.answers_money import cost, spent
from service.chat.answers_rules import policy, what_would
from service.chat.events import ChatEvent, Cite
from service.chat.told import (
    LOOK_BACK,
    UNKNOWN,
    cite,
    counted,
    cycle_cite,
    cycle_line,
    diagnosis_of,
    during,
    known,
    listed,
    reading_line,
    reason_line,
    tell,
    within,
)

if TYPE_CHECKING:
    from adapters.store.base import FlagChange
    from domain.approval import ApprovalRequest
    from domain.cycle import Cycle
    from service.wiring import App

_CLAIMS = 4
HELP = (
    "You can ask: why did nDCG drop last night; how is production; why did it roll back in si_...; what would a "
    "retraining cost; what have we spent this week; what waits for me; what happened yesterday; list open cycles; "
    "show si_...; what would it do if latency doubled; may it promote by itself in production; the weekly report.",
    "You can have proposed: retrain the re-ranker on the new subjects but do not promote; look into latency, change "
    "nothing; stop everything in production; start again; roll back staging to Tuesday, to gold or to a revision; "
    "cancel or resume a cycle; approve or deny ap_...; switch auto promote off; override a gate for some hours. "
    "Nothing happens before you confirm it.",
)


class Answers:
    """Answers for one application: over a further target from that one's cycles, over the first from those of all."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._only = app.config.target if app.config.target != app.targets[0] else ""
        self._of = f" of {self._only}" if self._only else ""
        self._by: Mapping[Kind, Callable[[Any, Caller], Iterator[ChatEvent]]] = {
            Kind.EXPLAIN: self.explain,
            Kind.STATUS: self.status,
            Kind.WHY: self.why,
            Kind.COST: lambda intent, _caller: cost(app, intent),
            Kind.SPENT: lambda intent, _caller: spent(app, intent),
            Kind.WAITING: self.waiting,
            Kind.HISTORY: self.history,
            Kind.CYCLES: self.cycles,
            Kind.CYCLE: self.cycle,
            Kind.WHAT_WOULD: lambda intent, _caller: what_would(app, intent),
            Kind.POLICY: lambda intent, _caller: policy(app, intent),
            Kind.REPORT: self.report,
            Kind.HELP: lambda _intent, _caller: tell(*HELP),
        }

    def to(self, intent: Intent, caller: Caller) -> Iterator[ChatEvent]:
        """Answer a question.

        Raises:
            DependencyError, AuditUnavailable: what it would rest on cannot be read.
        """
        return self._by[kind_of(intent)](intent, caller)

    # -- one question each -------------------------------------------------------------------------------------------

    def explain(self, asked: Explain, caller: Caller) -> Iterator[ChatEvent]:
        """What the record says of a signal's moves."""
        found = self.about(asked)
        if not found:
            about = asked.signal or "anything"
            yield from tell(f"{UNKNOWN} from the record: no cycle looked into {about}{self._of}{during(asked.period)}.")
            return
        for cycle in found[:2]:
            yield from self._explained(cycle)
        if len(found) > 2:
            yield from tell(f"So did {counted(len(found) - 2, 'earlier cycle')}.")

    def about(self, asked: Explain) -> list[Cycle]:
        """Return the cycles that looked into what is asked about, newest first."""
        return [c for c in self._known() if asked.signal in (None, c.alert.signal) and within(c, asked.period)]

    def status(self, asked: Status, caller: Caller) -> Iterator[ChatEvent]:
        """How it stands."""
        from service.switching import kill_status

        app, here = self._app, self._app.profile.name
        if asked.environment not in (None, here):
            yield from tell(f"This Evercrew looks after {here}; of {asked.environment} nothing is known here.")
            return
        stands = kill_status(app.ports.store, app.profile)
        stopped = f"is stopped: {one_line('; '.join(stands.because))}" if stands.killed else "is not stopped"
        opened = self._known(open_only=True)
        waiting = app.office.consent.store.requests(waiting_at=app.clock.now(), limit=LOOK_BACK)
        yield from tell(
            f"{here} {stopped}.",
            f"Open: {counted(len(opened), 'cycle')}{self._of}. Waiting for people: {counted(len(waiting), 'request')}. "
            f"Waiting to be taken: {counted(app.inbox.counts().waiting, 'alert')}.",
        )
        yield from listed([cycle_line(cycle) for cycle in opened], "Nothing is being worked on.")
        ended = app.ports.store.ended(app.config.target, here, limit=1)
        yield from tell(*(f"The last to end was {cycle_line(cycle)}: {reason_line(cycle)}" for cycle in ended))
        yield from cite(
            *(cycle_cite(cycle) for cycle in (*opened, *ended)), *(_request(r.id, r.binding.cycle_id) for r in waiting)
        )

    def why(self, asked: WhyAction, caller: Caller) -> Iterator[ChatEvent]:
        """Why it did what it did."""
        cycle = known(self._app, asked.cycle) if asked.cycle else self._newest(asked)
        if cycle is None:
            what = asked.action.replace("_", " ") if asked.action else "nothing like it"
            yield from tell(f"{UNKNOWN}: no cycle{self._of}{during(asked.period)} did that ({what}).")
            return
        yield from self._explained(cycle)
        yield from self._decisions(cycle)

    def waiting(self, asked: Intent, caller: Caller) -> Iterator[ChatEvent]:
        """What waits for people, and what of it this caller cannot decide."""
        app = self._app
        found = app.office.consent.store.requests(waiting_at=app.clock.now(), limit=LOOK_BACK)
        name = caller.person or caller.name
        yield from listed([_waits(r, name) for r in found], "Nothing waits for anybody.")
        yield from cite(*(_request(r.id, r.binding.cycle_id) for r in found))

    def history(self, asked: History, caller: Caller) -> Iterator[ChatEvent]:
        """What happened: cycles, and what people switched."""
        app, period = self._app, asked.period
        inside = [c for c in self._known() if within(c, period)]
        switched = [
            f
            for f in app.ports.store.flag_history(limit=LOOK_BACK)
            if period is None or period.start <= f.at < period.end
        ]
        rows = [f"{c.opened_at:%Y-%m-%d %H:%M} {cycle_line(c)}" for c in inside]
        rows += [_switched(change) for change in switched]
        yield from listed(sorted(rows, reverse=True), f"Nothing is on record{self._of}{during(period)}.")
        yield from cite(*(cycle_cite(c) for c in inside))

    def cycles(self, asked: ListCycles, caller: Caller) -> Iterator[ChatEvent]:
        """Which cycles there are."""
        found = [c for c in self._known(open_only=asked.open_only) if within(c, asked.period)]
        yield from listed([cycle_line(c) for c in found], f"There are no such cycles{self._of}{during(asked.period)}.")
        yield from cite(*(cycle_cite(c) for c in found[:20]))

    def cycle(self, asked: ShowCycle, caller: Caller) -> Iterator[ChatEvent]:
        """What is known of a cycle."""
        cycle = known(self._app, asked.cycle)
        yield from tell(f"{cycle_line(cycle)}. Opened {cycle.opened_at:%Y-%m-%d %H:%M} UTC.")
        yield from self._explained(cycle, line=False)
        yield from self._decisions(cycle)

    def report(self, asked: Report, caller: Caller) -> Iterator[ChatEvent]:
        """The report of a cycle, or where the weekly one is made."""
        if asked.cycle is None:
            yield from self._weekly(asked.period)
            return
        cycle = known(self._app, asked.cycle)
        yield from self._explained(cycle)
        folder = self._app.office.artifacts.root / cycle.id
        files = sorted(p.name for p in folder.glob("*")) if folder.is_dir() else []
        yield from tell(f"Its files: {', '.join(files)}." if files else "It has left no files.")
        yield from cite(*(Cite(kind="artifact", id=name, of=cycle.id) for name in files))

    # -- parts -------------------------------------------------------------------------------------------------------

    def _known(self, *, open_only: bool = False) -> Sequence[Cycle]:
        """Return the cycles that are answered about, newest first."""
        wanted = Wanted(target=self._only, open=True if open_only else None)
        return self._app.ports.store.found(wanted, limit=LOOK_BACK)

    def _newest(self, asked: WhyAction) -> Cycle | None:
        wanted = (asked.action or "").replace("rollback", "rolled_back")
        for cycle in self._known():
            did = {cycle.action.value if cycle.action else "", cycle.outcome.value if cycle.outcome else ""}
            done = {"promote": cycle.facts.get("release") is not None, "not_promoted": "not_promoted" in did}
            if within(cycle, asked.period) and (
                not asked.action or asked.action in did or wanted in did or done.get(asked.action)
            ):
                return cycle
        return None

    def _explained(self, cycle: Cycle, *, line: bool = True) -> Iterator[ChatEvent]:
        found = diagnosis_of(cycle)
        yield from tell(f"{cycle_line(cycle)}." if line else "", reading_line(cycle))
        if found:
            what = f"{found.get('root_cause', 'unknown').replace('_', ' ')}, {found.get('action')}"
            yield from tell(f"Diagnosis: {what}: {one_line(str(found.get('summary', '')), 500)}")
        else:
            yield from tell("There is no diagnosis yet.")
        claims = [c for c in found.get("claims", ()) if isinstance(c, Mapping)][:_CLAIMS]
        yield from tell(*(f"- {one_line(str(c.get('statement', '')), 300)}" for c in claims))
        why = "How it ended" if cycle.outcome is not None else "Why it stands there"
        yield from tell(f"{why}: {reason_line(cycle)}" if reason_line(cycle) else "")
        calls = dict.fromkeys(str(c["call"]) for c in claims if c.get("call"))
        made = {r.place for r in self._app.ports.store.recordings(cycle.id) if r.kind == "tool"} if calls else set()
        yield from cite(cycle_cite(cycle), *(Cite(kind="call", id=call, of=cycle.id) for call in calls if call in made))

    def _decisions(self, cycle: Cycle) -> Iterator[ChatEvent]:
        records = self._app.audit.records(cycle.id)
        steps = [r for r in records if r.entry.kind is RecordKind.TRANSITION]
        effects = [r for r in records if r.entry.kind is RecordKind.OUTCOME and r.entry.status == "done"]
        refusals = [r for r in records if r.entry.kind is RecordKind.REFUSAL]
        if steps:
            last = steps[-1]
            yield from tell(
                f"Last step: {last.entry.stage} to {last.entry.status}: "
                f"{one_line(str(last.entry.body.get('reason', '')), 300)}"
            )
        done = ", ".join(dict.fromkeys(r.entry.tool for r in effects))
        yield from tell(f"Effects: {done}." if done else "It has changed nothing.")
        yield from tell(f"The door refused {counted(len(refusals), 'call')}." if refusals else "")
        shown = (*steps[-1:], *effects[-5:], *refusals[-3:])
        yield from cite(
            *(Cite(kind="record", id=str(r.sequence), of=cycle.id, label=r.entry.tool or r.entry.status) for r in shown)
        )

    def _weekly(self, period: Period | None) -> Iterator[ChatEvent]:
        known, now = self._known(), self._app.clock.now()
        inside = [c for c in known if (within(c, period) if period else (now - c.opened_at).days < 7)]
        ended = [c for c in inside if c.outcome is not None]
        verified = [c for c in ended if c.outcome is not None and c.outcome.verified]
        span = during(period) or " in the last seven days"
        yield from tell(
            f"Opened{span}: {counted(len(inside), 'cycle')}{self._of}; ended: {len(ended)}, "
            f"with a verified outcome: {len(verified)}."
        )
        yield from listed([cycle_line(c) for c in ended], "None has ended.")
        yield from tell("The whole report, with its figures, is made by `evercrew report weekly`.")
        yield from cite(*(cycle_cite(c) for c in inside[:20]))


def _request(identity: str, cycle_id: str) -> Cite:
    return Cite(kind="approval", id=identity, of=cycle_id)


def _waits(request: ApprovalRequest, name: str) -> str:
    bound = request.binding
    mine = ", proposed by you: somebody else decides" if request.proposed_by(name) else ""
    have = f"{len(request.approving)} of {bound.quorum}"
    return (
        f"{request.id}: {bound.tool} in {bound.cycle_id}, {have}, until {request.expires_at:%Y-%m-%d %H:%M} UTC{mine}"
    )


def _switched(change: FlagChange) -> str:
    what = f"{change.name} {'on' if change.enabled else 'off'} ({change.environment})"
    return f"{change.at:%Y-%m-%d %H:%M} {one_line(change.by, 60)} switched {what}"
