"""What the tests of Prometheus ask it with."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.metrics.prometheus import PrometheusMetrics
from adapters.rest import Endpoint
from domain.clock import FrozenClock
from domain.signal import SeriesQuery
from tests.contract.metrics_contract import SECOND
from tests.stubs.small_server import Asked, Said, SmallServer

NOW = datetime(2026, 1, 1, tzinfo=UTC)
START = NOW + timedelta(hours=12)
ONE = SeriesQuery(metric="gauge_one")

works = pytest.mark.integration("prometheus", "works")
refused = pytest.mark.integration("prometheus", "refused")
slow = pytest.mark.integration("prometheus", "slow")
lying = pytest.mark.integration("prometheus", "lying")
misconfigured = pytest.mark.integration("prometheus", "misconfigured")


def opened(endpoint: Endpoint, at: datetime = START + 120 * SECOND, **more: Any) -> PrometheusMetrics:
    return PrometheusMetrics(endpoint=endpoint, clock=FrozenClock(at), **more)


def stubbed(stub: SmallServer, **endpoint: Any) -> PrometheusMetrics:
    return opened(Endpoint(url=stub.url, **{"attempts": 1, **endpoint}), NOW)


def success(result: list[Any], **more: Any) -> Said:
    return Said(200, json.dumps({"status": "success", "data": {"result": result}, **more}).encode())


def always(answer: Said) -> Callable[[Asked], Said]:
    return lambda _: answer


def row(value: str = "3", at: float = NOW.timestamp()) -> dict[str, Any]:
    return {"metric": {}, "value": [at, value]}
