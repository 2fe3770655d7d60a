"""The reports on intake, index and page: facts that tell causes apart which look alike from afar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from adapters.delivery.memory import MemoryDelivery
from adapters.metrics.memory import MemoryMetrics
from adapters.platform.base import JudgementRow, PlatformDocument
from adapters.platform.memory import MemoryPlatform
from adapters.vcs.memory import MemoryVcs
from domain.actor import Actor, Role
from domain.candidate import LiveState
from domain.clock import FrozenClock
from domain.errors import InvalidInput
from domain.permit import PermitOffice
from evals.simulated import CATALOG
from tools.deliver.release import ApplyTuning, TuningArgs
from tools.deliver.values import parse_values, patch_values
from tools.observe.deployments import DeploymentHistory, History, HistoryArgs, RuntimeState
from tools.observe.etl import EtlCheck, EtlReport
from tools.observe.reading import SignalReader, Windows
from tools.observe.recall import RecallCheck, RecallReport
from tools.observe.satisfaction import SatisfactionReport, report
from tools.tool import Call, Nothing, Scope

SECOND = timedelta(seconds=1)
WINDOWS = Windows(current=12 * SECOND, baseline=20 * SECOND, gap=10 * SECOND)
VALUES = """\
model: {name: reranker, version: "1", digest: "sha256:aa"}
search:
  mode: balanced
  title_chars: 200
etl:
  workers: 4
  batch: 250
"""


class Rig:
    """A platform in memory, thirty seconds after an alert."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.metrics = MemoryMetrics(self.clock)
        self.permits = PermitOffice(self.clock)
        self.vcs = MemoryVcs(text=VALUES, permits=self.permits, clock=self.clock)
        self.clock.advance(600 * SECOND)
        self.alert = self.clock.now() + 50 * SECOND
        self.reader = SignalReader(self.metrics, CATALOG, WINDOWS, lambda *_: (None, ""), self.clock)
        self.taken = 0.0

    @property
    def call(self) -> Call:
        scope = Scope("c", "diagnose", "search", "dev", self.alert, self.alert)
        return Call(scope, Actor(role=Role.METRICS_ANALYST), "k", "p")

    def run(self, seconds: int, rate: float, gauges: Mapping[str, float]) -> None:
        """Let time pass while `rate` documents a second are taken in."""
        for _ in range(seconds):
            self.clock.advance(SECOND)
            self.taken += rate
            for name, value in {"search_etl_documents_total": self.taken, **gauges}.items():
                self.metrics.add(name, value)

    def etl(self) -> EtlReport:
        return EtlCheck(self.metrics, self.vcs, self.reader).run(Nothing(), self.call)

    def recall(self, documents: int, rows: Sequence[JudgementRow] = ()) -> RecallReport:
        stored = [
            PlatformDocument(id=f"d{n}", title="t", text="x", arrived_at=self.alert, seq=n + 1)
            for n in range(documents)
        ]
        live = LiveState(digest="sha256:" + "a" * 64, revision="1" * 40)
        platform = MemoryPlatform(permits=self.permits, state=live, documents=stored, judgements=rows)
        return RecallCheck(platform, self.metrics, self.reader).run(Nothing(), self.call)

    def history(self) -> History:
        return DeploymentHistory(self.vcs, self.reader, near=60 * SECOND).run(HistoryArgs(), self.call)


def test_what_is_live_is_called_by_the_name_that_git_has_for_it() -> None:
    rig, named = Rig(), VALUES.replace("sha256:aa", "sha256:" + "a" * 64)

    def model(text: str) -> str:
        live = LiveState(digest="sha256:" + "a" * 64, revision="1" * 40)
        vcs = MemoryVcs(text=text, permits=rig.permits, clock=rig.clock)
        delivery = MemoryDelivery(state=live, clock=rig.clock)
        return RuntimeState(vcs, delivery).run(Nothing(), rig.call).model

    assert model(named) == "reranker version 1"
    assert model(VALUES) == model(named.replace("name: reranker", "name: ''")) == "a model that git does not name"


def queue(pending: float, oldest: float) -> dict[str, float]:
    return {"search_etl_pending_documents": pending, "search_etl_backlog_seconds": oldest}


def test_an_intake_that_takes_in_less_than_before_while_documents_wait_is_behind() -> None:
    rig = Rig()
    rig.run(50, 20.0, queue(0, 0.2))
    rig.run(30, 3.0, queue(400, 25.0))
    found = rig.etl()
    assert (found.pending, found.oldest_s, found.behind) == (400, 25.0, True)
    assert found.taken_per_s == pytest.approx(3.0, rel=0.1)
    assert found.taken_per_s_before == pytest.approx(20.0, rel=0.1)
    assert (found.declared_workers, found.declared_batch) == (4, 250)


def test_an_intake_without_metrics_says_nothing_of_itself() -> None:
    found = Rig().etl()
    assert (found.pending, found.oldest_s, found.behind) == (None, None, None)


def test_documents_that_are_stored_and_not_in_the_index_are_missing() -> None:
    rig = Rig()
    rig.run(30, 0.0, {"search_index_documents": 75.0})
    found = rig.recall(100)
    assert (found.documents, found.missing, found.missing_share) == (100, 25, 0.25)
    assert Rig().recall(100).missing is None
    assert rig.recall(60).missing == 0


def sessions(rig: Rig, subject: str, found: bool, *, after: bool, count: int = 40) -> list[JudgementRow]:
    end = rig.alert + 20 * SECOND if after else rig.alert - WINDOWS.gap
    return [
        JudgementRow(
            request_id=f"{subject}{after}{n}",
            ts=end - n * 0.2 * SECOND,
            user_id="u",
            query="q",
            doc_id="d1",
            grade=1,
            shown=("d1",) if found else ("d2",),
            clicked=("d1",) if found else (),
            subject=subject,
        )
        for n in range(count)
    ]


def test_a_subject_that_was_found_and_is_not_any_more_is_lost() -> None:
    rig = Rig()
    rig.run(80, 0.0, {})
    rows = [
        *sessions(rig, "gone", True, after=False),
        *sessions(rig, "gone", False, after=True),
        *sessions(rig, "kept", True, after=False),
        *sessions(rig, "kept", True, after=True),
        *sessions(rig, "new", False, after=True),
        *sessions(rig, "rare", True, after=False, count=5),
        *sessions(rig, "rare", False, after=True, count=5),
    ]
    found = rig.recall(10, rows)
    assert found.lost_subjects == ("gone",)
    assert found.shown_before == 1.0


def pages(count: int, shown: float, clicked: float) -> list[JudgementRow]:
    rig = Rig()
    rows = sessions(rig, "s", True, after=True, count=count)
    on_page, clicks = round(count * shown), round(count * shown * clicked)
    plain = [row.model_copy(update={"clicked": ()}) for row in rows[clicks:on_page]]
    astray = [row.model_copy(update={"shown": (), "clicked": ()}) for row in rows[on_page:]]
    return [*rows[:clicks], *plain, *astray]


def test_users_who_pass_over_what_they_are_shown_are_told_from_users_who_are_shown_less() -> None:
    found = report(pages(400, 0.9, 0.9), pages(400, 0.9, 0.5))
    assert (found.same_finds, found.passed_over) == (True, True)
    less = report(pages(400, 0.9, 0.9), pages(400, 0.5, 0.9))
    assert (less.same_finds, less.passed_over) == (False, False)


def test_too_few_sessions_tell_nothing_of_users() -> None:
    found: SatisfactionReport = report(pages(40, 0.9, 0.9), pages(400, 0.9, 0.2))
    assert (found.same_finds, found.passed_over) == (None, None)
    assert report([], []).shown_before is None


def test_a_release_that_changed_settings_shortly_before_the_alert_is_named_with_what_they_were() -> None:
    rig = Rig()
    rig.clock.advance(30 * SECOND)
    rig.vcs.push_from_outside(patch_values(VALUES, {"etl_workers": 1, "etl_batch": 1, "candidates": 60}))
    rig.clock.advance(30 * SECOND)
    found = rig.history().settings
    assert found is not None
    assert found.revision == rig.vcs.head()
    assert (dict(found.before), dict(found.after)) == (
        {"etl_workers": 4, "etl_batch": 250},
        {"etl_workers": 1, "etl_batch": 1},
    )


def test_settings_changed_long_before_or_not_at_all_are_none() -> None:
    rig = Rig()
    assert rig.history().settings is None
    rig.vcs.push_from_outside(patch_values(VALUES, {"etl_workers": 1}))
    rig.alert = rig.clock.now() + 300 * SECOND
    assert rig.history().settings is None


def test_every_setting_can_be_tuned_through_the_values_file() -> None:
    rig = Rig()
    tool = ApplyTuning(rig.vcs)
    args = TuningArgs(mode="fast", etl_workers=8, etl_batch=100, title_chars=120, candidates=80, index_generation=3)
    values = parse_values(patch_values(VALUES, tool.changes(args, VALUES)))
    assert values.settings() == {
        "mode": "fast",
        "tier": "standard",
        "candidates": 80,
        "title_chars": 120,
        "etl_workers": 8,
        "etl_batch": 100,
    }
    assert values.index.generation == 3
    with pytest.raises(InvalidInput, match="etl_workers"):
        tool.changes(TuningArgs(), VALUES)
