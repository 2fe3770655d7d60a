"""Making the weekly report of an application: read, compute, draw, keep, and put on record."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from domain.receipt import AuditEntry, RecordKind
from service.weekly.build import built
from service.weekly.material import Sources, gathered
from service.weekly.page import as_html, as_markdown
from service.weekly.report import WeeklyReport
from service.weekly.shelf import FORMATS, Shelf
from service.weekly.span import Span, last_week

if TYPE_CHECKING:
    from service.wiring import App

STATUS = "weekly_report"
"""Status of the note on the audit chain that has the hashes of a report's files."""


def shelf_of(app: App) -> Shelf:
    """Return where the reports of an application are kept."""
    return Shelf(app.config.state / "reports" / "weekly")


def sources_of(app: App) -> Sources:
    """Return where the rows are."""
    office, purse = app.office, app.office.purse
    names = app.current_accounts()
    accounts = [purse.ledger.account(name) for name in sorted(names)] if purse is not None else []
    return Sources(
        store=app.ports.store,
        chain=app.audit,
        artifacts=office.artifacts,
        approvals=office.consent.store,
        ledger=purse.ledger if purse is not None else None,
        budgets=[standing for standing in accounts if standing is not None],
        levels=office.autonomy.standings(app.profile.name),
    )


def computed(app: App, span: Span) -> WeeklyReport:
    """Return the report of a stretch; nothing is kept.

    Raises:
        DependencyError, AuditUnavailable: a source cannot be read.
    """
    sources, now = sources_of(app), app.clock.now()
    return built(
        gathered(sources, span, now),
        gathered(sources, span.before, now),
        environment=app.config.environment,
        target=", ".join(app.targets),
        version=metadata.version("evercrew"),
        autonomy=app.profile.autonomy,
    )


def texts_of(report: WeeklyReport) -> dict[str, str]:
    """Return the report in every format."""
    drawn = {"json": report.model_dump_json(indent=2) + "\n", "md": as_markdown(report), "html": as_html(report)}
    return {form: drawn[form] for form in FORMATS}


def made(app: App, span: Span | None = None, *, by: str = "schedule") -> WeeklyReport:
    """Make the report of a stretch (the last week), keep it, and put its hashes on the audit chain.

    Raises:
        DependencyError, AuditUnavailable: a source cannot be read, or it could not be put on record.
    """
    report = computed(app, span or last_week(app.clock.now()))
    hashes = shelf_of(app).put(report, texts_of(report))
    entry = AuditEntry(
        kind=RecordKind.NOTE,
        cycle_id=STATUS,
        actor=by,
        status=STATUS,
        body={"report": report.id, "title": report.title, "summary": report.summary, "files": hashes},
    )
    app.audit.append(entry)
    return report


def by_the_clock(app: App) -> str:
    """Make the report of the last week, and say so in one line: the job of the schedule."""
    report = made(app)
    return f"{report.title}: {report.summary}"
