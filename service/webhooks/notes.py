"""What has to stand in the audit chain about senders: that alerts are missing, or that a clock is wrong.

A sender that leaves alerts out does so in every body: what is noted is summed up, and written once in a while.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from adapters.audit.base import AuditPort
from cycles.bodies import Form
from domain.clock import Clock
from domain.errors import AuditUnavailable
from domain.receipt import AuditEntry, RecordKind

EVERY = timedelta(minutes=10)
_LOG = logging.getLogger(__name__)
_SAID = {
    "alerts_truncated": "%s left %.0f alerts out of its bodies: raise max_alerts of its receiver",
    "clock_skew": "the clock of %s is %.0f s ahead of ours",
}


class Notes:
    """Writes them, each at most once in `every` for a kind of sender."""

    def __init__(self, audit: AuditPort, clock: Clock, every: timedelta = EVERY) -> None:
        self._audit = audit
        self._clock = clock
        self._every = every.total_seconds()
        self._lock = threading.Lock()
        self._next: dict[tuple[str, Form], float] = {}
        self._since: dict[tuple[str, Form], tuple[int, float, float]] = {}

    def due(self, status: str, form: Form, amount: float) -> bool:
        """Take note, and return whether it is time to write."""
        key = (status, form)
        with self._lock:
            bodies, total, most = self._since.get(key, (0, 0.0, 0.0))
            self._since[key] = (bodies + 1, total + amount, max(most, amount))
            now = self._clock.monotonic()
            if now < self._next.get(key, float("-inf")):
                return False
            self._next[key] = now + self._every
            return True

    def write(self, status: str, form: Form) -> None:
        """Put what was noted since the last time on record; that it cannot be is told, and loses no alert."""
        with self._lock:
            bodies, total, most = self._since.pop((status, form), (0, 0.0, 0.0))
        amount = total if status == "alerts_truncated" else most
        _LOG.warning(_SAID[status], form.value, amount)
        body = {"sender": form.value, "bodies": bodies, "amount": round(amount, 3)}
        entry = AuditEntry(kind=RecordKind.NOTE, cycle_id="", actor="webhooks", status=status, body=body)
        try:
            self._audit.append(entry)
        except AuditUnavailable as problem:
            _LOG.error("%s could not be put on record: %s", status, problem)
