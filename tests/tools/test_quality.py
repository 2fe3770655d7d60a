"""Whether judgements can be believed: by the words of the query, for clicks fall with every loss of quality."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from adapters.metrics.memory import MemoryMetrics
from adapters.platform.base import PLAUSIBLE_OVERLAP, JudgementRow, PlatformDocument
from adapters.platform.memory import MemoryPlatform
from domain.actor import Actor, Role
from domain.candidate import LiveState
from domain.clock import FrozenClock
from domain.permit import PermitOffice
from tools.data.build import believable
from tools.data.examples import Vocabulary
from tools.observe.quality import DataQualityReport, QualityReport
from tools.observe.reading import SignalReader, Windows
from tools.tool import Call, Nothing, Scope

ALERT = FrozenClock().now()
GAP, BEFORE, SINCE = timedelta(seconds=40), timedelta(seconds=200), timedelta(seconds=30)
DOCUMENTS = [
    PlatformDocument(id=f"d{n}", title=f"topic{n}", text=f"a guide to detail{n} and craft", arrived_at=ALERT, seq=n + 1)
    for n in range(20)
]

LIVE = LiveState(digest="sha256:" + "a" * 64, revision="1" * 40, mode="balanced", mode_source="values", tier="standard")


def row(number: int, at: datetime, *, doc: int | None = None, clicked: bool = True, shown: bool = True) -> JudgementRow:
    judged = f"d{number % 20 if doc is None else doc}"
    return JudgementRow(
        request_id=f"r{number}",
        ts=at,
        user_id="u",
        query=f"topic{number % 20} detail{number % 20}",
        doc_id=judged,
        grade=1,
        clicked=(judged,) if clicked else (),
        shown=(judged,) if shown else (),
    )


def before(count: int = 200) -> list[JudgementRow]:
    end = ALERT - GAP
    return [row(n, end - BEFORE + n * (BEFORE / count)) for n in range(count)]


def after(count: int = 200, *, astray: float = 0.0, clicked: bool = True) -> list[JudgementRow]:
    """Judgements since the alert; `astray` of them name the document of another query."""
    start = ALERT - SINCE
    return [
        row(1000 + n, start + n * (SINCE / count), doc=(n + 7) % 20 if n % 10 < 10 * astray else None, clicked=clicked)
        for n in range(count)
    ]


def report(rows: Sequence[JudgementRow]) -> QualityReport:
    clock = FrozenClock()
    live = LiveState(
        digest="sha256:" + "a" * 64, revision="1" * 40, mode="balanced", mode_source="values", tier="standard"
    )
    platform = MemoryPlatform(permits=PermitOffice(clock), state=live, documents=DOCUMENTS, judgements=rows)
    windows = Windows(current=2 * SINCE, baseline=BEFORE, gap=GAP)
    reader = SignalReader(MemoryMetrics(clock), {}, windows, lambda *_: (None, ""), clock)
    scope = Scope("c", "diagnose", "search", "dev", ALERT, ALERT)
    call = Call(scope, Actor(role=Role.METRICS_ANALYST), "k", "p")
    return DataQualityReport(platform, reader).run(Nothing(), call)


def test_judgements_of_other_queries_are_damage_and_how_many_is_told() -> None:
    found = report([*before(), *after(astray=0.6)])
    assert found.damaged is True
    assert found.word_fit_before == 1.0
    assert found.word_fit_after == pytest.approx(0.4)
    assert found.damaged_share == pytest.approx(0.6)
    assert found.since is not None
    assert abs(found.since - (ALERT - SINCE)) < timedelta(seconds=15)
    assert "40.0% after" in found.reason


def test_a_search_that_fails_its_users_is_no_damage_though_they_click_no_more() -> None:
    found = report([*before(), *after(clicked=False)])
    assert (found.click_agreement_before, found.click_agreement_after) == (1.0, 0.0)
    assert found.damaged is False
    assert found.damaged_share is None
    assert found.since is None


def test_a_small_fall_of_the_fit_is_no_damage() -> None:
    found = report([*before(2000), *after(2000, astray=0.1)])
    assert found.z is not None
    assert found.z < -4
    assert found.damaged is False


@pytest.mark.parametrize("rows", [[], before(), after(astray=1.0), [*before(20), *after(20, astray=1.0)]])
def test_too_little_cannot_be_told(rows: list[JudgementRow]) -> None:
    found = report(rows)
    assert found.damaged is None
    assert "needed on each side" in found.reason


def test_a_document_that_is_not_there_fits_nothing() -> None:
    vocabulary = Vocabulary(DOCUMENTS)
    assert vocabulary.overlap(row(3, ALERT)) == 1.0
    assert vocabulary.overlap(row(3, ALERT, doc=99)) == 0.0
    assert vocabulary.overlap(row(3, ALERT).model_copy(update={"query": "the of and"})) == 0.0


def test_what_a_search_failed_to_show_is_learnt_from_when_it_fits() -> None:
    rows = [
        row(1, ALERT, doc=9),
        row(2, ALERT, doc=9, shown=False),
        row(3, ALERT, doc=9, clicked=False),
        row(4, ALERT, clicked=False, shown=False),
        row(5, ALERT, doc=9, clicked=False, shown=False),
        row(6, ALERT, clicked=False, shown=False).model_copy(update={"query": "topic6 another wish"}),
        row(7, ALERT, clicked=False, shown=False).model_copy(update={"query": "topic7 another"}),
    ]
    assert 1 / 3 < PLAUSIBLE_OVERLAP < 1 / 2
    assert [r.request_id for r in believable(rows, DOCUMENTS)] == ["r1", "r2", "r3", "r4", "r7"]
