"""A platform in memory, for tests and embedding."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime

from adapters.platform.base import EFFECT_QUARANTINE, JudgementRow, LogLine, PlatformDocument
from domain.candidate import LiveState
from domain.errors import ConflictError, InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

_RULES = ("click_disagreement", "implausible")
_Span = tuple[datetime, datetime | None]


class MemoryPlatform:
    """`PlatformPort` over lists, which may be appended to; `state` is what it says is live."""

    def __init__(
        self,
        *,
        permits: PermitVerifier,
        state: LiveState,
        documents: Sequence[PlatformDocument] = (),
        judgements: Sequence[JudgementRow] = (),
        logs: Sequence[LogLine] = (),
    ) -> None:
        self._permits = permits
        self._lock = threading.Lock()
        self._spans: dict[str, _Span] = {}
        self.state = state
        self.all_documents = list(documents)
        self.all_judgements = list(judgements)
        self.all_logs = list(logs)

    def live(self) -> LiveState:
        """See `PlatformPort.live`."""
        return self.state

    def documents(self, since_seq: int = 0) -> Sequence[PlatformDocument]:
        """See `PlatformPort.documents`."""
        return sorted((row for row in self.all_documents if row.seq > since_seq), key=lambda row: row.seq)

    def judgements(
        self, since: datetime | None = None, until: datetime | None = None, limit: int = 20_000
    ) -> Sequence[JudgementRow]:
        """See `PlatformPort.judgements`."""
        rows = [
            row
            for row in sorted(self.all_judgements, key=lambda row: row.ts)
            if (since is None or row.ts >= since)
            and (until is None or row.ts < until)
            and not any(_drops(span, row) for span in self._spans.values())
        ]
        return rows[-_positive(limit) :]

    def logs(
        self, since: datetime | None = None, contains: str = "", level: str = "", limit: int = 200
    ) -> Sequence[LogLine]:
        """See `PlatformPort.logs`."""
        rows = [
            line
            for line in sorted(self.all_logs, key=lambda line: line.ts)
            if (since is None or line.ts >= since)
            and contains.lower() in f"{line.level} {line.event} {line.fields}".lower()
            and level in ("", line.level)
        ]
        return rows[-_positive(limit) :]

    def quarantine(self, *, since: datetime, until: datetime | None, rule: str, key: str, permit: Permit | None) -> int:
        """See `PlatformPort.quarantine`."""
        self._permits.spend(permit, effect=EFFECT_QUARANTINE, key=key)
        if rule not in _RULES:
            raise InvalidInput("rule", f"{rule!r} is not a rule", f"Use one of: {', '.join(_RULES)}")
        if until is not None and until <= since:
            raise InvalidInput("until", f"{until.isoformat()} is not after since", "Give a later time")
        with self._lock:
            span = self._spans.setdefault(key, (since, until))
        if span != (since, until):
            raise ConflictError(f"the key {key!r} stands for another quarantine")
        return self._held(key)

    def observe(self, key: str) -> Observation:
        """See `PlatformPort.observe`."""
        if key not in self._spans:
            return Observation.absent("the platform has no quarantine with the key")
        return Observation.done({"quarantined": self._held(key)})

    def check(self) -> str:
        """See `PlatformPort.check`."""
        return f"memory: serves {self.state.digest[:19]}"

    def _held(self, key: str) -> int:
        """A row belongs to the oldest quarantine that drops it."""
        owners = [
            next((k for k, span in self._spans.items() if _drops(span, row)), None) for row in self.all_judgements
        ]
        return owners.count(key)


def _drops(span: _Span, row: JudgementRow) -> bool:
    since, until = span
    inside = row.ts >= since and (until is None or row.ts < until)
    return inside and row.doc_id not in row.clicked and row.doc_id not in row.shown


def _positive(limit: int) -> int:
    if limit < 1:
        raise InvalidInput("limit", f"{limit} is not a number of rows", "Ask for at least 1")
    return limit
