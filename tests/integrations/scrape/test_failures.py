"""A page of metrics that is refused, drips, is empty or elsewhere, and a file of samples that cannot be used."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from adapters.metrics.scrape import ScrapedMetrics
from domain.clock import SystemClock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable
from domain.signal import SeriesQuery
from tests.stubs.small_server import NOBODY, Said, SmallServer

refused = pytest.mark.integration("scrape", "refused")
slow = pytest.mark.integration("scrape", "slow")
lying = pytest.mark.integration("scrape", "lying")
misconfigured = pytest.mark.integration("scrape", "misconfigured")
UP = SeriesQuery(metric="up")


def scraping(url: str, path: Path, seconds: float = 5.0) -> ScrapedMetrics:
    return ScrapedMetrics(url=url, db_path=path, clock=SystemClock(), timeout=timedelta(seconds=seconds))


@refused
def test_nobody_at_the_address_is_unavailable(tmp_path: Path) -> None:
    metrics = scraping(NOBODY, tmp_path / "m.sqlite")
    with pytest.raises(DependencyUnavailable, match=r"Start the service, or mend metrics\.url"):
        metrics.check()
    metrics.close()


@refused
@pytest.mark.parametrize("status", [401, 403])
def test_a_page_that_is_not_for_everybody_says_who_has_to_open(status: int, tmp_path: Path) -> None:
    with SmallServer(lambda _: Said(status)) as server:
        metrics = scraping(server.url, tmp_path / "m.sqlite")
        with pytest.raises(DependencyUnavailable, match=f"answered {status}.*Let this machine read"):
            metrics.read(UP)
        metrics.close()


@slow
def test_a_page_that_drips_is_a_timeout(tmp_path: Path) -> None:
    clock = SystemClock()
    with SmallServer(lambda _: Said(200, b"up 1\n" * 500, "text/plain", drip=0.05)) as server:
        metrics = scraping(server.url, tmp_path / "m.sqlite", seconds=1)
        before = clock.monotonic()
        with pytest.raises(DependencyTimeout, match=r"did not end in time.*within 1 s"):
            metrics.read(UP)
        assert clock.monotonic() - before < 60  # all of it would take longer
        metrics.close()


@lying
def test_a_series_told_twice_keeps_one_of_its_values(tmp_path: Path) -> None:
    with SmallServer(lambda _: Said(200, b"up 1\nup 2\n", "text/plain")) as server:
        metrics = scraping(server.url, tmp_path / "m.sqlite")
        assert metrics.read(UP).value in (1, 2)
        metrics.close()


@misconfigured
@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b'{"status": "success"}', b"", b"# only a comment\n"])
def test_a_page_without_metrics_points_at_the_address(body: bytes, tmp_path: Path) -> None:
    with SmallServer(lambda _: Said(200, body, "text/plain")) as server:
        metrics = scraping(server.url, tmp_path / "m.sqlite")
        with pytest.raises(DependencyLied, match=r"Check metrics\.url"):
            metrics.check()
        metrics.close()


@misconfigured
@pytest.mark.parametrize("url", ["", "search:9100/metrics", "http://search:port/metrics"])
def test_an_address_that_is_none_names_the_field(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"metrics\.url"):
        scraping(url, tmp_path / "m.sqlite")


@misconfigured
def test_a_file_that_cannot_be_used_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"not a database at all" * 100)
    for path in (tmp_path, tmp_path / "junk", tmp_path / "junk" / "m.sqlite"):
        with pytest.raises(DependencyUnavailable, match=r"cannot be used.*`state`"):
            scraping(NOBODY, path)
