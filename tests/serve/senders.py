"""Senders of alerts in tests: bodies of each kind, proofs, and an application that takes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from cycles.bodies import Form
from domain.clock import FrozenClock
from service.api.app import create_app
from service.api.serving import Serving
from service.webhooks.proof import signature
from service.webhooks.receiver import Receiver
from tests.support.serving import serving_of

TOKEN, SECRET = "a-token-for-senders", "a-secret-for-signers"
OLD_TOKEN, OLD_SECRET = "the-token-before", "the-secret-before"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
PATHS = {form: f"/webhooks/{form.value}" for form in Form}


def alert(name: str = "f1", *, status: str = "firing", start: datetime = NOON, **labels: str) -> dict[str, Any]:
    """One alert as Alertmanager and Grafana send it."""
    given = {"alertname": "SlowSearch", "signal": "latency_p95_ms", **labels}
    ended = (start + timedelta(seconds=60)).isoformat() if status == "resolved" else "0001-01-01T00:00:00Z"
    return {
        "status": status,
        "labels": {label: value for label, value in given.items() if value},
        "annotations": {"summary": "searches take too long"},
        "startsAt": start.isoformat(),
        "endsAt": ended,
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": name,
    }


def body(*alerts: dict[str, Any], version: str = "4", truncated: int = 0) -> bytes:
    """A body of Alertmanager (4) or Grafana (1)."""
    made = {
        "version": version,
        "groupKey": "{}:{}",
        "truncatedAlerts": truncated,
        "status": "firing",
        "receiver": "evercrew",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "alerts": list(alerts),
    }
    return json.dumps(made).encode()


def generic(*names: str, **more: Any) -> bytes:
    """A body of any other sender."""
    made = [
        {"name": "SlowSearch", "signal": "latency_p95_ms", "fingerprint": n, "starts_at": NOON.isoformat()}
        for n in names
    ]
    return json.dumps({"alerts": [{**one, **more} for one in made]}).encode()


def bearer(token: str = TOKEN) -> dict[str, str]:
    """The header of a bearer."""
    return {"Authorization": f"Bearer {token}"}


def signed(raw: bytes, at: datetime, secret: str = SECRET) -> dict[str, str]:
    """The headers of a signature."""
    timestamp = str(int(at.timestamp()))
    return {"X-Evercrew-Timestamp": timestamp, "X-Evercrew-Signature": signature(secret, timestamp, raw)}


def served(folder: Path, **serve: Any) -> Serving:
    """An application with an empty record, at noon."""
    return serving_of(folder, clock=FrozenClock(NOON), told=False, serve=serve)


def app_of(serving: Serving, **settings: str) -> FastAPI:
    """The application, with the secrets of its senders."""
    app = create_app(serving)
    built = serving.app
    secrets = {
        "webhook_token": TOKEN,
        "webhook_token_previous": OLD_TOKEN,
        "webhook_secret": SECRET,
        "webhook_secret_previous": OLD_SECRET,
        **settings,
    }
    app.state.webhooks.close()
    app.state.webhooks = Receiver(
        built.inbox,
        built.audit,
        built.routing,
        built.clock,
        built.config.serve.webhooks,
        settings=built.settings.model_copy(update=secrets),
    )
    return app


def client_of(serving: Serving, **settings: str) -> TestClient:
    """A client without any proof."""
    return TestClient(app_of(serving, **settings), raise_server_exceptions=False)
