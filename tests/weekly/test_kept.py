"""Reports are kept, listed, told of, and put on record; and the terminal prints them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import service.cli
from domain.clock import FrozenClock
from domain.diagnosis import Action
from domain.errors import IntegrityError, InvalidInput
from service.cli_report import report as commands
from service.weekly.make import by_the_clock, made, shelf_of, texts_of
from service.weekly.shelf import Shelf
from tests.support.office import Rig
from tests.support.story import given
from tests.weekly.seeded import busy_week, records_in


class ListedAudit:
    """The rig's chain, with the links a report reads."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rig.audit, name)

    def links(self, after: int = 0) -> Any:
        """Return the links behind a record."""
        from adapters.audit.walk import link_of

        return (link_of(record) for record in self._rig.audit.records() if record.sequence > after)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An application after one cycle, a week later."""
    rig = given(tmp_path, Action.NOISE).runs().rig
    assert isinstance(rig.clock, FrozenClock)
    rig.clock.advance(rig.clock.now().replace(month=1, day=8, hour=7) - rig.clock.now())
    built = SimpleNamespace(
        config=SimpleNamespace(state=tmp_path / "state", target="search", environment="dev"),
        clock=rig.clock,
        ports=rig.ports,
        office=rig.office,
        audit=ListedAudit(rig),
        profile=rig.profile,
        targets=("search",),
        current_accounts=lambda: rig.office.purse.current("search", "dev") if rig.office.purse else set(),
        close=lambda: None,
    )
    monkeypatch.setattr(service.cli, "wired", lambda config, workflow=True: built)
    return built


def run(*words: str) -> Any:
    return CliRunner().invoke(commands, list(words))


def test_what_the_clock_makes_is_kept_and_its_hashes_are_on_the_chain(app: Any) -> None:
    said = "1 cycle ended, 1 successful. Declined to act 1 time. 0 things to look at."
    assert by_the_clock(app) == f"Evercrew, week 2026-W01: {said}"
    (kept,) = shelf_of(app).list()
    assert (kept.id, kept.title) == ("2026-W01", "Evercrew, week 2026-W01")
    (note,) = [r.entry for r in app.audit.records() if r.entry.status == "weekly_report"]
    for name, digest in note.body["files"].items():
        text = (shelf_of(app).root / "2026-W01" / name).read_bytes()
        assert hashlib.sha256(text).hexdigest() == digest


def test_a_report_of_a_real_cycle_says_what_it_left_alone(app: Any) -> None:
    report = made(app)
    assert report.figure("cycles").value == 1
    assert [(d.why, d.count) for d in report.declined] == [("noise", 1)]


def test_a_kept_report_is_read_as_it_was(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    with records_in(tmp_path) as records:
        busy_week(records)
        report = records.report()
    shelf.put(report, texts_of(report))
    assert shelf.report("2026-W47") == report
    assert shelf.read("2026-W47", "md").startswith("# Evercrew, week 2026-W47")
    assert shelf.read("2026-W47", "html").startswith("<!doctype html>")


@pytest.mark.parametrize("identity", ["../../etc", "2026-W47/../..", "2026-W99", "", "x" * 300])
def test_only_reports_can_be_read_from_the_shelf(tmp_path: Path, identity: str) -> None:
    with pytest.raises(InvalidInput, match="report"):
        Shelf(tmp_path).read(identity, "json")


def test_a_format_that_is_none_is_refused_and_a_damaged_report_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "2026-W47"
    folder.mkdir()
    (folder / "report.json").write_text('{"id": 7}')
    with pytest.raises(InvalidInput, match="format"):
        Shelf(tmp_path).read("2026-W47", "pdf")
    with pytest.raises(IntegrityError, match="2026-W47"):
        Shelf(tmp_path).report("2026-W47")


def test_the_terminal_prints_every_format_and_writes_files(app: Any, tmp_path: Path) -> None:
    assert run("weekly", "--week", "2026-W01").stdout.startswith("# Evercrew, week 2026-W01")
    assert json.loads(run("weekly", "--week", "2026-W01", "--format", "json").stdout)["id"] == "2026-W01"
    out = tmp_path / "week.html"
    done = run("weekly", "--week", "2026-W01", "--format", "html", "--out", str(out))
    assert done.exit_code == 0, done.output
    assert out.read_text().startswith("<!doctype html>")
    assert shelf_of(app).list() == []


def test_the_terminal_keeps_lists_and_shows_reports(app: Any) -> None:
    assert "no report is kept" in run("list").stdout
    assert run("weekly", "--from", "2026-01-01", "--to", "2026-01-03", "--keep").exit_code == 0
    (row,) = json.loads(run("list", "--json").stdout)
    assert row["id"] == "2026-01-01_2026-01-03"
    assert "2026-01-01_2026-01-03" in run("list").stdout
    assert run("show", row["id"]).stdout.startswith("# Evercrew, 2026-01-01 to 2026-01-03")


@pytest.mark.parametrize(
    "words", [("weekly", "--format", "pdf"), ("weekly", "--week", "47"), ("show", "2026-W02")], ids=str
)
def test_misuse_names_the_field(app: Any, words: tuple[str, ...]) -> None:
    assert isinstance(run(*words).exception, InvalidInput)
