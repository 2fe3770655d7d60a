"""The platform port: what the search platform tells of its data, logs and runtime, and what it lets be done.

Contract: texts are as users and authors wrote them: untrusted. Held-out judgements never appear here. Reads are
bounded by `limit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from adapters.logs.base import LogLine
from domain.candidate import LiveState
from domain.observation import Observation
from domain.permit import Permit

EFFECT_QUARANTINE = "platform.quarantine"
RULES = ("click_disagreement", "implausible")
# A judged document that was not even shown is believed when it holds at least this share of the query's words.
PLAUSIBLE_OVERLAP = 0.34


class PlatformDocument(BaseModel):
    """One document; `seq` is its place in the order of arrival."""

    model_config = ConfigDict(frozen=True)

    id: str
    title: str
    text: str
    subject: str = ""
    arrived_at: datetime
    seq: int = 0


class JudgementRow(BaseModel):
    """One judged session: what was asked, shown, clicked, and the document the user ended up with (`grade` from 1)."""

    model_config = ConfigDict(frozen=True)

    request_id: str
    ts: datetime
    user_id: str
    query: str
    doc_id: str
    grade: int
    clicked: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    digest: str = ""
    variant: str = ""
    mode: str = ""
    subject: str = ""


class PlatformPort(Protocol):
    """The platform under care."""

    def live(self) -> LiveState:
        """Return what it serves now."""
        ...

    def documents(self, since_seq: int = 0) -> Sequence[PlatformDocument]:
        """Return documents with `seq` above `since_seq`, in order of arrival."""
        ...

    def judgements(
        self, since: datetime | None = None, until: datetime | None = None, limit: int = 20_000
    ) -> Sequence[JudgementRow]:
        """Return judged sessions in [since, until), the newest `limit` of them, oldest first."""
        ...

    def logs(
        self, since: datetime | None = None, contains: str = "", level: str = "", limit: int = 200
    ) -> Sequence[LogLine]:
        """Return the newest matching log lines, oldest first. `contains` is a plain substring."""
        ...

    def quarantine(self, *, since: datetime, until: datetime | None, rule: str, key: str, permit: Permit | None) -> int:
        """Put judgements of [since, until) that break `rule` into quarantine (until None: future ones too).

        Both rules take judgements whose document was neither clicked nor shown; `implausible` only those whose document
        holds less than `PLAUSIBLE_OVERLAP` of the query's words, for users do end up with what a search failed to show.
        Return how many are in it now.
        """
        ...

    def observe(self, key: str) -> Observation:
        """Return what became of the quarantine with this key; outcome has ``quarantined``."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...
