"""What a person waits for: pages of the console, and the time from an alert to what a listener is told of it."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from datetime import timedelta

import httpx

from domain.clock import SystemClock
from evals.serve_load import median_ms
from evals.serve_site import TOKEN, Served

PAGES = ("/", "/cycles", "/approvals", "/audit", "/policies", "/flags", "/kill", "/reports", "/chat")
_TURNS = 10
_PATIENCE = timedelta(seconds=20)
_PASSWORD = re.compile(r"its password is (\S+)")


@dataclass(frozen=True)
class Pages:
    """Medians by page, in ms, and ms from an alert to the first event; None where none came. `missing` answered not."""

    times_ms: dict[str, float] = field(default_factory=dict)
    first_event_ms: float | None = None
    missing: list[str] = field(default_factory=list)


def pages(served: Served) -> Pages:
    """Sign in as the first account, look at every page, and listen while an alert comes in."""
    token = _token(served)
    if token is None:
        return Pages(missing=list(PAGES))
    times: dict[str, float] = {}
    missing: list[str] = []
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/html"}
    with httpx.Client(base_url=served.url, headers=headers, timeout=20) as client:
        cycle = _newest(client)
        for page in (*PAGES, *([f"/cycles/{cycle}"] if cycle else [])):
            found = _timed(client, page)
            name = "/cycles/ID" if page not in PAGES else page
            if found is None:
                missing.append(name)
            else:
                times[name] = found
    return Pages(times, _first_event(served, token), missing)


def _token(served: Served) -> str | None:
    shown = _PASSWORD.search(served.out)
    if shown is None:
        return None
    form = {"grant_type": "password", "username": "admin", "password": shown.group(1)}
    answer = httpx.post(f"{served.url}/api/v1/auth/token", data=form, timeout=20)
    return str(answer.json()["access_token"]) if answer.is_success else None


def _newest(client: httpx.Client) -> str:
    answer = client.get("/api/v1/cycles?limit=1", headers={"Accept": "application/json"})
    items = answer.json().get("items", []) if answer.is_success else []
    return str(items[0]["id"]) if items else ""


def _timed(client: httpx.Client, page: str) -> float | None:
    clock, waits = SystemClock(), list[float]()
    for _ in range(_TURNS + 1):
        began = clock.monotonic()
        if client.get(page).status_code != httpx.codes.OK:
            return None
        waits.append(clock.monotonic() - began)
    return median_ms(waits[1:])


def _first_event(served: Served, token: str) -> float | None:
    """Listen, send an alert that nobody knows, and return ms until an event of its cycle comes."""
    clock, ready, told = SystemClock(), threading.Event(), threading.Event()
    at: list[float] = []

    def listen() -> None:
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        with httpx.stream("GET", f"{served.url}/api/v1/events", headers=headers, timeout=30) as stream:
            for line in stream.iter_lines():
                if line.startswith("event: hello"):
                    ready.set()
                elif line.startswith("data: ") and ready.is_set() and '"cycle_id":"si_' in line.replace(" ", ""):
                    at.append(clock.monotonic())
                    told.set()
                    return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    if not ready.wait(_PATIENCE.total_seconds()):
        return None
    began = clock.monotonic()
    alert = {"name": "SlowSearch", "signal": "latency_p95_ms", "starts_at": clock.now().isoformat()}
    body = json.dumps({"alerts": [{**alert, "fingerprint": f"first-{began}"}]})
    httpx.post(f"{served.url}/webhooks/generic", content=body, headers={"Authorization": f"Bearer {TOKEN}"})
    return 1000 * (at[0] - began) if told.wait(_PATIENCE.total_seconds()) else None
