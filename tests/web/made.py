"""Cycles for the tests of the console that no run of the crew makes, and readers of pages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

from adapters.store.base import Recording
from domain.alert import Alert, AlertStatus
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.receipt import AuditEntry, AuditRecord, RecordKind
from domain.stage import Stage
from service.api.serving import Serving

NASTY = "<script>alert('x')</script><img src=x onerror=alert(1)>{{ 7 * 7 }}\u202e"
"""What an alert, or a tool, may say: it has to come out as text."""
ALERT_AT = datetime(2026, 1, 1, tzinfo=UTC)


def entry(kind: RecordKind, cycle_id: str = "si_2026_01_01_001", **fields: Any) -> AuditEntry:
    """Return an entry of a stage in the middle."""
    given = {"stage": "train", "tool": "train_model", "actor": "ml_engineer/stage", "key": "k1", "args_hash": "a" * 64}
    return AuditEntry(kind=kind, cycle_id=cycle_id, **{**given, **fields})


def note(serving: Serving, cycle_id: str, kind: RecordKind, **fields: Any) -> AuditRecord:
    """Put an entry on record."""
    return serving.app.audit.append(entry(kind, cycle_id, **fields))


def alert_on(target: str, text: str, signal: str = "ndcg_at_10", name: str = "SearchQualityLow") -> Alert:
    """Return an alert that says `text`."""
    return Alert(
        fingerprint=f"f-{target}",
        name=name,
        status=AlertStatus.FIRING,
        signal=signal,
        target=target,
        environment="dev",
        starts_at=ALERT_AT,
        labels={"severity": "warning"},
        annotations={"summary": text},
    )


def failed(serving: Serving, target: str = "mail") -> Cycle:
    """Open a cycle that was refused a call, failed another, and was handed to a person."""
    store = serving.app.ports.store
    cycle, _ = store.open_cycle(alert_on(target, "quality fell"), serving.clock.now())
    here = cycle.id
    note(
        serving,
        here,
        RecordKind.READ,
        stage="observe",
        tool="signal_snapshot",
        actor="metrics_analyst/stage",
        key="",
        decision="allow",
        policies=("reads",),
        status="done",
    )
    note(
        serving,
        here,
        RecordKind.TRANSITION,
        stage="observe",
        tool="",
        actor="engine",
        status="diagnose",
        body={"reason": "breached"},
    )
    note(
        serving,
        here,
        RecordKind.REFUSAL,
        stage="diagnose",
        tool="promote",
        actor="metrics_analyst/agent",
        decision="deny",
        policies=("analyst-reads-only",),
        status="denied",
        body={"reason": "an analyst only reads"},
    )
    note(serving, here, RecordKind.INTENT, decision="allow", policies=("writes",), body={"args": {"rounds": 100}})
    note(
        serving,
        here,
        RecordKind.OUTCOME,
        decision="allow",
        status="failed",
        body={"reason": "the worker ran out of memory", "spent": {"usd_micros": 250000}},
    )
    note(
        serving,
        here,
        RecordKind.TRANSITION,
        stage="diagnose",
        tool="",
        actor="engine",
        status="learn",
        body={"reason": "train failed 3 times"},
    )
    note(serving, here, RecordKind.TRANSITION, stage="learn", tool="", actor="engine", status="done", body={})
    ended = cycle.model_copy(
        update={
            "stage": Stage.DONE,
            "outcome": OutcomeKind.HANDED_OFF,
            "action": Action.RETRAIN,
            "reason": "train failed 3 times",
            "timings": {"observe": 1.0, "diagnose": 2.0, "learn": 0.1},
        }
    )
    store.save(ended)
    return ended


def hostile(serving: Serving, target: str = "evil") -> Cycle:
    """Open a cycle whose alert, diagnosis, tools and reasons are full of markup."""
    store = serving.app.ports.store
    cycle, _ = store.open_cycle(alert_on(target, NASTY, name=NASTY), serving.clock.now())
    place = "diagnose/drift_report/aaaaaaaaaa"
    claim = {"statement": NASTY, "call": place, "path": NASTY, "comparison": "eq", "value": NASTY}
    facts = {
        "snapshot": {"readings": {"ndcg_at_10": {"current": 0.3, "baseline": 0.4}}, "breached": ["ndcg_at_10", NASTY]},
        "diagnosis": {
            "value": {"action": "retrain", "root_cause": NASTY, "summary": NASTY, "claims": [claim]},
            "models": [NASTY],
            "tokens": 3,
        },
        "training_plan": {"value": {"rationale": NASTY}, "models": [], "tokens": 0},
    }
    kept = cycle.model_copy(update={"stage": Stage.DIAGNOSE, "reason": NASTY, "facts": facts, "action": Action.RETRAIN})
    store.save(kept)
    result = {"text": NASTY, NASTY: [NASTY]}
    store.record(
        Recording(cycle_id=cycle.id, place=place, kind="tool", payload={"args": {"q": NASTY}, "result": result})
    )
    note(
        serving,
        cycle.id,
        RecordKind.READ,
        stage="diagnose",
        tool="drift_report",
        actor=f"{NASTY}/agent",
        args_hash="a" * 64,
        decision="allow",
        policies=(NASTY,),
        status="done",
        key="",
    )
    note(
        serving,
        cycle.id,
        RecordKind.REFUSAL,
        stage="diagnose",
        tool=NASTY,
        decision="escalate",
        status="escalate",
        body={"reason": NASTY},
        policies=(NASTY,),
    )
    note(serving, cycle.id, RecordKind.INTENT, body={"args": {NASTY: NASTY}}, key="k-nasty", decision="allow")
    return kept


class Page(HTMLParser):
    """A page, read as a browser does: its tags with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag."""
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        """Keep text."""
        self.words.append(data)

    @property
    def text(self) -> str:
        """What a person reads, with single spaces."""
        return " ".join(" ".join(self.words).split())

    def named(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of every tag of this name."""
        return [attributes for name, attributes in self.tags if name == tag]

    def addresses(self) -> Iterator[str]:
        """Yield every address that the page names, wherever it stands."""
        for _, attributes in self.tags:
            for name in ("href", "src", "action", "srcset", "data-live", "formaction", "poster", "xlink:href"):
                if name in attributes:
                    yield attributes[name]
