"""What pages show, computed: brief, health, money, overview and the page of a cycle, without any HTML."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from adapters.ledger.base import Standing
from domain.access import AccessRole, Caller
from domain.budget import Amounts, Ceiling
from domain.clock import FrozenClock, SystemClock
from domain.cycle import Cycle
from domain.errors import DependencyUnavailable
from domain.measurement import Measurement, Point
from domain.outcome import OutcomeKind
from domain.signal import SeriesQuery
from domain.stage import Stage
from policies.contract import Limit
from service.api.serving import Serving
from service.web.background import Background
from service.web.brief import brief_of, price_of
from service.web.cycle_view import CycleView, cycle_view
from service.web.health import health_of, limit_level, limits_said
from service.web.money import accounts_of, amount, lines_of
from service.web.overview import overview_view
from service.web.spark import sparkline
from tests.support.serving import ROLES, serving_of
from tests.support.setting import MODEL
from tests.support.waiting import PATIENCE_S
from tools.observe.reading import SignalReader

LONG = timedelta(seconds=PATIENCE_S)


def caller(role: AccessRole) -> Caller:
    """Return the caller who holds a role."""
    person = next(name for name, held in ROLES.items() if held == role)
    return Caller(name=person, roles=frozenset({role}), via="session", person=person)


def _view(served: Serving, cycle: Cycle, role: AccessRole = AccessRole.ADMIN) -> CycleView:
    return cycle_view(served, caller(role), cycle, Background(served.clock, wait=LONG))


def _cycle(served: Serving, *, outcome: OutcomeKind | None = None, stage: Stage | None = None) -> Cycle:
    found = served.app.ports.store.cycles()
    return next(c for c in found if (outcome and c.outcome is outcome) or (stage and c.stage is stage))


# -- a cycle ----------------------------------------------------------------------------------------------------------


def test_the_brief_of_a_cycle_answers_what_is_wrong_what_is_wanted_why_and_what_it_costs(served: Serving) -> None:
    brief = _view(served, _cycle(served, outcome=OutcomeKind.IMPROVED)).brief
    assert "before the alert" in brief.wrong.lead
    assert brief.wrong.more[0] == "A breach is 3\N{NO-BREAK SPACE}% below baseline"
    assert brief.wants.lead == "Trained a new model, and promoted it"
    assert any("claims hold" in line for line in brief.why.more)
    assert brief.costs.lead


def test_what_waits_for_people_is_what_the_crew_wants_with_what_it_may_cost(served: Serving) -> None:
    view = _view(served, _cycle(served, stage=Stage.PROMOTE))
    assert view.status.word == "waits for approval"
    assert view.brief.wants.more[0] == f"Now asks to promote {MODEL} version 3"
    assert view.brief.costs.lead == "What it asks for now costs no money, tokens or GPU time"
    dear = brief_of(view.cycle, served.app.contract, None, [view.no.deny[0].request], Amounts(usd_micros=2_500_000))
    assert dear.costs.lead == "At most $2.50 for what it asks for now"
    assert [one.mine for one in view.no.deny] == [True]
    assert view.no.cancel
    assert view.no.stop


def test_a_call_that_cannot_be_priced_is_said_to_be_that_and_not_to_be_free(served: Serving) -> None:
    cycle = _cycle(served, stage=Stage.PROMOTE)
    (request,) = served.app.office.consent.store.requests(cycle_id=cycle.id)
    unknown = request.model_copy(update={"binding": request.binding.model_copy(update={"tool": "no_such_tool"})})
    assert price_of(served.app.gate, [unknown]) is None
    brief = brief_of(cycle, served.app.contract, None, [unknown], None)
    assert brief.costs.lead == "What it asks for now cannot be priced"


def test_whoever_looks_on_has_no_way_to_say_no_and_is_told_who_has(served: Serving) -> None:
    no = _view(served, _cycle(served, stage=Stage.PROMOTE), AccessRole.VIEWER).no
    assert not no.any
    assert [one.why_not for one in no.others] == ["your roles do not vote"]


def test_a_machine_does_not_vote(served: Serving) -> None:
    machine = Caller(name="ci", roles=frozenset({AccessRole.ADMIN}), via="token", person=None)
    view = cycle_view(served, machine, _cycle(served, stage=Stage.PROMOTE), Background(served.clock, wait=LONG))
    assert [one.why_not for one in view.no.others] == ["a machine does not vote"]


def test_whoever_opened_a_cycle_does_not_decide_what_it_asks_for(tmp_path: Path) -> None:
    made = serving_of(tmp_path)
    cycle = _cycle(made, stage=Stage.PROMOTE)
    store = made.app.office.consent.store
    (request,) = store.requests(cycle_id=cycle.id)
    other = request.model_copy(
        update={
            "proposers": (*request.proposers, "ann"),
            "binding": request.binding.model_copy(update={"args_hash": "b" * 64}),
        }
    )
    store.open(other)
    no = _view(made, cycle).no
    assert {one.why_not for one in no.others} == {"you proposed it: somebody else has to decide"}


def test_a_cycle_that_ended_leaves_nothing_to_say_no_to_but_the_switch(served: Serving) -> None:
    view = _view(served, _cycle(served, outcome=OutcomeKind.IMPROVED))
    assert (view.no.deny, view.no.cancel, view.ended) == ((), False, True)


def test_the_charts_of_a_finished_cycle_tell_its_story_in_order(served: Serving) -> None:
    names = [chart.name for chart in _view(served, _cycle(served, outcome=OutcomeKind.IMPROVED)).charts]
    assert names.index("ab") < names.index("watch") < names.index("stages")
    assert names[0] == "signal-ndcg_at_10"


def test_every_claim_finds_the_call_that_it_cites(served: Serving) -> None:
    view = _view(served, _cycle(served, outcome=OutcomeKind.IMPROVED))
    assert view.claims
    assert all(claim.holds and claim.call is not None and claim.call.tool == claim.tool for claim in view.claims)


def test_who_does_what_counts_calls_and_effects_by_role(served: Serving) -> None:
    crew = {row.name: row for row in _view(served, _cycle(served, outcome=OutcomeKind.IMPROVED)).crew}
    assert len(crew) == 5
    assert crew["DevOps Engineer"].effects >= 2
    assert crew["Metrics Analyst"].effects == 0
    assert not any(row.working for row in crew.values())


def test_the_same_reads_again_are_one_row_and_every_call_can_be_asked_for(served: Serving) -> None:
    cycle = _cycle(served, outcome=OutcomeKind.IMPROVED)
    short = _view(served, cycle)
    whole = cycle_view(served, caller(AccessRole.VIEWER), cycle, Background(served.clock, wait=LONG), every_call=True)
    assert len(whole.calls) == len(short.calls) + short.calls_left_out
    assert short.calls_left_out > 0
    assert whole.calls[0].sequence > whole.calls[-1].sequence


def test_the_trace_is_the_one_that_the_receipts_name(served: Serving) -> None:
    cycle = _cycle(served, outcome=OutcomeKind.IMPROVED)
    assert _view(served, cycle).trace in {r.entry.trace_id for r in served.app.audit.records(cycle.id)}


def test_a_damaged_artifact_is_named_and_the_page_is_there(tmp_path: Path) -> None:
    made = serving_of(tmp_path)
    cycle = _cycle(made, outcome=OutcomeKind.IMPROVED)
    (made.app.office.artifacts.folder(cycle.id) / "ab_test_results.json").write_text("{", encoding="utf-8")
    view = _view(made, cycle)
    assert any("ab_test_results.json" in problem for problem in view.problems)


# -- the overview -----------------------------------------------------------------------------------------------------


def test_the_overview_says_what_runs_what_waits_for_whom_and_what_was_done(served: Serving) -> None:
    view = overview_view(served, caller(AccessRole.APPROVER), Background(served.clock, wait=LONG))
    assert {row.cycle.stage for row in view.running} >= {Stage.OBSERVE, Stage.PROMOTE}
    assert len(view.mine) == 1
    waiting = next(row for row in view.running if row.cycle.stage is Stage.PROMOTE)
    assert waiting.status.word == "waits for approval"
    assert all(row.cycle.stage.terminal for row in view.lately)
    assert not overview_view(served, caller(AccessRole.OPERATOR), Background(served.clock, wait=LONG)).mine


def test_nothing_at_all_is_an_overview_too(tmp_path: Path) -> None:
    view = overview_view(serving_of(tmp_path, told=False), caller(AccessRole.VIEWER), Background(FrozenClock()))
    assert (view.running, view.waiting, view.lately, view.switches) == ([], [], [], [])


# -- health -----------------------------------------------------------------------------------------------------------


class _Down:
    """Metrics that do not answer: at once, or not before they are let go."""

    name = "prometheus"

    def __init__(self, let_go: threading.Event | None = None) -> None:
        self._let_go = let_go

    def read(self, query: SeriesQuery, at: datetime | None = None) -> Measurement:
        """Do not answer."""
        if self._let_go is not None:
            self._let_go.wait(60)
        raise DependencyUnavailable("prometheus", "nobody answers at the port")

    def range(self, query: SeriesQuery, start: datetime, end: datetime, step: timedelta) -> Sequence[Point]:
        """Do not answer."""
        self.read(query)
        return ()

    def labels(self, metric: str, label: str) -> Sequence[str]:
        """Know none."""
        return ()

    def check(self) -> str:
        """Do not answer."""
        raise DependencyUnavailable("prometheus", "nobody answers at the port")


def _without_metrics(served: Serving, metrics: _Down) -> Serving:
    app = served.app
    reader = SignalReader(metrics, app.reader.catalog, app.reader.windows, app.reader.judge, app.clock)
    return replace(served, app=replace(app, reader=reader))


def test_metrics_that_are_down_are_named_and_every_signal_says_that_there_is_no_data(served: Serving) -> None:
    health = health_of(_without_metrics(served, _Down()).app, Background(served.clock, wait=LONG))
    assert "nobody answers" in health.problem
    assert {card.tone for card in health.cards} == {"idle"}
    assert {card.value for card in health.cards} == {"no data"}
    assert (health.known, health.breached) == (0, 0)


def test_metrics_that_hang_hold_up_no_page(served: Serving) -> None:
    let_go = threading.Event()
    hung = _without_metrics(served, _Down(let_go))
    background = Background(SystemClock(), wait=timedelta(milliseconds=50))
    began = SystemClock().monotonic()
    view = overview_view(hung, caller(AccessRole.VIEWER), background)
    page = cycle_view(hung, caller(AccessRole.VIEWER), _cycle(served, outcome=OutcomeKind.IMPROVED), background)
    assert SystemClock().monotonic() - began < 30
    let_go.set()
    assert view.healths[0].problem
    assert page.asking
    assert view.healths[0].asking
    background.close()


def test_signals_are_told_against_their_baseline_and_their_limit(served: Serving) -> None:
    cards = {card.name: card for card in health_of(served.app, Background(served.clock, wait=LONG)).cards}
    quality = cards["ndcg_at_10"]
    assert quality.limits == "3\N{NO-BREAK SPACE}% below baseline"
    assert quality.picture is not None
    assert quality.against.startswith("baseline 0.")
    assert quality.tone in {"good", "bad"}


def test_the_strictest_limit_is_the_one_that_is_drawn(served: Serving) -> None:
    latency = served.app.contract.signal("latency_p95_ms")
    row = latency.model_copy(
        update={
            "limits": (Limit(kind="absolute", threshold=800), Limit(kind="relative_to_baseline", threshold=0.5)),
        }
    )
    before = Measurement(value=100, unit="ms", n=5)
    assert limit_level(row, before) == 150
    assert limit_level(row, None) == 800
    assert limits_said("latency_p95_ms", row) == "above 800 ms or 50\N{NO-BREAK SPACE}% above baseline"
    quality = served.app.contract.signal("ndcg_at_10")
    assert limit_level(quality, Measurement(value=0.5, unit="score", n=5)) == pytest.approx(0.485)
    assert limit_level(quality, None) is None


def test_a_course_needs_two_values_breaks_at_gaps_and_leaves_out_a_limit_far_away() -> None:
    start = FrozenClock().now()

    def at(values: list[float | None]) -> list[tuple[datetime, float | None]]:
        return [(start + timedelta(seconds=k), value) for k, value in enumerate(values)]

    assert sparkline("x", at([1.0])) is None
    assert sparkline("x", at([None, None, 1.0])) is None
    assert sparkline("x", at([float("nan"), 1.0])) is None
    broken = sparkline("x", at([1.0, 2.0, None, 2.0, 1.0]), baseline=1.5, limit=800.0)
    assert broken is not None
    assert broken.count('class="curve"') == 2
    assert 'class="reference"' in broken
    assert 'class="limit"' not in broken
    assert "<b>" not in str(sparkline("<b>", at([1.0, 2.0])))


# -- money ------------------------------------------------------------------------------------------------------------


def _standing(**fields: object) -> Standing:
    given = {"name": "period/search/dev/1", "ceiling": Ceiling(usd_micros=10_000_000), "reserved": Amounts()}
    return Standing.model_validate({**given, "spent": Amounts(), "updated_at": FrozenClock().now(), **fields})


def test_an_account_shows_what_is_gone_and_promised_of_its_limit() -> None:
    (line,) = lines_of(_standing(spent=Amounts(usd_micros=2_500_000), reserved=Amounts(usd_micros=1_000_000)))
    assert (line.spent, line.held, line.tone) == (0.25, 0.1, "")
    assert (line.said, line.limit) == ("$2.50 spent, $1.00 set aside", "$10.00")


@pytest.mark.parametrize(("spent", "tone"), [(7_900_000, ""), (8_000_000, "warn"), (10_000_000, "bad")])
def test_an_account_that_is_nearly_or_all_gone_is_coloured(spent: int, tone: str) -> None:
    assert lines_of(_standing(spent=Amounts(usd_micros=spent)))[0].tone == tone


def test_what_has_no_limit_has_no_share_and_what_may_not_be_spent_at_all_is_gone_at_once() -> None:
    lines = lines_of(_standing(ceiling=Ceiling(usd_micros=0), spent=Amounts(usd_micros=1, tokens=5)))
    assert [(line.kind, line.spent, line.limit) for line in lines] == [
        ("usd_micros", 1.0, "$0.00"),
        ("tokens", None, "no limit"),
    ]


def test_amounts_read_as_dollars_minutes_and_thousands() -> None:
    told = [amount("usd_micros", 1_234_560_000), amount("usd_micros", 400), amount("usd_micros", 0)]
    assert told == ["$1,234.56", "$0.0004", "$0.00"]
    assert [amount("gpu_seconds", 90), amount("gpu_seconds", 120), amount("tokens", 12_345)] == ["1.5", "2", "12,345"]


def test_accounts_of_the_present_period_and_day_are_there_before_anything_was_spent(tmp_path: Path) -> None:
    cards = accounts_of(serving_of(tmp_path, told=False).app)
    assert [(card.title, card.lines) for card in cards] == [("This period", ()), ("Today", ())]
