"""A platform in memory, for tests and embedding."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.logs.base import LogLine
from adapters.platform.base import (
    EFFECT_QUARANTINE,
    PLAUSIBLE_OVERLAP,
    RULES,
    JudgementRow,
    PlatformDocument,
)
from domain.candidate import LiveState
from domain.errors import ConflictError, InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class _Span:
    since: datetime
    until: datetime | None
    rule: str


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
            and not any(self._drops(span, row) for span in self._spans.values())
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
        if rule not in RULES:
            raise InvalidInput("rule", f"{rule!r} is not a rule", f"Use one of: {', '.join(RULES)}")
        if until is not None and until <= since:
            raise InvalidInput("until", f"{until.isoformat()} is not after since", "Give a later time")
        asked = _Span(since, until, rule)
        with self._lock:
            span = self._spans.setdefault(key, asked)
        if span != asked:
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
            next((k for k, span in self._spans.items() if self._drops(span, row)), None) for row in self.all_judgements
        ]
        return owners.count(key)

    def _drops(self, span: _Span, row: JudgementRow) -> bool:
        if row.ts < span.since or (span.until is not None and row.ts >= span.until):
            return False
        if row.doc_id in row.clicked or row.doc_id in row.shown:
            return False
        return span.rule != "implausible" or self._overlap(row) < PLAUSIBLE_OVERLAP

    def _overlap(self, row: JudgementRow) -> float:
        asked = _words(row.query)
        texts = [f"{d.title} {d.text}" for d in self.all_documents if d.id == row.doc_id]
        held = set(_words(texts[0])) if texts else set()
        return sum(word in held for word in asked) / len(asked) if asked else 0.0


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _positive(limit: int) -> int:
    if limit < 1:
        raise InvalidInput("limit", f"{limit} is not a number of rows", "Ask for at least 1")
    return limit
