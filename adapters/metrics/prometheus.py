"""Metrics from a Prometheus server, by prometheus-api-client over a session of our own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from adapters.meter import metered
from adapters.metrics.evaluate import LOOKBACK_MS, check_label, milliseconds, steps
from adapters.metrics.promql import render
from adapters.metrics.session import session_of
from adapters.rest import Endpoint, Refused
from domain.clock import Clock
from domain.errors import (
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    EvercrewError,
    InvalidInput,
)
from domain.measurement import Measurement, Point
from domain.signal import SeriesQuery, Stat

NAME = "prometheus"
FIELD = "metrics"
LOOKBACK = timedelta(milliseconds=LOOKBACK_MS)
# The server refuses a range of more than 11,000 points a series.
CHUNK = 10_000
MOST_POINTS = 500_000
MOST_QUERIES = 200
# The server steps in whole milliseconds: how far, in steps, a point may stand from where it was asked for.
_DRIFT = 0.01
ANOTHER_PRODUCT = f"Another product answers at {FIELD}.url: give the address of a Prometheus server, without /graph"


class PrometheusMetrics:
    """`MetricsPort` on the HTTP API below `endpoint.url`.

    A sample older than `lookback` counts as missing (the server's own limit is five minutes), and so does an answer
    whose time is further than that from the moment that was asked for: a clock is wrong, or a cache is old.
    """

    name = NAME

    def __init__(self, *, endpoint: Endpoint, clock: Clock, lookback: timedelta = LOOKBACK) -> None:
        from prometheus_api_client import PrometheusConnect

        if not timedelta() < lookback <= LOOKBACK:
            raise InvalidInput(f"{FIELD}.lookback", f"{lookback} is out of range", f"Give at most {LOOKBACK}")
        self._clock = clock
        self._lookback = lookback
        self._seconds = endpoint.timeout.total_seconds()
        self._session = session_of(endpoint, FIELD)
        url = endpoint.url.rstrip("/")
        ours = self._session.get_adapter(url)
        self._connect: Any = PrometheusConnect(url=url, session=self._session, timeout=self._seconds)
        self._session.mount(url, ours)  # the library has put its own in this place
        self._session.hooks["response"].append(_judge)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def read(self, query: SeriesQuery, at: datetime | None = None) -> Measurement:
        """See `MetricsPort.read`."""
        params = {"time": f"{at.timestamp():.3f}"} if at is not None else {}
        expression = render(query, freshness=self._freshness())
        result = self._ask(lambda: self._connect.custom_query(query=expression, params=self._limited(params)))
        if not result:
            return Measurement.missing(query.unit, self.name, at)
        moment, value = _sample(_only(result).get("value"))
        if value is None or abs(moment - (at or self._clock.now())) > self._lookback:
            return Measurement.missing(query.unit, self.name, moment)
        window = None if query.stat is Stat.LAST else timedelta(seconds=query.window_s)
        return Measurement(value=value * query.scale, unit=query.unit, n=1, window=window, source=self.name, at=moment)

    def range(self, query: SeriesQuery, start: datetime, end: datetime, step: timedelta) -> Sequence[Point]:
        """See `MetricsPort.range`; what the server would refuse at once is asked for piece by piece.

        Raises:
            InvalidInput: also for more than 500,000 points, or when so fine a step would take too many questions.
        """
        moments = steps(start, end, step, MOST_POINTS)
        expression = render(query, freshness=self._freshness())
        size = _chunk(len(moments), step)
        points: list[Point] = []
        for begin in range(0, len(moments), size):
            piece = moments[begin : begin + size]
            values = self._piece(expression, piece, step)
            points += [
                Point(at=moment, value=None if value is None else value * query.scale)
                for moment, value in zip(piece, values, strict=True)
            ]
        return points

    def labels(self, metric: str, label: str) -> Sequence[str]:
        """See `MetricsPort.labels`."""
        expression = f"group by ({check_label(label)}) ({SeriesQuery(metric=metric).metric})"
        result = self._ask(lambda: self._connect.custom_query(query=expression, params=self._limited({})))
        return sorted({str(row["metric"][label]) for row in result if row.get("metric", {}).get(label)})

    def check(self) -> str:
        """See `MetricsPort.check`."""
        result = self._ask(lambda: self._connect.custom_query(query="sum(up)", params=self._limited({})))
        moment, targets = _sample(_only(result).get("value")) if result else (self._clock.now(), None)
        if not targets:
            raise DependencyUnavailable(
                NAME,
                "it answers, and no target of it is up",
                "Look at its /targets page: it has to scrape the platform",
            )
        apart = abs(moment - self._clock.now())
        if apart > self._lookback:
            raise DependencyLied(
                NAME, f"its clock is {apart.total_seconds():.0f} s from ours", "Set both clocks by the same time server"
            )
        return f"{NAME}: answers, {targets:.0f} targets are up"

    def _piece(self, expression: str, moments: Sequence[datetime], step: timedelta) -> list[float | None]:
        """The values at moments one step apart, at most as many as the server answers at once."""
        begin, length = milliseconds(moments[0]), max(round(step / timedelta(milliseconds=1)), 1)
        wanted = [begin + number * length for number in range(len(moments))]
        # The library rounds start and end to whole seconds; these take precedence.
        params = {"start": f"{wanted[0] / 1000:.3f}", "end": f"{wanted[-1] / 1000:.3f}"}
        result = self._ask(
            lambda: self._connect.custom_query_range(
                query=expression,
                start_time=moments[0],
                end_time=moments[-1],
                step=f"{length / 1000:.3f}",
                params=self._limited(params),
            )
        )
        known: dict[int, float | None] = {}
        for pair in _only(result).get("values", ()) if result else ():
            moment, value = _sample(pair)
            if known.setdefault(milliseconds(moment), value) != value:
                raise DependencyLied(NAME, f"two values came for {moment.isoformat()}")
        return [known.get(moment) for moment in wanted]

    def _freshness(self) -> timedelta | None:
        return self._lookback if self._lookback < LOOKBACK else None

    def _limited(self, params: dict[str, str]) -> dict[str, str]:
        """Let the server give up when we do."""
        return {**params, "timeout": f"{max(round(self._seconds * 1000), 1)}ms"}

    def _ask(self, ask: Callable[[], Any]) -> list[dict[str, Any]]:
        with metered(NAME):
            try:
                result = ask()
            except requests.exceptions.RequestException as error:
                raise _named(error) from error
            except (KeyError, TypeError) as error:
                raise DependencyLied(NAME, "the answer has no data.result", ANOTHER_PRODUCT) from error
            if not isinstance(result, list) or not all(isinstance(row, dict) for row in result):
                raise DependencyLied(NAME, "data.result is not a list of series", ANOTHER_PRODUCT)
            return result


def _chunk(count: int, step: timedelta) -> int:
    """Return how many points to ask for at once.

    Raises:
        InvalidInput: the step is so far from whole milliseconds that the points would need too many questions.
    """
    exact = step / timedelta(milliseconds=1)
    astray = abs(exact - round(exact))
    size = CHUNK if not astray else min(max(int(_DRIFT * exact / astray), 1), CHUNK)
    if count > size * MOST_QUERIES:
        raise InvalidInput("step", f"{step} is finer than the server's milliseconds", "Take whole milliseconds")
    return size


def _named(error: requests.exceptions.RequestException) -> EvercrewError:
    """Return what a failed exchange is, in our words; the cause is chained by the caller."""
    said = f"{type(error).__name__}: {error}"[:300]
    match error:
        case requests.exceptions.JSONDecodeError():
            return DependencyLied(NAME, "the answer is not JSON", ANOTHER_PRODUCT)
        case requests.exceptions.SSLError():
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                return DependencyUnavailable(NAME, said, f"Name the certificate authority in {FIELD}.ca")
            remedy = f"Check {FIELD}.cert and {FIELD}.key: it may ask for a certificate of the client"
            return DependencyUnavailable(NAME, said, remedy)
        case requests.exceptions.Timeout():
            remedy = f"Look at its load, or raise {FIELD}.timeout_s"
            return DependencyTimeout(NAME, "it did not answer in time", remedy)
        case requests.exceptions.TooManyRedirects():
            return DependencyLied(NAME, "it redirects without end", ANOTHER_PRODUCT)
        case _:
            remedy = f"Check that it runs, {FIELD}.url, and {FIELD}.cert where it asks for one"
            return DependencyUnavailable(NAME, said, remedy)


def _judge(response: requests.Response, *_args: Any, **_kwargs: Any) -> None:
    """Turn a refusal or half an answer into an error of ours; the library folds all of them into one text, or none."""
    status = response.status_code
    if response.is_redirect:
        return
    if status in (401, 403):
        said = "it does not know who asks" if status == 401 else "it knows who asks, and says no"
        remedy = (
            f"Check EVERCREW_METRICS_TOKEN, or {FIELD}.username and EVERCREW_METRICS_PASSWORD"
            if status == 401
            else f"Give the account of {FIELD} the right to query"
        )
        raise Refused(NAME, f"{status}: {said}", remedy)
    body = _body(response)
    if status == 200:
        _whole(body)
        return
    kind = str(body.get("errorType", ""))
    message = (str(body.get("error", "")) or " ".join(response.text.split()))[:300]
    if status == 400 and kind == "bad_data":
        raise InvalidInput("query", message, "Mend the signal's query in the contract")
    if kind in ("timeout", "canceled"):
        raise DependencyTimeout(NAME, f"the query took too long: {message}", "Shorten the window, or look at its load")
    if status in (400, 422):
        raise DependencyLied(NAME, f"{kind or status}: {message}", ANOTHER_PRODUCT)
    if status == 404 or not body:
        remedy = ANOTHER_PRODUCT if status < 500 else "Look at its own log, and at the proxy before it"
        raise DependencyUnavailable(NAME, f"it answered {status}: {message}", remedy)
    raise DependencyUnavailable(NAME, f"it answered {status}: {message}", "Look at its own log")


def _whole(body: dict[str, Any]) -> None:
    """Refuse an answer that says of itself that something is missing, as a fan-out over several stores does."""
    if body.get("status", "success") != "success":
        raise DependencyLied(NAME, f"it answered 200 and {str(body['status'])[:40]!r}", ANOTHER_PRODUCT)
    warnings = body.get("warnings") or []
    said = [str(w) for w in warnings if not str(w).startswith("PromQL info")] if isinstance(warnings, list) else ["?"]
    if said or body.get("isPartial") is True:
        what = "; ".join(said)[:300] or "partial"
        raise DependencyLied(NAME, f"half an answer: {what}", "Look at the stores behind it: one of them is not there")


def _body(response: requests.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _only(result: list[dict[str, Any]]) -> dict[str, Any]:
    if len(result) != 1:
        raise DependencyLied(NAME, f"{len(result)} series came where the query makes one")
    return result[0]


def _sample(pair: Any) -> tuple[datetime, float | None]:
    try:
        at, text = pair
        value = float(text)
        moment = datetime.fromtimestamp(float(at), UTC)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise DependencyLied(NAME, f"{pair!r} is not a sample"[:300]) from error
    return moment, value if math.isfinite(value) else None
