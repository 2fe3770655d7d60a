"""Pages of what was told and what it cost: reports of cycles and weeks, budgets, and what is done by the clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.responses import Response

from cycles.schedule import ScheduleState
from domain.access import ApiAction, Caller
from domain.cycle import Cycle
from domain.errors import ConfigurationError, InvalidInput
from service.access.guard import page
from service.api.problems import Problem
from service.api.serving import Serving, serving
from service.report.write import HTML, MARKDOWN
from service.schedules import scheduler_of
from service.web.money import accounts_of
from service.web.money_view import cycles_of
from service.web.pages import page_router
from service.web.paging import paged
from service.web.render import render
from service.web.standing import Status, status_of, title_of
from service.weekly import page as weekly_page
from service.weekly.make import computed, shelf_of
from service.weekly.report import WeeklyReport
from service.weekly.shelf import FORMATS
from service.weekly.span import week_of

router = page_router()

Viewer = Annotated[Caller, Depends(page(ApiAction.VIEW))]
MOST, PAGE = 500, 25
SO_FAR = "now"
# A report is a file of its own: it may carry its style, and nothing else of it runs, loads or is sent.
FILE_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
_TYPES = {"html": "text/html", "md": "text/markdown", "json": "application/json"}


@dataclass(frozen=True)
class CycleReport:
    """The report of a cycle, in the formats that are there."""

    cycle: Cycle
    formats: tuple[str, ...]

    @property
    def title(self) -> str:
        """What was wrong."""
        return title_of(self.cycle)

    @property
    def status(self) -> Status:
        """How it ended."""
        return status_of(self.cycle)


@router.get("/reports")
def reports(request: Request, caller: Viewer, at: Annotated[int, Query(alias="page", ge=1, le=MOST)] = 1) -> Response:
    """Show the reports there are: of weeks, and of cycles."""
    here = serving(request)
    ended = [cycle for cycle in here.app.ports.store.cycles(limit=MOST) if cycle.stage.terminal]
    shown, pager = paged(ended, at, PAGE, "/reports", {}, what="cycles")
    return render(
        request,
        "reports.html",
        caller,
        active="reports",
        title="Reports",
        tab="reports",
        weeks=shelf_of(here.app).list(),
        so_far=computed(here.app, week_of(here.clock.now())),
        tiles=weekly_page.TILES,
        value_of_figure=weekly_page.value_of,
        cycles=[CycleReport(cycle, _formats(here, cycle)) for cycle in shown],
        pager=pager,
    )


@router.get("/reports/weekly/{identity}")
def weekly(request: Request, identity: str, caller: Viewer) -> Response:
    """Show the report of a week; that of the present one is computed now, and not kept."""
    return render(
        request,
        "weekly.html",
        caller,
        active="reports",
        title="Weekly report",
        tab="reports",
        kept=identity != SO_FAR,
        report=_week(serving(request), identity),
        tiles=weekly_page.TILES,
        value_of_figure=weekly_page.value_of,
        interval_of=weekly_page.interval_of,
        change_of=weekly_page.change_of,
    )


@router.get("/reports/weekly/{identity}/{form}")
def weekly_file(request: Request, identity: str, form: str, caller: Viewer) -> Response:
    """Hand out a kept weekly report: html, md or json."""
    try:
        text = shelf_of(serving(request).app).read(identity, form)
    except InvalidInput as problem:
        raise _no_report(problem.problem) from problem
    return _file(text, form, f"evercrew-{identity}")


@router.get("/reports/cycles/{cycle_id}/{form}")
def cycle_file(request: Request, cycle_id: str, form: str, caller: Viewer) -> Response:
    """Hand out the report of a cycle: html or md."""
    here = serving(request)
    cycle = here.app.ports.store.cycle(cycle_id)
    if cycle is None or form not in _formats(here, cycle):
        raise _no_report(f"there is no such report of {cycle_id}")
    name = {"html": HTML, "md": MARKDOWN}[form]
    text = (here.app.office.artifacts.root / cycle.id / name).read_text(encoding="utf-8")
    return _file(text, form, cycle.id)


@router.get("/budgets")
def budgets(request: Request, caller: Viewer) -> Response:
    """Show what is set aside, spent and left."""
    app = serving(request).app
    purse = app.office.purse
    return render(
        request,
        "budgets.html",
        caller,
        active="reports",
        title="Budgets",
        live="/api/v1/events",
        last_event=app.audit.head().records,
        tab="budgets",
        accounts=accounts_of(app),
        cycles=cycles_of(purse) if purse is not None else (),
        titles={cycle.id: title_of(cycle) for cycle in app.ports.store.cycles(limit=MOST)},
    )


@router.get("/schedules")
def schedules(request: Request, caller: Viewer) -> Response:
    """Show what is done by the clock, and how it went."""
    problem = ""
    states: list[ScheduleState] = []
    try:
        states = scheduler_of(serving(request).app).state()
    except ConfigurationError as found:
        problem = str(found)
    return render(
        request,
        "schedules.html",
        caller,
        active="reports",
        title="Schedules",
        tab="schedules",
        states=states,
        problem=problem,
    )


def _formats(here: Serving, cycle: Cycle) -> tuple[str, ...]:
    folder = here.app.office.artifacts.root / cycle.id
    return tuple(form for form, name in (("html", HTML), ("md", MARKDOWN)) if (folder / name).is_file())


def _week(here: Serving, identity: str) -> WeeklyReport:
    if identity == SO_FAR:
        return computed(here.app, week_of(here.clock.now()))
    try:
        return shelf_of(here.app).report(identity)
    except InvalidInput as problem:
        raise _no_report(problem.problem) from problem


def _no_report(said: str) -> Problem:
    return Problem(404, "No such report", f"{said[:1].upper()}{said[1:]}.", remedy="See /reports for those there are")


def _file(text: str, form: str, name: str) -> Response:
    shown = "inline" if form == "html" else "attachment"
    headers = {
        "Content-Security-Policy": FILE_POLICY,
        "Content-Disposition": f'{shown}; filename="{name}{FORMATS[form].removeprefix("report")}"',
    }
    return Response(text, media_type=_TYPES[form], headers=headers)
