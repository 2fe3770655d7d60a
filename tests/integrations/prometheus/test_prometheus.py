"""Prometheus: its contract over mutual TLS with a password, long ranges, and every way it can be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.metrics.base import MetricsPort
from adapters.metrics.prometheus import CHUNK, PrometheusMetrics
from adapters.rest import Endpoint
from domain.clock import SystemClock
from domain.errors import (
    ConfigurationError,
    DependencyError,
    DependencyUnavailable,
    InvalidInput,
)
from domain.signal import SeriesQuery, Stat
from learning.seasonal import SeasonalBaseline
from testbed.servers.certificates import Authority
from testbed.servers.prometheus import Prometheus, Tls
from tests.contract.metrics_contract import HISTORIES, SECOND, History, MetricsContract
from tests.contract.promserver import backfill, needs_prometheus
from tests.integrations.prometheus.asking import ONE, START, misconfigured, opened, works
from tests.stubs.small_server import Said, SmallServer
from tests.support.waiting import until

LONG_S = 30_000
WEEK_S = 7 * 86_400
# A minute around the same time of the last five weeks, and nothing between; two weeks ago was an incident.
WEEKLY = History(
    "weekly_gauge",
    {},
    [
        (float(offset - week * WEEK_S), 500.0 if week == 2 else 100.0 + week)
        for week in (5, 4, 3, 2, 1, 0)
        for offset in range(-60, 1, 5)
    ],
)

grouped = pytest.mark.xdist_group("prometheus")


@dataclass(frozen=True)
class Secured:
    """A Prometheus that asks for a certificate and a password, and what opens it."""

    url: str
    authority: Authority
    endpoint: Endpoint


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("prometheus")
    long = History("long_gauge", {}, [(float(t), float(t)) for t in range(0, LONG_S + 1, 5)])
    backfill(folder, [*HISTORIES, long, WEEKLY], START)
    authority = Authority(folder / "tls")
    tls = Tls(*authority.issue("server"), client_ca=authority.ca)
    cert, key = authority.issue("evercrew")
    with Prometheus(folder, users={"reader": "s3cret"}, tls=tls, retention="3650d") as server:
        endpoint = Endpoint(
            url=server.url,
            username="reader",
            password=SecretStr("s3cret"),
            ca=authority.ca,
            cert=cert,
            key=key,
        )
        yield Secured(server.url, authority, endpoint)


@works
@grouped
@needs_prometheus
class TestSecuredPrometheus(MetricsContract):
    """The port's contract, over mutual TLS and basic authentication."""

    @pytest.fixture
    def start(self) -> datetime:
        return START

    @pytest.fixture
    def metrics(self, secured: Secured) -> Iterator[MetricsPort]:
        metrics = opened(secured.endpoint)
        yield metrics
        metrics.close()

    def test_a_range_of_several_chunks_has_every_point_once(self, metrics: MetricsPort) -> None:
        query = SeriesQuery(metric="long_gauge")
        points = metrics.range(query, START, START + LONG_S * SECOND, SECOND)
        assert len(points) == LONG_S + 1 > 2 * CHUNK
        assert [p.at for p in points] == [START + n * SECOND for n in range(LONG_S + 1)]
        assert [p.value for p in points] == [float(n // 5 * 5) for n in range(LONG_S + 1)]

    def test_the_seams_of_a_rate_are_those_of_one_question(self, metrics: MetricsPort) -> None:
        query = SeriesQuery(metric="long_gauge", stat=Stat.MEAN, window_s=600)
        points = metrics.range(query, START, START + (CHUNK + 50) * SECOND, SECOND)
        for number in (CHUNK - 1, CHUNK, CHUNK + 1):
            assert points[number].value == metrics.read(query, START + number * SECOND).value

    def test_a_step_between_milliseconds_loses_no_point(self, metrics: MetricsPort) -> None:
        end = START + 100 * SECOND
        step = timedelta(seconds=1.6666)
        points = metrics.range(ONE, START, end, step)
        assert [p.at for p in points] == [START + n * step for n in range(61)]
        apart = [abs((p.value or 0) - 10 - (n * step).total_seconds()) for n, p in enumerate(points)]
        assert max(apart) < 5.02

    def test_what_is_usual_at_this_hour_is_read_from_the_weeks_before(self, metrics: MetricsPort) -> None:
        query = SeriesQuery(metric="weekly_gauge", stat=Stat.MEAN, window_s=30, unit="ms")
        usual = SeasonalBaseline(weeks=4).read(lambda at: metrics.read(query, at), START)
        assert (usual.value, usual.n, usual.unit) == (103.5, 4, "ms")
        earlier = SeasonalBaseline(weeks=4).read(lambda at: metrics.read(query, at), START - timedelta(weeks=2))
        assert (earlier.value, earlier.n) == (104.0, 3)
        later = SeasonalBaseline(weeks=4).read(lambda at: metrics.read(query, at), START + timedelta(hours=3))
        assert not later.usable

    def test_a_stricter_look_back_leaves_old_samples_out(self, secured: Secured) -> None:
        strict = opened(secured.endpoint, lookback=timedelta(seconds=30))
        query = SeriesQuery(metric="gauge_short")
        assert strict.read(query, START + 30 * SECOND).value == 7
        assert strict.read(query, START + 60 * SECOND).value is None
        points = strict.range(query, START, START + 60 * SECOND, 20 * SECOND)
        assert [p.value for p in points] == [7, 7, None, None]
        strict.close()


@works
@grouped
@needs_prometheus
def test_a_series_that_is_no_longer_told_is_missing_at_once(tmp_path: Path) -> None:
    pages = {"text": "share 1\nup_to_date 1\n"}
    with (
        SmallServer(lambda _: Said(200, pages["text"].encode(), "text/plain; version=0.0.4")) as page,
        Prometheus(tmp_path, targets={"platform": page.url[7:]}, interval=1.0) as server,
    ):
        metrics = PrometheusMetrics(endpoint=Endpoint(url=server.url), clock=SystemClock())
        until(lambda: metrics.read(SeriesQuery(metric="share")).value == 1)
        assert "1 targets are up" in metrics.check()
        pages["text"] = "up_to_date 2\n"
        until(lambda: metrics.read(SeriesQuery(metric="up_to_date")).value == 2)
        assert metrics.read(SeriesQuery(metric="share")).value is None
        assert list(metrics.labels("share", "job")) == []
        metrics.close()


@misconfigured
@grouped
@needs_prometheus
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": SecretStr("wrong")}, "EVERCREW_METRICS_PASSWORD"),
        ({"username": "", "password": None}, "EVERCREW_METRICS_TOKEN"),
        ({"ca": None}, "metrics.ca"),
        ({"cert": None, "key": None}, "metrics.cert"),
    ],
    ids=["wrong password", "no user", "unknown authority", "no certificate"],
)
def test_each_missing_credential_has_its_remedy(secured: Secured, change: dict[str, Any], said: str) -> None:
    endpoint = secured.endpoint.model_copy(update={**change, "attempts": 1})
    metrics = opened(endpoint)
    for ask in (metrics.check, lambda: metrics.read(ONE)):
        with pytest.raises(DependencyUnavailable) as error:
            ask()
        assert said in error.value.remedy, error.value


@misconfigured
@grouped
@needs_prometheus
def test_plain_http_to_a_tls_port_is_named(secured: Secured) -> None:
    plain = Endpoint(url=secured.url.replace("https", "http"), attempts=1)
    with pytest.raises(DependencyError, match="HTTPS server"):
        opened(plain).check()


@misconfigured
def test_a_certificate_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    with pytest.raises(ConfigurationError, match=r"metrics\.ca"):
        opened(Endpoint(url="https://127.0.0.1:1", ca=tmp_path / "ca.pem"))
    with pytest.raises(ConfigurationError, match=r"metrics\.cert"):
        opened(Endpoint(url="https://127.0.0.1:1", cert=tmp_path / "ca.pem"))


@misconfigured
@pytest.mark.parametrize("lookback", [timedelta(), timedelta(minutes=6)])
def test_a_look_back_the_server_does_not_have_is_refused(lookback: timedelta) -> None:
    with pytest.raises(InvalidInput, match=r"metrics\.lookback"):
        opened(Endpoint(url="http://127.0.0.1:1"), lookback=lookback)
