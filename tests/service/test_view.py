"""The live view: a picture in a terminal, plain lines elsewhere, and never a word of markup from outside."""

import io
import re
from datetime import timedelta

import pytest
from rich.console import Console
from rich.spinner import Spinner

from domain.clock import FrozenClock
from domain.events import Event
from domain.stage import Stage
from service import panels
from service.board import MOST_CALLS, Board, State
from service.summary import DemoSummary, NdcgLevels
from service.view import LiveView
from service.wording import clean, duration, gate_label, percent, role_label, signal_value, stage_label
from tests.service import sample
from tests.service.artifacts import CYCLE_ID

ATTACK = "[bold red]owned[/] \x1b[2J\u202e <script>\r\nnext"


def _terminal(width: int = 100, height: int = 32) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None)


def _log(encoding: str = "utf-8") -> tuple[Console, io.TextIOWrapper]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    return Console(file=file, width=100, highlight=False), file


def _read(file: io.TextIOWrapper) -> str:
    file.flush()
    file.seek(0)
    return file.read()


def _drawn(until: float = 1e9, height: int = 32) -> str:
    board = Board(scenario="corpus_shift", began=0.0)
    board.measure(dict.fromkeys(("ndcg_at_10", "latency_p95_ms"), 1.0))
    for when, event in sample.events():
        if when <= until:
            board.take(event, when)
    console = _terminal(height=height)
    with console.capture() as captured:
        console.print(panels.live(board, Spinner("dots"), min(until, 90.0), height))
    return captured.get()


def _call(**fields: object) -> Event:
    known = {"kind": "call", "cycle_id": CYCLE_ID, "stage": "diagnose", "who": "metrics_analyst", "what": "log_search"}
    return Event.model_validate({**known, "answer": "done", **fields})


def _board_at(until: float) -> Board:
    board = Board(scenario="", began=0.0)
    for when, event in sample.events():
        if when <= until:
            board.take(event, when)
    return board


def test_the_picture_fits_a_terminal_of_a_hundred_by_thirty_two() -> None:
    lines = _drawn().splitlines()
    assert len(lines) < 32
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("height", [24, 28, 40])
def test_fewer_calls_are_shown_in_a_lower_terminal(height: int) -> None:
    assert len(_drawn(height=height).splitlines()) <= max(height, 25)


def test_the_picture_says_who_works_at_what_and_what_the_door_answered() -> None:
    text = _drawn(until=47.0)
    assert "demo: corpus shift" in text
    assert "\u25cf DevOps Engineer" in text
    assert re.search(r"\u2713 evaluate +6\.3 s ML Engineer +lift \+11", text)
    assert re.search(r"18\.4 s Metrics Analyst promote +refused \(denied\) +no policy lets", text)
    assert re.search(r"45\.9 s DevOps Engineer ab_start +done +writes", text)
    assert "note  the playbook stepped in" in text


def test_stages_that_the_cycle_went_past_were_skipped() -> None:
    running, over = _board_at(47.0), _board_at(1e9)
    assert running.state(Stage.AB) is State.WORKING
    assert running.state(Stage.WATCH) is State.WAITING
    assert over.state(Stage.ROLL_BACK) is State.SKIPPED
    assert over.over


def test_a_watch_that_follows_a_roll_back_is_still_to_come() -> None:
    board = Board(scenario="", began=0.0)
    for stage in ("observe", "diagnose", "plan"):
        board.take(Event(kind="stage", cycle_id=CYCLE_ID, stage=stage, what="begin"), 1.0)
        board.take(Event(kind="stage", cycle_id=CYCLE_ID, stage=stage, what="end"), 2.0)
    board.take(Event(kind="stage", cycle_id=CYCLE_ID, stage="roll_back", what="begin"), 3.0)
    assert board.state(Stage.WATCH) is State.WAITING
    assert board.state(Stage.TRAIN) is State.SKIPPED


def test_seconds_of_a_stage_count_its_waiting() -> None:
    assert _board_at(60.0).stages[Stage.AB].seconds(60.0) == pytest.approx(14.8)


def test_a_second_cycle_begins_with_an_empty_picture() -> None:
    board = _board_at(1e9)
    board.take(Event(kind="stage", cycle_id="si_2026_03_14_002", stage="observe", what="begin"), 100.0)
    assert board.state(Stage.OBSERVE) is State.WORKING
    assert board.state(Stage.LEARN) is State.WAITING
    assert not board.over


def test_only_the_last_calls_are_kept() -> None:
    board = Board(scenario="", began=0.0)
    for k in range(20):
        board.take(_call(what=f"tool_{k}"), float(k))
    assert [call.tool for call in board.calls] == [f"tool_{k}" for k in range(20 - MOST_CALLS, 20)]


def test_agents_and_models_are_shown_at_work() -> None:
    board = Board(scenario="", began=0.0)
    board.take(Event(kind="agent", cycle_id=CYCLE_ID, stage="plan", who="data_engineer", what="proposes"), 1.0)
    board.take(Event(kind="model", cycle_id=CYCLE_ID, what="playbook"), 1.0)
    assert (board.working, board.stages[Stage.PLAN].who, board.model) == ("data_engineer", "Data Engineer", "playbook")


def test_an_event_of_an_unknown_stage_changes_nothing() -> None:
    board = Board(scenario="", began=0.0)
    board.take(Event(kind="stage", cycle_id=CYCLE_ID, stage="lunch", what="begin"), 1.0)
    assert all(board.state(stage) is State.WAITING for stage in board.stages)


def test_a_log_gets_one_readable_line_an_event() -> None:
    console, file = _log()
    clock = FrozenClock()
    with LiveView("corpus_shift", console=console, clock=clock) as view:
        assert view.plain
        before = 0.0
        for when, event in sample.events():
            clock.advance(timedelta(seconds=when - before))
            before = when
            view(event)
    lines = _read(file).splitlines()
    assert all(re.match(r"\[ *\d+\.\d s\] (stage|call|note) ", line) for line in lines)
    assert "[   18.4 s] call     Metrics Analyst asks for promote: refused (denied): no policy" in "\n".join(lines)
    assert len([line for line in lines if "A/B test begins" in line]) == 1


def test_a_stage_that_waits_for_the_same_reason_says_so_once() -> None:
    console, file = _log()
    view = LiveView(console=console, clock=FrozenClock())
    for _ in range(5):
        view(Event(kind="stage", cycle_id=CYCLE_ID, stage="watch", what="wait", details={"reason": "one look"}))
    assert _read(file).count("one look") == 1


def test_signals_in_a_log_are_said_now_and_then() -> None:
    console, file = _log()
    clock = FrozenClock()
    view = LiveView(console=console, clock=clock)
    for _ in range(25):
        view.signals({"ndcg_at_10": 0.4123, "user_satisfaction": None})
        clock.advance(timedelta(seconds=1))
    assert _read(file).count("nDCG@10 0.412, satisfaction \u2013") == 3


def test_every_kind_of_event_has_its_line() -> None:
    console, file = _log()
    view = LiveView(console=console, clock=FrozenClock())
    view.phase("The platform starts")
    view(Event(kind="agent", cycle_id=CYCLE_ID, stage="plan", who="data_engineer", what="proposes a plan"))
    view(Event(kind="model", cycle_id=CYCLE_ID, stage="plan", what="playbook", answer="412 tokens"))
    view(_call(answer="failed (DependencyTimeout)", details={"reason": "took longer than 30 s"}))
    text = _read(file)
    assert "demo     The platform starts" in text
    assert "agent    Data Engineer in plan: proposes a plan" in text
    assert "model    playbook 412 tokens" in text
    assert "asks for log_search: failed (DependencyTimeout): took longer than 30 s" in text


def test_text_from_outside_is_neither_markup_nor_control() -> None:
    console, file = _log()
    view = LiveView(ATTACK, console=console, clock=FrozenClock())
    view(_call(what=ATTACK, answer=ATTACK, who=ATTACK, details={"reason": ATTACK, "policies": [ATTACK]}))
    view(Event(kind="note", cycle_id=ATTACK, what=ATTACK))
    view.phase(ATTACK)
    view.summary(sample.summary().model_copy(update={"reason": ATTACK, "model": ATTACK, "fault": ATTACK}))
    text = _read(file)
    assert "[bold red]owned[/]" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\r" not in text


def test_the_picture_shows_text_from_outside_as_it_is() -> None:
    board = Board(scenario=ATTACK, began=0.0, phase=clean(ATTACK))
    board.take(_call(what="log_search", details={"reason": ATTACK}, answer="refused (denied)"), 1.0)
    console = _terminal(width=140)
    with console.capture() as captured:
        console.print(panels.live(board, Spinner("dots"), 2.0, 32))
    assert "[bold red]owned[/]" in captured.get()
    assert "\x1b[2J" not in captured.get()


def test_an_output_that_cannot_say_a_letter_gets_another() -> None:
    console, file = _log("ascii")
    view = LiveView(console=console, clock=FrozenClock())
    view.phase("na\u00efve \u2013 plan")
    view.summary(sample.summary())
    text = _read(file)
    assert "na?ve ? plan" in text
    assert "verified" in text


def test_a_reader_that_went_away_does_not_stop_the_cycle() -> None:
    file = io.StringIO()
    view = LiveView(console=Console(file=file, width=100), clock=FrozenClock())
    file.close()
    view(_call())
    view.phase("goes on")
    assert view.plain


def test_a_terminal_gets_a_picture_that_ends_with_the_view() -> None:
    console = _terminal()
    view = LiveView("corpus_shift", console=console)
    with view:
        assert not view.plain
        for _, event in sample.events():
            view(event)
        view.summary(sample.summary())
    file = console.file
    assert isinstance(file, io.StringIO)
    assert "retrain \u2192 improved" in file.getvalue()
    assert file.getvalue().rstrip().endswith("\u256f")


def test_an_error_inside_the_view_gives_the_terminal_back() -> None:
    console = _terminal()
    with pytest.raises(RuntimeError, match="boom"), LiveView(console=console):
        raise RuntimeError("boom")
    file = console.file
    assert isinstance(file, io.StringIO)
    assert "\x1b[?25h" in file.getvalue()


def test_the_closing_panel_says_what_a_person_asks_for() -> None:
    console, file = _log()
    LiveView(console=console, clock=FrozenClock()).summary(sample.summary())
    text = _read(file)
    for wanted in (
        "demo: corpus shift, seed 7",
        "0.421",
        "\u221214.3 % against healthy",
        "lift +11.8 %, between +1.4 % and +23.2 %",
        "promote#19",
        "dda18a0e21ae",
        "A/B test 26.6",
        "1 unsupported claim dropped",
        f"artifacts/{CYCLE_ID}",
        " verified ",
    ):
        assert wanted in text
    assert "not verified" not in text


def test_the_closing_panel_of_no_cycle_claims_nothing() -> None:
    console, file = _log()
    facts = DemoSummary(
        cycle_id=None, fault="none", seed=1, action=None, outcome="unverified", verified=False, reason="nothing rang"
    )
    LiveView(console=console, clock=FrozenClock()).summary(facts)
    text = _read(file)
    assert " not verified " in text
    assert "0.000" not in text
    assert "A/B test" not in text


def test_the_summary_is_the_file_the_demo_writes() -> None:
    written = sample.summary().model_dump(mode="json")
    assert set(written) == {
        *("cycle_id", "fault", "seed", "action", "outcome", "verified", "reason", "ndcg", "gates", "ab", "effects"),
        *("live", "seconds", "model", "unsupported_claims", "tokens", "cost_usd", "artifacts"),
    }
    assert written["ndcg"] == {"healthy": 0.421, "degraded": 0.361, "final": 0.409}
    assert written["seconds"]["stages"]["ab"] == pytest.approx(26.6)
    assert DemoSummary.model_validate(written) == sample.summary()
    assert NdcgLevels().healthy is None


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([None, None], "  "),
        ([1.0, 1.0, 1.0], "\u2581\u2581\u2581"),
        ([0.0, 0.0], "\u2581\u2581"),
        ([0.0, None, 1.0], "\u2581 \u2588"),
        ([0.0] * 20 + [1.0] * 20, "\u2581" * 10 + "\u2588" * 10),
    ],
)
def test_a_sparkline_draws_the_whole_course(values: list[float | None], drawn: str) -> None:
    assert panels.sparkline(values) == drawn


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (duration(4.24), "4.2 s"),
        (duration(89.6), "1 min 29 s"),
        (duration(7300), "2 h 01 min"),
        (duration(timedelta(days=7, hours=3)), "7 d 3 h"),
        (percent(-0.0001, 0), "0 %"),
        (percent(float("nan")), "\u2013"),
        (signal_value("latency_p95_ms", 812.4), "812 ms"),
        (signal_value("etl_backlog_s", 3.21), "3.2 s"),
        (signal_value("cost_per_1k_requests", 0.2), "$0.200"),
        (signal_value("ndcg_at_10", True), "\u2013"),
        (role_label("devops_engineer/agent"), "DevOps Engineer"),
        (role_label("Ada"), "Ada"),
        (stage_label("roll_back"), "roll back"),
        (gate_label("ab_test_results: ndcg_at_10"), "nDCG@10, A/B"),
        (gate_label("latency_p95_ms"), "p95 latency"),
        (clean("a" * 500, 5), "aaaa\u2026"),
    ],
)
def test_names_and_numbers_read_like_words(said: str, expected: str) -> None:
    assert said == expected
