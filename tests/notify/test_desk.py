"""From what happened to what people read: a real application, a Slack-like receiver and a mail server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from adapters.notices.base import NoticeState
from cycles.switches import Switchboard
from domain.clock import FrozenClock, SystemClock
from domain.receipt import AuditEntry, RecordKind
from service.doctor import examine
from service.notices.check import checks
from service.notices.desk import NoticeDesk, notice_desk_of
from service.notify_sections import NotifyConfig
from service.settings import Settings
from service.weekly.make import made
from service.wiring import App
from tests.stubs.mail_server import MailServer
from tests.stubs.small_server import Said, SmallServer
from tests.support.serving import serving_of
from tests.support.waiting import until

OK = Said(200, b"ok", "text/plain")


@pytest.fixture
def slack() -> Iterator[SmallServer]:
    with SmallServer(lambda _: OK) as server:
        yield server


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An application with cycles of every kind, one of which waits for people."""
    app = serving_of(tmp_path_factory.mktemp("told")).app
    yield app
    app.close()


@pytest.fixture
def patience() -> int:
    """For how many seconds an answer of the channel is waited for."""
    return 30


@pytest.fixture
def app(told: App, slack: SmallServer, mail: MailServer, patience: int) -> App:
    """The same before anybody was told anything, with a section `notify`."""
    with told.database.begin(write=True) as connection:
        for table in ("notices", "notice_cursors", "notice_register"):
            connection.execute(text(f"DELETE FROM {table}"))
    section = {
        "public_url": "https://evercrew.example",
        "slack": {"timeout_s": patience},
        "email": {
            "host": "127.0.0.1",
            "port": mail.port,
            "security": "none",
            "sender": "crew@example.org",
            "to": ["ann@example.org"],
        },
        "routes": [{"channels": ["slack"]}, {"kinds": ["approval", "kill_switch"], "channels": ["email"]}],
        "rate": {"most": 100},
    }
    config = told.config.model_copy(update={"notify": NotifyConfig.model_validate(section)})
    settings = Settings(notify_slack_url=f"{slack.url}/services/T0/B0/secretpart")
    return replace(told, settings=settings, config=config)


@pytest.fixture
def desk(app: App) -> Iterator[NoticeDesk]:
    with notice_desk_of(app) as desk:
        yield desk


def said(slack: SmallServer) -> list[str]:
    return [asked.json()["text"].splitlines()[0].partition(" ")[2] for asked in slack.seen if asked.method == "POST"]


def clock_of(app: App) -> FrozenClock:
    assert isinstance(app.clock, FrozenClock)
    return app.clock


def test_at_the_first_start_history_is_told_to_nobody_but_what_waits_is(
    app: App, desk: NoticeDesk, slack: SmallServer, mail: MailServer
) -> None:
    desk.once()
    (told,) = said(slack)
    assert told.startswith("promote on search waits for an approval")
    (request,) = app.office.consent.store.requests(waiting_at=app.clock.now())
    (asked,) = [a for a in slack.seen if a.method == "POST"]
    button = asked.json()["blocks"][-1]["elements"][0]
    assert button["url"] == f"https://evercrew.example/approvals/{request.id}"
    assert mail.subjects() == [f"[evercrew] {told}"]


def test_nothing_is_told_twice_by_two_desks(app: App, desk: NoticeDesk, slack: SmallServer) -> None:
    with notice_desk_of(app) as other:
        for _ in range(2):
            desk.once()
            other.once()
    assert len(said(slack)) == 1


def test_the_kill_switch_is_told_with_who_and_why_on_every_channel_that_wants_it(
    app: App, desk: NoticeDesk, slack: SmallServer, mail: MailServer
) -> None:
    desk.once()
    board = Switchboard(app.ports.store, app.audit, app.clock)
    board.kill("kill_switch", True, environment="all", by="Ann", reason="call me at ann@example.org")
    desk.once()
    assert said(slack)[-1] == "kill switch is ON"
    letter = mail.letters[-1].get_body(("plain",))
    assert letter is not None
    assert "By Ann: call me at <redacted>" in letter.get_content()


def noted(app: App, status: str, body: dict[str, Any], cycle_id: str = "", stage: str = "") -> None:
    app.audit.append(
        AuditEntry(kind=RecordKind.NOTE, cycle_id=cycle_id, stage=stage, actor="engine", status=status, body=body)
    )


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (
            "reaction_late",
            {"signal": "ndcg_at_10", "action": "promote", "seconds": 5400.0, "allowed_s": 3600.0},
            "si_2026_01_01_003 reacted late to nDCG@10",
        ),
        ("policies_kept", {"problem": "line 3"}, "The policy set on disk is broken and was not taken"),
        ("contract_kept", {"problem": "line 3"}, "The contract on disk is broken and was not taken"),
        ("scheduled_failed", {"detail": "no room"}, "backup by the clock: failed"),
        ("rollback_by_hand", {"reason": "quality fell"}, "engine went back to an earlier state by hand"),
    ],
)
def test_what_the_chain_says_is_told(
    app: App, desk: NoticeDesk, slack: SmallServer, status: str, body: dict[str, Any], wanted: str
) -> None:
    desk.once()
    noted(app, status, body, "si_2026_01_01_003" if status.startswith("reaction") else "", "backup")
    desk.once()
    assert said(slack)[-1] == wanted


def test_a_record_that_makes_no_sense_does_not_silence_those_behind_it(
    app: App, desk: NoticeDesk, slack: SmallServer
) -> None:
    desk.once()
    noted(app, "reaction_late", {"seconds": "soon", "allowed_s": None})
    noted(app, "kill_on", {"details": "none"})
    noted(app, "policies_kept", {"problem": "line 7"})
    desk.once()
    assert said(slack)[1:] == ["The policy set on disk is broken and was not taken"]


def test_a_chain_that_came_back_shorter_is_read_on_from_its_end(app: App, desk: NoticeDesk, slack: SmallServer) -> None:
    desk.once()
    here = desk.outbox.cursor("audit")
    desk.outbox.follow("audit", after=here, upto=(here or 0) + 1000, notices=(), now=app.clock.now())
    desk.once()
    noted(app, "policies_kept", {"problem": "line 7"})
    desk.once()
    assert len(said(slack)) == 2


def test_the_end_of_a_cycle_is_told_and_a_hand_over_calls_for_a_person(
    app: App, desk: NoticeDesk, slack: SmallServer
) -> None:
    desk.once()
    (ended, *_) = [c for c in app.ports.store.cycles() if c.stage.terminal]
    entry = AuditEntry(kind=RecordKind.TRANSITION, cycle_id=ended.id, stage="learn", actor="engine", status="done")
    app.audit.append(entry)
    desk.once()
    assert said(slack)[-1] == f"{ended.id}: {(ended.outcome or '').replace('_', ' ')}"
    from domain.outcome import OutcomeKind

    other = next(c for c in app.ports.store.cycles() if c.stage.terminal and c.id != ended.id)
    app.ports.store.save(other.model_copy(update={"outcome": OutcomeKind.HANDED_OFF}))
    app.audit.append(entry.model_copy(update={"cycle_id": other.id}))
    desk.once()
    assert said(slack)[-1] == f"{other.id}: handed off: a person has to take it from here"


def test_the_weekly_report_is_told_with_its_summary_and_link(app: App, desk: NoticeDesk, slack: SmallServer) -> None:
    desk.once()
    report = made(app)
    desk.once()
    body = slack.seen[-1].json()
    assert body["blocks"][0]["text"]["text"].endswith(report.title)
    assert body["blocks"][-1]["elements"][0]["url"] == f"https://evercrew.example/reports/weekly/{report.id}"


def test_a_channel_that_is_down_loses_nothing_and_keeps_nobody_waiting(
    app: App, desk: NoticeDesk, slack: SmallServer, mail: MailServer
) -> None:
    slack.lie = Said(500, b"down")
    desk.once()
    assert len(mail.letters) == 1
    assert desk.outbox.counts("slack").waiting == 1
    slack.lie = None
    slack.seen.clear()
    clock_of(app).advance(timedelta(minutes=1))
    desk.once()
    assert len(said(slack)) == 1
    assert desk.outbox.counts().waiting == 0


@pytest.mark.parametrize("patience", [1])
def test_a_cycle_goes_on_while_every_channel_hangs(app: App, desk: NoticeDesk, slack: SmallServer) -> None:
    slack.delay = 30
    stop = threading.Event()
    thread = threading.Thread(target=desk.run, args=(stop,))
    clock = SystemClock()
    thread.start()
    until(lambda: slack.seen)
    before = clock.monotonic()
    noted(app, "reaction_late", {"seconds": 2.0, "allowed_s": 1.0})
    assert clock.monotonic() - before < 10
    stop.set()
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert desk.outbox.counts("slack").waiting == 1


def test_what_was_asked_for_by_hand_tells_each_channel(desk: NoticeDesk, slack: SmallServer, mail: MailServer) -> None:
    assert desk.test() == {"slack": "", "email": ""}
    assert said(slack) == ["A test message of Evercrew"]
    slack.lie = Said(404, b"no_service")
    assert "EVERCREW_NOTIFY_SLACK_URL" in desk.test("slack")["slack"]
    assert len(mail.letters) == 1


def test_the_doctor_names_each_channel_and_dead_letters(app: App, desk: NoticeDesk, slack: SmallServer) -> None:
    desk.once()
    found = dict(checks(app))
    assert list(found) == ["notify slack", "notify email", "outbox"]
    assert "slack at 127.0.0.1" in found["notify slack"]()
    assert "secretpart" not in found["notify slack"]()
    slack.lie = Said(400, b"invalid_payload")
    noted(app, "policies_kept", {"problem": "x"})
    desk.once()
    assert [n.kind for n in desk.outbox.listed(state=NoticeState.DEAD)] == ["policy_broken"]
    outbox = next(f for f in examine(app) if f.name == "outbox")
    assert (outbox.ok, "evercrew notify retry" in outbox.detail) == (False, True)


def test_no_error_and_no_notice_shows_the_address_of_the_webhook(
    app: App, desk: NoticeDesk, slack: SmallServer, caplog: pytest.LogCaptureFixture
) -> None:
    for lie in (Said(500, b"down"), Said(404, b"gone"), Said(200, b"<html>")):
        slack.lie = lie
        clock_of(app).advance(timedelta(minutes=1))
        desk.once()
    kept = "".join(n.model_dump_json() for n in desk.outbox.listed())
    assert "secretpart" not in caplog.text + kept


def test_a_request_nobody_decides_is_told_once_more(app: App, desk: NoticeDesk, slack: SmallServer) -> None:
    desk.once()
    clock_of(app).advance(timedelta(hours=2, minutes=5))
    desk.once()
    desk.once()
    assert len(said(slack)) == 2
    assert "still waits" in said(slack)[1]


def test_the_alarm_of_a_budget_is_told_once(app: App, desk: NoticeDesk, slack: SmallServer) -> None:
    from adapters.ledger.base import Account
    from domain.budget import Amounts, Ceiling

    desk.once()
    purse = app.office.purse
    assert purse is not None
    period = next(n for n in purse.current(app.config.target, app.config.environment) if n.startswith("period"))
    account = Account(name=period, ceiling=Ceiling(usd_micros=1000), alarm=0.8)
    purse.ledger.reserve("k", [account], Amounts(usd_micros=900))
    purse.ledger.settle("k")
    for _ in range(2):
        clock_of(app).advance(timedelta(minutes=1))
        desk.once()
    assert [title for title in said(slack) if "budget" in title] == [f"The budget {period} has 90% gone"]
