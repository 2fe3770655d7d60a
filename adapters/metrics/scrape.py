"""Metrics without a metrics system: scrapes one page in Prometheus' text format, and answers from what it kept."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from adapters.address import http_address
from adapters.metrics.answers import measurement, points, present
from adapters.metrics.evaluate import LOOKBACK_MS, Series, check_label, metric_of, milliseconds, moment_of, steps
from adapters.metrics.samples import Sample, SampleStore
from domain.clock import Clock
from domain.errors import DependencyError, DependencyLied, DependencyTimeout, DependencyUnavailable
from domain.measurement import Measurement, Point
from domain.signal import SeriesQuery

NAME = "metrics"
_PRUNE_EVERY = 500
_LONGEST = 64 * 1024 * 1024
_ADDRESS = "Check metrics.url: it has to be the address of a page of metrics"


class ScrapedMetrics:
    """`MetricsPort` over the page at `url`, kept in the SQLite file `db_path`.

    A read scrapes first when the last sample is older than `interval`; `start` scrapes in a thread as well, so that
    rates have samples between the reads. Samples are kept for `retention`; `timeout` is for the whole page.

    Raises:
        ConfigurationError: the url is none. DependencyUnavailable: the file cannot be used.
    """

    name = "scrape"

    def __init__(
        self,
        *,
        url: str,
        db_path: Path,
        clock: Clock,
        interval: timedelta = timedelta(seconds=1),
        timeout: timedelta = timedelta(seconds=10),
        retention: timedelta = timedelta(days=7),
    ) -> None:
        self._url = http_address(url, field="metrics.url")
        self._clock = clock
        self._interval = interval
        self._retention = retention
        self._db_path = db_path
        with self._kept():
            self._store = SampleStore(db_path)
        self._timeout = timeout
        self._client = httpx.Client(timeout=timeout.total_seconds(), trust_env=False)
        self._scraping = threading.Lock()
        self._scrapes = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Scrape every `interval` in a thread until `stop`; a failed scrape is tried again at the next turn."""
        if self._thread is not None:
            return
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="evercrew-scrape", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; reads still scrape when they need to."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=30)
            self._thread = None

    def close(self) -> None:
        """Stop, and close the file and the connections."""
        self.stop()
        self._client.close()
        self._store.close()

    def scrape(self) -> int:
        """Fetch the page now, keep its samples, and return how many there were.

        Raises:
            DependencyUnavailable, DependencyTimeout, DependencyLied: the page is not there, is slow, or is not in the
            format; or the file cannot be written.
        """
        with self._scraping:
            at = milliseconds(self._clock.now())
            samples = self._fetch()
            with self._kept():
                self._store.append(at, samples)
                self._scrapes += 1
                if self._scrapes % _PRUNE_EVERY == 1:
                    self._store.forget(at - round(self._retention.total_seconds() * 1000))
            return len(samples)

    def read(self, query: SeriesQuery, at: datetime | None = None) -> Measurement:
        """See `MetricsPort.read`."""
        metric = metric_of(query)
        moment = self._fresh(at)
        start = moment - max(LOOKBACK_MS, round(query.window_s * 1000))
        return measurement(query, self._series(metric, query, start, moment), moment, self.name)

    def range(self, query: SeriesQuery, start: datetime, end: datetime, step: timedelta) -> Sequence[Point]:
        """See `MetricsPort.range`."""
        metric = metric_of(query)
        steps(start, end, step)
        last = self._fresh(end)
        first = milliseconds(start) - max(LOOKBACK_MS, round(query.window_s * 1000))
        return points(query, self._series(metric, query, first, last), start, end, step)

    def labels(self, metric: str, label: str) -> Sequence[str]:
        """See `MetricsPort.labels`."""
        check_label(label)
        now = self._fresh(None)
        with self._kept():
            return present(label, self._store.series(metric, {}, now - LOOKBACK_MS, now), now)

    def check(self) -> str:
        """See `MetricsPort.check`."""
        count = self.scrape()
        if not count:
            raise DependencyLied(NAME, "the page holds no metrics", _ADDRESS)
        return f"{NAME}: {count} samples scraped"

    def _series(self, metric: str, query: SeriesQuery, start: int, end: int) -> list[Series]:
        with self._kept():
            return self._store.series(metric, query.labels, start, end)

    def _fresh(self, at: datetime | None) -> int:
        """Scrape when the answer would else rest on an old sample; return the time to answer for."""
        now = self._clock.now()
        with self._kept():
            last = self._store.last_scrape()
        wanted = now if at is None else min(at, now)
        if last is None or wanted - moment_of(last) > self._interval:
            self.scrape()
            now = self._clock.now()
        return milliseconds(now if at is None else at)

    def _fetch(self) -> list[Sample]:
        page = self._page()
        try:
            families = list(text_string_to_metric_families(page))
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise DependencyLied(NAME, f"the page is not in Prometheus' text format: {error}", _ADDRESS) from error
        return [(s.name, s.labels, float(s.value)) for family in families for s in family.samples]

    def _page(self) -> str:
        slow = f"Look at the service's load: its page has to come within {self._timeout.total_seconds():g} s"
        end, body = self._clock.monotonic() + self._timeout.total_seconds(), b""
        try:
            with self._client.stream("GET", self._url) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    if self._clock.monotonic() > end:
                        raise DependencyTimeout(NAME, "the page of the metrics did not end in time", slow)
                    if len(body) > _LONGEST:
                        raise DependencyLied(NAME, f"the page is longer than {_LONGEST} bytes", _ADDRESS)
        except httpx.TimeoutException as error:
            raise DependencyTimeout(NAME, "the page of the metrics did not come in time", slow) from error
        except httpx.HTTPError as error:
            problem = f"the page of the metrics: {type(error).__name__}: {error}"
            raise DependencyUnavailable(NAME, problem, "Start the service, or mend metrics.url") from error
        if response.status_code != 200:
            remedy = "Let this machine read the page" if response.status_code in (401, 403) else _ADDRESS
            raise DependencyUnavailable(NAME, f"the page of the metrics answered {response.status_code}", remedy)
        return body.decode("utf-8", "replace")

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            remedy = "Make the folder of `state` writable and look at its disk; a damaged file may be deleted"
            raise DependencyUnavailable(NAME, f"{self._db_path} cannot be used: {error}", remedy) from error

    def _run(self) -> None:
        while not self._stop.is_set():
            begun = self._clock.monotonic()
            with suppress(DependencyError):  # a read that needs the sample scrapes itself and raises the error
                self.scrape()
            used = self._clock.monotonic() - begun
            self._stop.wait(max(self._interval.total_seconds() - used, 0.01))
