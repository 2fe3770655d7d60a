"""The generated rules: they parse, they fire and resolve as they should, and they mean what the watcher means."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from adapters.metrics.prometheus import PrometheusMetrics
from adapters.rest import Endpoint
from domain.clock import FrozenClock
from domain.signal import SignalSpec
from policies.contract import Contract, load_contract
from policies.packaged import packaged_contract, packaged_profile
from policies.profiles import load_profile
from service.catalog import default_catalog
from service.rules import COUNT, STDERR, VALUE, Scene, alerting_rules, not_covered, recorded, recording_rules
from service.watcher import MIN_SAMPLES, Z_LIMIT
from testbed.servers.prometheus import Prometheus
from tests.contract.metrics_contract import SECOND, History
from tests.contract.promserver import backfill, needs_prometheus
from tools.observe.reading import SignalReader, Windows, judge_of

pytestmark = [
    pytest.mark.integration("prometheus", "works"),
    pytest.mark.xdist_group("prometheus"),
    needs_prometheus,
]

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
DEV = load_profile(packaged_profile("dev"), file="dev.yaml")
CATALOG = default_catalog()
CONTRACT: Contract = load_contract(packaged_contract()).with_overrides(DEV.signals)
WINDOWS = Windows(DEV.measure.current, DEV.measure.baseline, DEV.measure.gap)
SCENE = Scene("search", "dev", timedelta(seconds=1))


def promtool(folder: Path, *arguments: str, **files: str) -> subprocess.CompletedProcess[str]:
    """Run promtool in a folder with these files."""
    for name, content in files.items():
        (folder / f"{name}.yml").write_text(content, encoding="utf-8")
    return subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("environment", ["dev", "staging", "production"])
def test_the_rules_of_every_environment_parse(tmp_path: Path, environment: str) -> None:
    of = load_profile(packaged_profile(environment), file=environment)
    windows = Windows(of.measure.current, of.measure.baseline, of.measure.gap)
    rules = load_contract(packaged_contract()).with_overrides(of.signals)
    scene = Scene("search", environment, of.poll.signals)
    alerts, records = alerting_rules(rules, CATALOG, windows, scene), recording_rules(CATALOG, windows, scene)
    checked = promtool(tmp_path, "check", "rules", "alerts.yml", "records.yml", alerts=alerts, records=records)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    covered = [name for name in rules.signals if name in CATALOG]
    assert f"{len(covered)} rules found" in checked.stdout


def test_every_signal_of_the_contract_has_its_alert_or_is_named_as_without_one() -> None:
    found = yaml.safe_load(alerting_rules(CONTRACT, CATALOG, WINDOWS, SCENE))["groups"][0]["rules"]
    signals = [rule["labels"]["signal"] for rule in found]
    assert sorted([*signals, *not_covered(CONTRACT, CATALOG)]) == sorted(CONTRACT.signals)
    assert {"ndcg_at_10", "recall_at_20", "latency_p95_ms", "vector_index_errors", "user_satisfaction"} <= set(signals)
    by_signal = {rule["labels"]["signal"]: rule for rule in found}
    labels = {"signal": "latency_p95_ms", "target": "search", "environment": "dev", "severity": "critical"}
    assert by_signal["latency_p95_ms"]["labels"] == labels
    assert by_signal["user_satisfaction"]["labels"]["severity"] == "warning"
    # Noise that is known is waited for by one look, noise that is not by a whole window.
    assert (by_signal["ndcg_at_10"]["for"], by_signal["latency_p95_ms"]["for"]) == ("1000ms", "12000ms")


def _steps(*pieces: tuple[int, float]) -> str:
    """Increments of a counter for promtool: (seconds, a second) pieces."""
    value, told = 0.0, []
    for seconds, step in pieces:
        for _ in range(seconds):
            told.append(f"{value:g}")
            value += step
    return " ".join(told)


def test_an_alert_fires_while_quality_is_lost_and_resolves(tmp_path: Path) -> None:
    alerts = alerting_rules(CONTRACT, CATALOG, WINDOWS, SCENE)
    pieces = ((60, 1.0), (30, 1.0), (60, 1.0))
    sums, squares = [60.0, 45.0, 60.0], [60 * 0.6 + 10, 45 * 0.5 + 10, 60 * 0.6 + 10]
    series = {
        "search_judged_sessions_total": _steps(*((n, 100.0) for n, _ in pieces)),
        "search_ndcg_at_10_sum": _steps(*((n, s) for (n, _), s in zip(pieces, sums, strict=True))),
        "search_ndcg_at_10_squares_sum": _steps(*((n, s) for (n, _), s in zip(pieces, squares, strict=True))),
    }
    labels = {"severity": "warning", "signal": "ndcg_at_10", "target": "search", "environment": "dev"}
    firing = [{"exp_labels": labels}]
    moments = [("50s", []), ("75s", firing), ("82s", firing), ("140s", [])]
    test = {
        "rule_files": ["alerts.yml"],
        "evaluation_interval": "1s",
        "tests": [
            {
                "interval": "1s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "alert_rule_test": [
                    {"eval_time": at, "alertname": "SignalBreached", "exp_alerts": expected} for at, expected in moments
                ],
            }
        ],
    }
    for case in test["tests"][0]["alert_rule_test"]:  # type: ignore[index]
        for alert in case["exp_alerts"]:
            summary = "ndcg_at_10 of search is {} score, beyond the limit of ndcg_drop"
            alert["exp_annotations"] = {"summary": summary.format(_value_at(series, case["eval_time"]))}
    done = promtool(tmp_path, "test", "rules", "test.yml", alerts=alerts, test=yaml.safe_dump(test))
    assert done.returncode == 0, done.stdout + done.stderr


def _value_at(series: Mapping[str, str], at: str) -> str:
    """The mean over the twelve seconds up to a moment; both counters are extrapolated alike, so it is their ratio."""
    last = int(at.removesuffix("s"))
    first = last - 12
    sums, counts = (
        [float(v) for v in series[name].split()] for name in ("search_ndcg_at_10_sum", "search_judged_sessions_total")
    )
    return f"{(sums[last] - sums[first]) / (counts[last] - counts[first]):.16g}"


# -- on a server, against the reader -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Filled:
    """A server with two minutes of a platform that goes wrong after sixty seconds."""

    url: str
    metrics: PrometheusMetrics


def _rising(rate_before: float, rate_after: float, until: int = 150) -> list[tuple[float, float]]:
    told, value = [], 0.0
    for second in range(until):
        told.append((float(second), value))
        value += rate_before if second < 60 else rate_after
    return told


def _level(before: float, after: float) -> list[tuple[float, float]]:
    return [(float(s), (before if s < 60 else after) + 0.001 * math.sin(s)) for s in range(150)]


def _history() -> list[History]:
    buckets = {"0.05": (50.0, 1.0), "0.1": (95.0, 5.0), "1": (100.0, 50.0), "2": (100.0, 100.0), "+Inf": (100.0, 100.0)}
    return [
        History("search_judged_sessions_total", {}, _rising(100, 100)),
        History("search_requests_total", {}, _rising(100, 100)),
        History("search_ndcg_at_10_sum", {}, _rising(60, 55)),
        History("search_ndcg_at_10_squares_sum", {}, _rising(45, 40)),
        *(History("search_latency_seconds_bucket", {"le": le}, _rising(*rates)) for le, rates in buckets.items()),
        History("search_recall_at_20_sum", {}, _rising(80, 70)),
        History("search_budget_share", {}, _level(0.5, 0.9)),
        History("search_etl_backlog_seconds", {}, _level(5, 90)),
        History("search_cost_per_1k_requests", {}, _level(0.2, 0.45)),
        History("search_index_errors_total", {}, _rising(0, 1)),
        History("search_satisfaction", {}, _level(4.3, 3.9)),
    ]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    folder = tmp_path_factory.mktemp("rules")
    backfill(folder, _history(), START)
    rules = alerting_rules(CONTRACT, CATALOG, WINDOWS, SCENE)
    with Prometheus(folder, rules=rules, retention="3650d") as server:
        metrics = PrometheusMetrics(endpoint=Endpoint(url=server.url), clock=FrozenClock(START + 150 * SECOND))
        yield Filled(server.url, metrics)
        metrics.close()


def asked(url: str, expression: str, at: datetime) -> list[Any]:
    params = {"query": expression, "time": f"{at.timestamp():.3f}"}
    answer = httpx.get(f"{url}/api/v1/query", params=params, trust_env=False, timeout=60)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"]["result"])


def means(reader: SignalReader, name: str, spec: SignalSpec, at: datetime) -> bool:
    """What the watcher says of a moment, with its baseline ending a gap before that moment."""
    current = reader.measure(spec, WINDOWS.current, at)
    baseline = reader.baseline(name, at)
    if not current.usable or current.n < MIN_SAMPLES:
        return False
    judged, _ = reader.judge(name, current, baseline)
    if not judged or current.stderr is None or baseline.stderr is None:
        return bool(judged)
    error = math.hypot(current.stderr, baseline.stderr)
    return error > 0 and abs(current.finite() - baseline.finite()) >= Z_LIMIT * error


def test_an_expression_is_true_exactly_when_the_reader_says_breached(filled: Filled) -> None:
    reader = SignalReader(filled.metrics, CATALOG, WINDOWS, judge_of(lambda: CONTRACT), FrozenClock())
    rules = yaml.safe_load(alerting_rules(CONTRACT, CATALOG, WINDOWS, SCENE))["groups"][0]["rules"]
    fired: dict[str, list[bool]] = {}
    for rule in rules:
        name = rule["labels"]["signal"]
        for second in (5, 20, 40, 58, 62, 66, 70, 80, 95, 120, 149):
            at = START + second * SECOND
            result = asked(filled.url, rule["expr"], at)
            expected = means(reader, name, CATALOG[name], at)
            assert bool(result) == expected, (name, second)
            if result:
                value = reader.measure(CATALOG[name], WINDOWS.current, at).finite()
                assert float(result[0]["value"][1]) == pytest.approx(value)
            fired.setdefault(name, []).append(expected)
    # Every one of them says both in this history: a comparison that is never true would prove nothing.
    assert {name: set(said) for name, said in fired.items()} == {name: {True, False} for name in CATALOG}


def test_the_server_loads_the_rules_and_evaluates_them_all(filled: Filled) -> None:
    groups = httpx.get(f"{filled.url}/api/v1/rules", trust_env=False).json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len([name for name in CONTRACT.signals if name in CATALOG])
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    assert [rule.get("lastError", "") for rule in rules] == [""] * len(rules)


def test_recorded_expressions_are_what_the_reader_reads(filled: Filled) -> None:
    reader = SignalReader(filled.metrics, CATALOG, WINDOWS, lambda *_: (None, ""), FrozenClock())
    at = START + 90 * SECOND
    rules = yaml.safe_load(recording_rules(CATALOG, WINDOWS, SCENE))["groups"][0]["rules"]
    for rule in rules:
        read = reader.measure(CATALOG[rule["labels"]["signal"]], WINDOWS.current, at)
        wanted = {VALUE: read.value, COUNT: float(read.n), STDERR: read.stderr}[rule["record"]]
        (found,) = asked(filled.url, rule["expr"], at)
        assert float(found["value"][1]) == pytest.approx(wanted, abs=1 if rule["record"] == COUNT else 1e-9)
    assert {rule["record"] for rule in rules} == {VALUE, COUNT, STDERR}
    query = recorded("ndcg_at_10", SCENE)
    assert (query.metric, query.labels["signal"]) == (VALUE, "ndcg_at_10")
