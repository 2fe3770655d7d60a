"""The feedback pipeline: joins, rolling figures, the sealed set, quarantine."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from testbed import clock
from testbed.events import FeedbackEvent
from testbed.feedback import FeedbackPipeline
from testbed.feedback_store import FeedbackStore, read_sealed
from testbed.jsonlog import JsonLog, read_log
from testbed.judged import Quarantine, held_out, overlap_of
from testbed.metrics import Metrics
from tests.testbed.helpers import OPEN_WORDS, SEALED_QUERY, judgement, samples, search_record

# What documents hold of the queries "open <word>"; any other document holds none of them.
WORDS = {"fitting": frozenset({"open", *OPEN_WORDS})}


class Bench:
    """A pipeline on real files."""

    def __init__(self, root: Path) -> None:
        self.settings = root / "pipeline.json"
        self.sealed = root / "sealed"
        self.log = root / "service.jsonl"
        self.store = FeedbackStore(root / "feedback.sqlite", self.sealed)
        self.metrics = Metrics()
        self.pipeline = FeedbackPipeline(
            self.store,
            self.metrics,
            JsonLog(self.log),
            self.settings,
            lambda doc_id: f"subject of {doc_id}",
            lambda doc_id: WORDS.get(doc_id, frozenset()),
        )
        self.pipeline.reload_settings()

    def figures(self) -> dict[str, float]:
        return samples(self.metrics.render().decode())

    def session(self, number: int, doc: str, *, click: bool = True) -> None:
        """A search whose user ends up with a document."""
        record = search_record(number, user=f"u{number}", shown=(doc, "x", "y"))
        self.pipeline.remember(record)
        said = [event(record.request_id, "click", doc)] if click else []
        for one in [*said, event(record.request_id, "judgement", doc)]:
            assert self.pipeline.accept(one)


def event(request_id: str, kind: str, doc_id: str | None = None, value: float | None = None) -> FeedbackEvent:
    return FeedbackEvent.model_validate(
        {"request_id": request_id, "user_id": "u1", "kind": kind, "doc_id": doc_id, "value": value}
    )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.store.close()


def test_a_judgement_joined_to_its_own_search_agrees_with_the_click(bench: Bench) -> None:
    for number in range(60):
        bench.session(number, f"d{number}")
    figures = bench.figures()
    assert figures["search_ndcg_at_10"] == pytest.approx(1.0)
    assert figures["search_recall_at_20"] == pytest.approx(1.0)
    assert figures["feedback_click_agreement"] == pytest.approx(1.0)
    assert figures["search_judged_sessions_total"] == 60
    assert figures["search_ndcg_at_10_sum"] == pytest.approx(60)


def test_a_slipping_join_pairs_judgements_with_other_searches(bench: Bench) -> None:
    bench.settings.write_text('{"join": {"offset": 3, "share": 0.6}}', encoding="utf-8")
    bench.pipeline.reload_settings()
    for number in range(300):
        bench.session(number, f"d{number}")
    figures = bench.figures()
    assert 0.25 < figures["feedback_click_agreement"] < 0.55
    assert figures["search_ndcg_at_10"] == pytest.approx(figures["feedback_click_agreement"])
    bench.pipeline.flush()
    slipped = [row for row in bench.store.read() if row.doc_id not in row.shown]
    assert slipped
    assert all(row.query != "" and row.user_id != f"u{row.doc_id[1:]}" for row in slipped)


def test_wrong_pipeline_settings_are_logged_and_not_used(bench: Bench) -> None:
    bench.settings.write_text('{"join": {"offset": -1}}', encoding="utf-8")
    bench.pipeline.reload_settings()
    bench.session(1, "d1")
    bench.pipeline.flush()
    rejected = [row for row in read_log(bench.log) if row["event"] == "pipeline_settings_rejected"]
    assert "join.offset" in rejected[0]["reason"]
    assert [row.agrees for row in bench.store.read()] in ([True], [])


def test_rolling_figures_are_absent_until_there_is_enough(bench: Bench) -> None:
    bench.session(1, "d1")
    assert "search_ndcg_at_10" not in bench.figures()
    assert "search_satisfaction" not in bench.figures()


def test_satisfaction_is_the_mean_of_the_ratings(bench: Bench) -> None:
    bench.pipeline.remember(search_record(1))
    for number in range(40):
        bench.pipeline.accept(event("r0001", "rating", value=5 if number % 2 else 4))
    assert bench.figures()["search_satisfaction"] == pytest.approx(4.5)


def test_feedback_about_an_unknown_search_is_counted_and_not_taken(bench: Bench) -> None:
    assert not bench.pipeline.accept(event("never", "click", "a"))
    assert 'feedback_events_total{kind="click",status="unknown"} 1.0' in bench.metrics.render().decode()


@pytest.mark.parametrize(
    ("kind", "doc_id", "value", "field"),
    [
        ("click", None, None, "doc_id"),
        ("judgement", None, 1.0, "doc_id"),
        ("judgement", "a", 11.0, "value"),
        ("rating", None, 6.0, "value"),
        ("rating", None, math.nan, "value"),
        ("rating", None, None, "value"),
        ("thumb", None, 0.5, "value"),
    ],
)
def test_an_incomplete_event_is_refused_by_field(
    kind: str, doc_id: str | None, value: float | None, field: str
) -> None:
    with pytest.raises(ValidationError, match=field):
        event("r1", kind, doc_id, value)


def test_the_window_holds_the_last_sessions_only(bench: Bench) -> None:
    bench.pipeline.resize(30)
    for number in range(60):
        bench.session(number, f"d{number}", click=number >= 30)
    assert bench.figures()["feedback_click_agreement"] == pytest.approx(1.0)


def test_about_a_quarter_of_the_queries_is_held_out() -> None:
    share = sum(held_out(f"query number {number}") for number in range(4000)) / 4000
    assert 0.22 < share < 0.28
    assert held_out(SEALED_QUERY)
    assert held_out("  Open   SOCKET ")
    assert not any(held_out(f"open {word}") for word in OPEN_WORDS)


def test_held_out_judgements_go_to_the_sealed_file_and_count_in_the_figures(bench: Bench) -> None:
    bench.store.append([(judgement(SEALED_QUERY), None), (judgement("open file"), None)])
    assert [row.query for row in bench.store.read()] == ["open file"]
    assert [row.query for row in read_sealed(bench.sealed)] == [SEALED_QUERY]
    assert bench.sealed.stat().st_mode & 0o777 == 0o700
    assert '"relevant": {"a": 1}' in (bench.sealed / "judgements.jsonl").read_text(encoding="utf-8")


def test_reading_takes_a_window_and_the_latest_rows(bench: Bench) -> None:
    bench.store.append((judgement("open file", ts=float(ts)), None) for ts in range(10))
    assert [row.ts for row in bench.store.read(since=2, until=5)] == [2, 3, 4]
    assert [row.ts for row in bench.store.read(limit=2)] == [8, 9]


def test_quarantined_judgements_leave_figures_data_and_sealed_set(bench: Bench) -> None:
    start = clock.timestamp()
    for number in range(40):
        bench.session(number, f"d{number}")
    bench.settings.write_text('{"join": {"offset": 2, "share": 1.0}}', encoding="utf-8")
    bench.pipeline.reload_settings()
    for number in range(40, 80):
        bench.session(number, f"d{number}")
    bench.pipeline.flush()
    bench.store.append([(judgement(SEALED_QUERY, doc="elsewhere", ts=start + 1), None)])
    assert bench.figures()["search_ndcg_at_10"] == pytest.approx(0.5)
    before = len(bench.store.read())
    entry = Quarantine("cycle-1", start, None, "click_disagreement")
    assert bench.pipeline.quarantine(entry)
    assert bench.figures()["search_ndcg_at_10"] == pytest.approx(1.0)
    assert len(bench.store.read()) == before - bench.pipeline.dropped("cycle-1")
    assert all(row.doc_id in row.shown for row in [*bench.store.read(), *read_sealed(bench.sealed)])


def test_an_open_quarantine_holds_future_judgements_too(bench: Bench) -> None:
    bench.pipeline.quarantine(Quarantine("k", 0.0, None, "click_disagreement"))
    record = search_record(0, shown=("a",))
    bench.pipeline.remember(record)
    bench.pipeline.accept(event(record.request_id, "judgement", "elsewhere"))
    assert bench.pipeline.dropped("k") == 1
    assert bench.store.read() == []
    assert "search_judged_sessions_total" not in bench.figures()
    assert bench.figures()["feedback_judgements_total"] == 1


def test_a_judgement_carries_the_share_of_the_query_its_document_holds(bench: Bench) -> None:
    for number, doc in enumerate(("fitting", "elsewhere")):
        bench.session(number, doc)
    bench.pipeline.flush()
    assert {row.doc_id: row.overlap for row in bench.store.read()} == {"fitting": 1.0, "elsewhere": 0.0}
    assert overlap_of("open parser cache", frozenset({"open"})) == pytest.approx(1 / 3)
    assert overlap_of("???", frozenset({"open"})) == 0.0


@pytest.mark.parametrize(
    ("shown", "clicked", "overlap", "dropped"),
    [
        (True, True, 0.0, False),
        (True, False, 0.0, False),
        (False, True, 0.0, False),
        (False, False, 0.0, True),
        (False, False, 0.33, True),
        (False, False, 0.34, False),
        (False, False, 1.0, False),
    ],
)
def test_what_fits_the_query_or_was_before_the_user_is_plausible(
    shown: bool, clicked: bool, overlap: float, dropped: bool
) -> None:
    row = judgement("open file", doc="a" if shown else "elsewhere", clicked=())
    row = replace(row, clicked=(row.doc_id,) if clicked else (), overlap=overlap)
    assert Quarantine("k", 0.0, None, "implausible").drops(row) is dropped
    assert Quarantine("k", 0.0, None, "click_disagreement").drops(row) is not (shown or clicked)
    assert not Quarantine("k", row.ts + 1, None, "implausible").drops(row)


def test_the_implausible_leave_and_the_hard_found_stay(bench: Bench) -> None:
    bench.pipeline.quarantine(Quarantine("k", 0.0, None, "implausible"))
    for number, doc in enumerate(("fitting", "elsewhere", "a")):
        record = search_record(number, shown=("a",))
        bench.pipeline.remember(record)
        bench.pipeline.accept(event(record.request_id, "judgement", doc))
    assert bench.pipeline.dropped("k") == 1
    assert [row.doc_id for row in bench.store.read()] == ["fitting", "a"]
    assert bench.figures()["search_judged_sessions_total"] == 2


def test_a_quarantine_is_idempotent_by_key_and_survives_a_restart(bench: Bench, tmp_path: Path) -> None:
    entry = Quarantine("k", 5.0, 9.0, "click_disagreement")
    assert bench.pipeline.quarantine(entry)
    assert not bench.pipeline.quarantine(entry)
    with pytest.raises(ValueError, match="in use"):
        bench.pipeline.quarantine(Quarantine("k", 6.0, None, "click_disagreement"))
    again = FeedbackStore(tmp_path / "feedback.sqlite", bench.sealed)
    assert again.quarantines() == [entry]
    again.close()


def test_ndcg_of_a_single_judged_document_follows_its_rank() -> None:
    gains = [judgement("open file", doc=doc).ndcg for doc in ("a", "b", "c", "elsewhere")]
    assert gains == pytest.approx([1.0, 1 / math.log2(3), 0.5, 0.0])
