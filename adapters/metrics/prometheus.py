"""Metrics from a Prometheus server, by prometheus-api-client over a session of our own with timeout and retries."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from urllib3.util.retry import Retry

from adapters.metrics.evaluate import check_label, steps
from adapters.metrics.promql import render
from domain.errors import DependencyLied, DependencyTimeout, DependencyUnavailable, InvalidInput
from domain.measurement import Measurement, Point
from domain.signal import SeriesQuery, Stat

NAME = "prometheus"


class PrometheusMetrics:
    """`MetricsPort` on the HTTP API below `url`; `timeout` is for one attempt, a failed connection is tried again."""

    name = NAME

    def __init__(self, *, url: str, timeout: timedelta = timedelta(seconds=10), retries: int = 2) -> None:
        from prometheus_api_client import PrometheusConnect

        retry = Retry(
            total=retries,
            connect=retries,
            read=False,
            status=retries,
            status_forcelist=(429, 502, 503, 504),
            backoff_factor=0.1,
            raise_on_status=False,
        )
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.hooks["response"].append(_judge)
        self._connect: Any = PrometheusConnect(
            url=url.rstrip("/"), session=self._session, retry=retry, timeout=timeout.total_seconds()
        )

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def read(self, query: SeriesQuery, at: datetime | None = None) -> Measurement:
        """See `MetricsPort.read`."""
        expression = render(query)
        params = {"time": f"{at.timestamp():.3f}"} if at is not None else None
        result = self._ask(lambda: self._connect.custom_query(query=expression, params=params))
        if not result:
            return Measurement.missing(query.unit, self.name, at)
        moment, value = _sample(_only(result).get("value"))
        if value is None:
            return Measurement.missing(query.unit, self.name, moment)
        window = None if query.stat is Stat.LAST else timedelta(seconds=query.window_s)
        return Measurement(value=value * query.scale, unit=query.unit, n=1, window=window, source=self.name, at=moment)

    def range(self, query: SeriesQuery, start: datetime, end: datetime, step: timedelta) -> Sequence[Point]:
        """See `MetricsPort.range`."""
        moments = steps(start, end, step)
        expression = render(query)
        # The library rounds start and end to whole seconds; these take precedence.
        exact = {"start": f"{start.timestamp():.3f}", "end": f"{end.timestamp():.3f}"}
        length = f"{step.total_seconds():.3f}"
        result = self._ask(
            lambda: self._connect.custom_query_range(
                query=expression, start_time=start, end_time=end, step=length, params=exact
            )
        )
        pairs = [_sample(pair) for pair in _only(result).get("values", ())] if result else []
        known = {round(moment.timestamp() * 1000): value for moment, value in pairs}
        found = [known.get(round(moment.timestamp() * 1000)) for moment in moments]
        return [
            Point(at=moment, value=None if value is None else value * query.scale)
            for moment, value in zip(moments, found, strict=True)
        ]

    def labels(self, metric: str, label: str) -> Sequence[str]:
        """See `MetricsPort.labels`."""
        expression = f"group by ({check_label(label)}) ({SeriesQuery(metric=metric).metric})"
        result = self._ask(lambda: self._connect.custom_query(query=expression))
        return sorted({str(row["metric"][label]) for row in result if row.get("metric", {}).get(label)})

    def check(self) -> str:
        """See `MetricsPort.check`."""
        result = self._ask(lambda: self._connect.custom_query(query="sum(up)"))
        targets = _sample(_only(result).get("value"))[1] if result else None
        if not targets:
            raise DependencyUnavailable(NAME, "it answers, and no target of it is up", "Look at its /targets page")
        return f"{NAME}: answers, {targets:.0f} targets are up"

    def _ask(self, ask: Callable[[], Any]) -> list[dict[str, Any]]:
        from prometheus_api_client.exceptions import PrometheusApiClientException

        try:
            result = ask()
        except requests.exceptions.JSONDecodeError as error:
            raise DependencyLied(
                NAME, "the answer is not JSON", "Check that the address is a Prometheus server"
            ) from error
        except requests.exceptions.Timeout as error:
            raise DependencyTimeout(NAME, "it did not answer in time") from error
        except requests.exceptions.RequestException as error:
            raise DependencyUnavailable(NAME, f"{type(error).__name__}: {error}"[:300]) from error
        except PrometheusApiClientException as error:
            raise DependencyUnavailable(NAME, f"{error}"[:300]) from error
        except (KeyError, TypeError) as error:
            raise DependencyLied(NAME, "the answer has no data.result") from error
        if not isinstance(result, list) or not all(isinstance(row, dict) for row in result):
            raise DependencyLied(NAME, "data.result is not a list of series")
        return result


def _judge(response: requests.Response, *_args: Any, **_kwargs: Any) -> None:
    """Turn a refused query into an error of ours; the library would fold it into one text with all others."""
    if response.status_code not in (400, 422):
        return
    try:
        body = response.json()
        kind, message = str(body["errorType"]), str(body["error"])
    except (ValueError, KeyError, TypeError) as error:
        raise DependencyLied(NAME, f"it answered {response.status_code} without a reason") from error
    if kind == "bad_data":
        raise InvalidInput("query", message[:300], "Mend the signal's query in the contract")
    raise DependencyLied(NAME, f"{kind}: {message[:300]}")


def _only(result: list[dict[str, Any]]) -> dict[str, Any]:
    if len(result) != 1:
        raise DependencyLied(NAME, f"{len(result)} series came where the query makes one")
    return result[0]


def _sample(pair: Any) -> tuple[datetime, float | None]:
    try:
        at, text = pair
        value = float(text)
        moment = datetime.fromtimestamp(float(at), UTC)
    except (TypeError, ValueError) as error:
        raise DependencyLied(NAME, f"{pair!r} is not a sample") from error
    return moment, value if math.isfinite(value) else None
