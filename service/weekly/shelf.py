"""Where weekly reports are kept: a folder each, below ``state/reports/weekly``. The chain has a hash of each file."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from domain.errors import IntegrityError, InvalidInput
from service.weekly.report import WeeklyReport

FORMATS: Mapping[str, str] = {"json": "report.json", "md": "report.md", "html": "report.html"}
_ID = re.compile(r"\d{4}-W\d{2}|\d{4}-\d{2}-\d{2}_\d{4}-\d{2}-\d{2}")


class Kept(BaseModel):
    """A report that is kept."""

    model_config = ConfigDict(frozen=True)

    id: str
    title: str
    summary: str
    start: datetime
    end: datetime
    made_at: datetime


class Shelf:
    """Keeps reports below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, report: WeeklyReport, texts: Mapping[str, str]) -> dict[str, str]:
        """Keep a report in its formats, each file whole or not at all, and return the SHA-256 of each by its name."""
        folder = self.root / report.id
        folder.mkdir(parents=True, exist_ok=True)
        hashes = {}
        for form, name in FORMATS.items():
            text = texts[form]
            with tempfile.NamedTemporaryFile("w", dir=folder, prefix=".", delete=False, encoding="utf-8") as scratch:
                scratch.write(text)
            Path(scratch.name).replace(folder / name)
            hashes[name] = hashlib.sha256(text.encode()).hexdigest()
        return hashes

    def list(self) -> Sequence[Kept]:
        """Return the reports that are kept, the newest stretch first; a folder that is none is left out."""
        found = []
        for folder in self.root.iterdir() if self.root.is_dir() else ():
            if _ID.fullmatch(folder.name) and (folder / FORMATS["json"]).is_file():
                report = self.report(folder.name)
                found.append(
                    Kept(
                        id=report.id,
                        title=report.title,
                        summary=report.summary,
                        start=report.span.start,
                        end=report.span.end,
                        made_at=report.made_at,
                    )
                )
        return sorted(found, key=lambda kept: (kept.start, kept.id), reverse=True)

    def report(self, identity: str) -> WeeklyReport:
        """Return a report as data.

        Raises:
            InvalidInput: there is none of this name. IntegrityError: it cannot be read any more.
        """
        try:
            return WeeklyReport.model_validate_json(self.read(identity, "json"))
        except ValidationError as problem:
            said = problem.errors()[0]["msg"]
            raise IntegrityError(f"the weekly report {identity} cannot be read any more: {said}") from problem

    def read(self, identity: str, form: str) -> str:
        """Return the text of a report: json, md or html.

        Raises:
            InvalidInput: there is none of this name or format.
        """
        if form not in FORMATS:
            raise InvalidInput("format", f"{form!r} is none", f"Use one of: {', '.join(FORMATS)}")
        # Never a path of somebody else's making.
        file = self.root / identity / FORMATS[form] if _ID.fullmatch(identity) else None
        if file is None or not file.is_file():
            raise InvalidInput("report", f"there is no report {identity[:60]!r}", "See `evercrew report list`")
        return file.read_text(encoding="utf-8")
