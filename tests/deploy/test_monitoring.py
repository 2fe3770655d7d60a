"""Alerts and dashboards: they parse, they fire when they should, they ask for what there is, and each has a page."""

from __future__ import annotations

import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

import service.notices.courier  # noqa: F401  what it counts is part of the page
from testbed.servers.base import ServerError
from testbed.servers.prometheus import Prometheus
from tests.deploy.material import DASHBOARDS, DEPLOY, RULES, RUNBOOKS, dashboard, from_npm, program, queries, rules, run
from tests.stubs.small_server import Said, SmallServer
from tests.support.serving import client_as, serving_of

NAME = re.compile(r"\bevercrew_[a-z0-9_]+")
PARTS = ("meaning", "Impact", "already did", "Diagnose", "Mend", "Escalate")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a scraper gets of an application with cycles in its record."""
    serving = serving_of(tmp_path_factory.mktemp("served"))
    text = str(client_as(serving, "viewer").get("/metrics").text)
    serving.app.close()
    return text


@pytest.fixture(scope="module")
def prometheus(page: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped that page, with the alert rules loaded."""
    kind = "text/plain; version=0.0.4"
    with SmallServer(lambda _: Said(200, page.encode(), kind)) as scraped:
        target = scraped.url.removeprefix("http://")
        text = "groups:\n" + "".join(file.read_text().partition("groups:\n")[2] for file in RULES)
        server = Prometheus(tmp_path_factory.mktemp("prometheus"), {"evercrew": target}, rules=text, interval=0.3)
        try:
            server.start()
        except ServerError as problem:
            pytest.skip(str(problem))
        try:
            until = time.monotonic() + 60
            while not asked(server, "evercrew_build_info")["data"]["result"]:
                assert time.monotonic() < until, "nothing was scraped"
                time.sleep(0.1)
            yield server
        finally:
            server.stop()


def asked(server: Prometheus, expr: str) -> Any:
    """Return the answer to a query; what Prometheus refuses raises."""
    query = urllib.parse.urlencode({"query": expr})
    with urllib.request.urlopen(f"{server.url}/api/v1/query?{query}", timeout=10) as answer:
        return json.load(answer)


def plain(expr: str) -> str:
    """Return an expression with Grafana's variables filled in."""
    return expr.replace("$__rate_interval", "5m").replace("$__range", "1h")


def declared(page: str) -> set[str]:
    """Return the names of the series a page can have."""
    names: set[str] = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", page, flags=re.MULTILINE):
        tails = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        names |= {name + tail for tail in tails}
    return names


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: str(path.stem))
def test_every_panel_is_answered_by_a_real_prometheus(path: Path, prometheus: Prometheus) -> None:
    for title, expr in queries(path):
        assert asked(prometheus, plain(expr))["status"] == "success", title


def test_the_first_figures_a_person_looks_at_are_there(prometheus: Prometheus) -> None:
    found = dict(queries(DEPLOY / "grafana" / "evercrew-overview.json"))
    for title in ("Open cycles", "Waiting for people", "Kill switch", "Policy set", "Oldest alert not taken"):
        assert asked(prometheus, plain(found[title]))["data"]["result"], title


def test_panels_and_alerts_ask_for_metrics_that_there_are(page: str) -> None:
    told = declared(page)
    wanted = {f"{path.stem}: {title}": expr for path in DASHBOARDS for title, expr in queries(path)}
    wanted |= {rule["alert"]: rule["expr"] for rule in rules()}
    missing = {where: sorted(set(NAME.findall(expr)) - told) for where, expr in wanted.items()}
    assert {where: names for where, names in missing.items() if names} == {}


def test_the_rules_are_loaded_and_a_healthy_service_fires_none_of_those_that_call_somebody_at_night(
    prometheus: Prometheus,
) -> None:
    with urllib.request.urlopen(f"{prometheus.url}/api/v1/rules", timeout=10) as answer:
        groups = json.load(answer)["data"]["groups"]
    loaded = [rule for group in groups for rule in group["rules"]]
    assert sorted(rule["name"] for rule in loaded) == sorted(rule["alert"] for rule in rules())
    assert [rule["name"] for rule in loaded if rule["health"] == "err"] == []
    firing = [r["name"] for r in loaded if r["state"] == "firing" and r["labels"]["severity"] == "critical"]
    assert firing == []


def test_every_alert_fires_when_it_should_and_is_quiet_when_it_should_not() -> None:
    promtool = program("promtool")
    tests = sorted(str(path.name) for path in DEPLOY.glob("prometheus/*_test.yml"))
    done = run(promtool, "test", "rules", *tests, folder=DEPLOY / "prometheus")
    assert done.returncode == 0, done.stdout + done.stderr
    text = "".join((DEPLOY / "prometheus" / name).read_text() for name in tests)
    for rule in rules():
        assert f"alertname: {rule['alert']}\n" in text
        assert f"name: {rule['alert']} stays quiet\n" in text


def test_every_alert_has_a_severity_a_summary_and_a_runbook_that_says_what_to_do() -> None:
    for rule in rules():
        name = rule["alert"]
        assert rule["labels"]["severity"] in ("warning", "critical"), name
        assert rule["annotations"]["summary"], name
        path = RUNBOOKS / rule["annotations"]["runbook_url"].rsplit("/", 1)[1]
        text = path.read_text()
        assert text.startswith(f"# {name}\n"), path
        assert all(part.lower() in text.lower() for part in PARTS if part != "meaning"), path
        assert "## What it means" in text
        assert f"({path.name})" in (RUNBOOKS / "README.md").read_text()


def test_a_runbook_shows_the_rule_as_it_is_and_no_page_is_left_without_one() -> None:
    pages = {path.name for path in RUNBOOKS.glob("*.md")} - {"README.md"}
    assert pages == {rule["annotations"]["runbook_url"].rsplit("/", 1)[1] for rule in rules()}
    for rule in rules():
        text = (RUNBOOKS / rule["annotations"]["runbook_url"].rsplit("/", 1)[1]).read_text()
        shown = next(line for line in text.splitlines() if line.startswith("    "))
        assert shown.split() == rule["expr"].split(), rule["alert"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: str(path.stem))
def test_a_dashboard_stands_for_itself(path: Path) -> None:
    board = dashboard(path)
    assert board["uid"] == path.stem
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    placed: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & placed, f"{panel['title']} lies on another panel"
        assert grid["x"] + grid["w"] <= 24
        placed |= cells
        assert panel["datasource"]["uid"] == "${datasource}"


@pytest.mark.slow
@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: str(path.stem))
def test_a_dashboard_fits_grafanas_own_schema(path: Path, schema: dict[str, Any]) -> None:
    problems = [f"{e.json_path}: {e.message}" for e in Draft7Validator(schema).iter_errors(dashboard(path))]
    assert problems == []


@pytest.fixture(scope="module")
def schema(pytestconfig: pytest.Config) -> dict[str, Any]:
    """The JSON Schema of a dashboard, made from the types Grafana publishes; strict about unknown fields."""
    assert pytestconfig.cache is not None
    cache = pytestconfig.cache.mkdir("grafana-schema")
    modules = from_npm(cache, "@grafana/schema", "ts-json-schema-generator")
    kept = cache / "dashboard.json"
    if not kept.is_file():
        types = cache / "dashboard.ts"
        types.write_text((modules / "@grafana/schema/dist/types/raw/dashboard/x/types.gen.d.ts").read_text())
        generator = str(modules / ".bin" / "ts-json-schema-generator")
        done = run(generator, "--path", str(types), "--type", "Dashboard", "--no-type-check", folder=cache)
        if done.returncode != 0:
            pytest.skip(f"no schema could be made: {done.stderr[-300:]}")
        kept.write_text(done.stdout)
    found: dict[str, Any] = json.loads(kept.read_text())
    broken = {**dashboard(DASHBOARDS[0]), "schemaVersion": "39"}
    assert list(Draft7Validator(found).iter_errors(broken)), "a schema that refuses nothing shows nothing"
    return found
