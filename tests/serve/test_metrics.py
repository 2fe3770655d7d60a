"""What the metrics page says is what the store and the chain say, in every process and after every restart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from domain.clock import FrozenClock
from domain.errors import DependencyUnavailable
from domain.events import Event
from domain.receipt import RecordKind
from service.api.app import create_app
from service.api.serving import Serving
from service.telemetry import fold
from service.telemetry.counters import CALLS, STAGE_SECONDS, counted
from service.telemetry.stock import FRESH, Stock
from tests.support.serving import client_as, serving_of

Page = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    found = serving_of(tmp_path_factory.mktemp("served"), serve={"metrics_open": True})
    yield found
    found.app.close()


def page_of(text: str) -> Page:
    """Every sample of a page, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def page(serving: Serving) -> Page:
    return page_of(client_as(serving, None).get("/metrics").text)


def told(page: Page, name: str, **labels: str) -> float:
    return page[(name, tuple(sorted(labels.items())))]


def test_cycles_are_counted_by_outcome_and_action(page: Page, serving: Serving) -> None:
    ended = [cycle for cycle in serving.app.ports.store.cycles(limit=1000) if cycle.stage.terminal]
    assert sum(value for (name, _), value in page.items() if name == "evercrew_cycles_total") == len(ended) == 4
    assert told(page, "evercrew_cycles_total", outcome="improved", action="retrain") == 1
    assert told(page, "evercrew_cycles_total", outcome="left_alone", action="noise") == 1


def test_stages_and_verdicts_are_those_of_the_cycles(page: Page, serving: Serving) -> None:
    ended = [cycle for cycle in serving.app.ports.store.cycles(limit=1000) if cycle.stage.terminal]
    observed = [cycle for cycle in ended if "observe" in cycle.timings]
    assert told(page, "evercrew_cycle_stages_total", stage="observe") == len(observed)
    passed = sum(cycle.facts.get("verdict_evaluate") == "pass" for cycle in ended)
    assert told(page, "evercrew_verdicts_total", gate="evaluate", verdict="pass") == passed > 0


def test_decisions_are_those_of_the_chain(page: Page, serving: Serving) -> None:
    records = [record.entry for record in serving.app.audit.records()]
    made = {"read": RecordKind.READ, "write": RecordKind.INTENT}
    for effect, kind in made.items():
        expected = sum(entry.kind is kind for entry in records)
        assert told(page, "evercrew_decisions_total", effect=effect, answer="allow") == expected > 0
    refused = [entry for entry in records if entry.kind is RecordKind.REFUSAL]
    assert told(page, "evercrew_refusals_total", kind="escalate") == len(refused) == 1
    reactions = [entry for entry in records if entry.status in ("reaction", "reaction_late")]
    in_time = sum(entry.status == "reaction" for entry in reactions)
    assert told(page, "evercrew_reactions_total", result="in_time") == in_time


def test_what_is_open_and_waits_is_told(page: Page, serving: Serving) -> None:
    assert told(page, "evercrew_approvals_waiting") == 1
    assert sum(value for (name, _), value in page.items() if name == "evercrew_cycles_open") == 2
    assert told(page, "evercrew_audit_records") == serving.app.audit.head().records
    assert told(page, "evercrew_audit_lag_records") == 0
    assert told(page, "evercrew_policy_set_ok") == 1
    assert told(page, "evercrew_kill_switch") == 0
    stale = [value for (name, _), value in page.items() if name == "evercrew_metrics_stale"]
    assert stale == [0] * 6


def test_a_process_that_begins_where_another_stopped_says_the_same(serving: Serving) -> None:
    app = serving.app
    first = Stock(app)
    first.look()
    head = app.audit.head().records
    assert first._totals is not None
    app.ports.store.record(first._totals.recording())
    kept = fold.kept(app.ports.store.recordings(fold.SCOPE), head)
    assert (kept.sequence, kept.cycles) == (head, first._totals.cycles)
    second = Stock(app)
    second.look()
    assert second._totals == first._totals


def test_totals_of_another_chain_or_release_are_not_gone_on_with() -> None:
    long = fold.Totals(sequence=10, cycles={"improved|retrain": 3}).recording()
    old = long.model_copy(update={"payload": {**long.payload, "version": 0}})
    assert fold.kept([long], head=10).cycles == {"improved|retrain": 3}
    assert fold.kept([long], head=9) == fold.Totals()
    assert fold.kept([old], head=10) == fold.Totals()


def test_a_cycle_that_ended_twice_on_record_is_counted_once(serving: Serving) -> None:
    from domain.budget import Amounts

    cycle = next(cycle for cycle in serving.app.ports.store.cycles(limit=100) if cycle.stage.terminal)
    totals = fold.Totals()
    for _ in range(2):
        fold.end(totals, cycle, Amounts(tokens=5))
    assert (sum(totals.cycles.values()), totals.tokens) == (1, 5)


class Away:
    """An inbox that does not answer."""

    def counts(self) -> None:
        """See `InboxPort.counts`."""
        raise DependencyUnavailable("inbox", "it is away")


def test_a_part_that_does_not_answer_is_named_and_the_rest_is_told(serving: Serving) -> None:
    broken = replace(serving.app, inbox=Away())  # type: ignore[arg-type]  # only its counts are asked for
    registry = CollectorRegistry()
    Stock(broken).register(registry)
    assert registry.get_sample_value("evercrew_metrics_stale", {"part": "inbox"}) == 1
    assert registry.get_sample_value("evercrew_metrics_stale", {"part": "chain"}) == 0
    assert registry.get_sample_value("evercrew_approvals_waiting") == 1


def test_looks_are_seconds_apart_however_often_it_is_scraped(serving: Serving) -> None:
    clock = FrozenClock(serving.app.clock.now())
    looks: list[int] = []

    class Counting(Stock):
        def _inbox(self) -> None:
            looks.append(1)

    stock = Counting(replace(serving.app, clock=clock))
    for _ in range(3):
        stock.look()
    clock.advance(FRESH)
    stock.look()
    assert len(looks) == 2


def test_a_scraper_needs_a_token_unless_it_is_open(tmp_path: Path) -> None:
    closed = serving_of(tmp_path, told=False)
    app = create_app(
        replace(
            closed,
            app=replace(
                closed.app, settings=closed.app.settings.model_copy(update={"serve_metrics_token": "scrape-me"})
            ),
        )
    )
    anybody, viewer = client_as(app, None), client_as(app, "viewer")
    assert anybody.get("/metrics").status_code == 401
    assert anybody.get("/metrics", headers={"Authorization": "Bearer scrape-you"}).status_code == 401
    page = anybody.get("/metrics", headers={"Authorization": "Bearer scrape-me"})
    assert (page.status_code, page.headers["content-type"].split(";")[0]) == (200, "text/plain")
    assert viewer.get("/metrics").status_code == 200
    closed.app.close()


def test_what_happens_in_this_process_is_counted() -> None:
    before = CALLS.labels("unknown", "refused")._value.get()
    counted(Event(kind="call", cycle_id="c", what="a tool that some model made up", answer="refused (unknown_tool)"))
    assert CALLS.labels("unknown", "refused")._value.get() == before + 1
    total = STAGE_SECONDS.labels("train")._sum.get()
    counted(Event(kind="stage", cycle_id="c", stage="train", what="end", details={"seconds": 2.5}))
    assert STAGE_SECONDS.labels("train")._sum.get() == total + 2.5
    counted(Event(kind="stage", cycle_id="c", stage="no stage", what="end", details={"seconds": 2.5}))
    counted(Event(kind="stage", cycle_id="c", stage="train", what="begin"))
    assert STAGE_SECONDS.labels("train")._sum.get() == total + 2.5


def test_no_name_stands_in_two_parts_of_the_page(serving: Serving) -> None:
    text = client_as(serving, None).get("/metrics").text
    types = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types)) > 30
