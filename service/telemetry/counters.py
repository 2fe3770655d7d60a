"""What this process counts while it runs, in a registry of its own; a scraper adds processes up.

What the store and the audit chain know is not counted here but computed from them (`stock`): it is right after a
restart, and the same from every process.
"""

from __future__ import annotations

import logging
import platform
from importlib import metadata

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from domain.events import Event
from domain.stage import Stage

REGISTRY = CollectorRegistry()
WEBHOOKS = Counter(
    "evercrew_webhooks", "Webhook requests, by what they were answered.", ["sender", "answer"], registry=REGISTRY
)
WEBHOOK_SECONDS = Histogram(
    "evercrew_webhook_seconds",
    "Time from the first byte of a webhook to its answer.",
    ["sender"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)
WEBHOOK_ALERTS = Counter(
    "evercrew_webhook_alerts",
    "Alerts in webhook bodies: accepted, ignored (none of ours), malformed (kept aside), truncated (never sent).",
    ["sender", "result"],
    registry=REGISTRY,
)
SKEW = Gauge(
    "evercrew_webhook_ahead_seconds",
    "How far the last start of an alert lay ahead of our clock.",
    ["sender"],
    registry=REGISTRY,
)
STAGE_SECONDS = Histogram(
    "evercrew_stage_seconds",
    "Work on a stage, without the time it waits.",
    ["stage"],
    buckets=(0.05, 0.25, 1, 5, 30, 120, 600, 3600),
    registry=REGISTRY,
)
CALLS = Counter("evercrew_calls", "Calls at the door, by their answer.", ["tool", "answer"], registry=REGISTRY)
HELD = Counter(
    "evercrew_steps_held", "Steps of cycles that could not be recorded, and are taken again.", registry=REGISTRY
)
NOTES = Counter("evercrew_log_lines", "Log lines of level warning and above.", ["level"], registry=REGISTRY)
WORKER_TURNS = Counter("evercrew_inbox_turns", "Turns of the inbox that this process took.", registry=REGISTRY)
BUILD = Gauge("evercrew_build_info", "1, with the versions that run.", ["version", "python"], registry=REGISTRY)
BUILD.labels(metadata.version("evercrew"), platform.python_version()).set(1)

_STAGES = frozenset(stage.value for stage in Stage)
_ANSWERS = ("done", "refused", "failed")


def counted(event: Event) -> None:
    """Count what happened; an `Observer`."""
    if event.kind == "stage" and event.what in ("end", "wait") and event.stage in _STAGES:
        STAGE_SECONDS.labels(event.stage).observe(float(event.details.get("seconds", 0.0)))
    elif event.kind == "call":
        # The names of tools are those of the registry: a call of another one is refused as unknown.
        known = event.answer != "refused (unknown_tool)"
        answer = next((word for word in _ANSWERS if event.answer.startswith(word)), "other")
        CALLS.labels(event.what if known else "unknown", answer).inc()
    elif event.kind == "note" and event.what.startswith("held: "):
        HELD.inc()


class CountingHandler(logging.Handler):
    """Counts log lines that somebody should look at."""

    def emit(self, record: logging.LogRecord) -> None:
        """Count a line."""
        if record.levelno >= logging.WARNING:
            NOTES.labels("error" if record.levelno >= logging.ERROR else "warning").inc()
