"""What the platform tells about itself on `/metrics`, in the names of prometheus_client.

Rolling gauges carry `window="current"`; they are absent (not zero) until `MINIMUM` values are behind them. Counters,
histogram and gauges hold measurements only: what is normal is for the reader to know.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from testbed import clock

MINIMUM = 25
COST_WINDOW = 500
CPU_SECOND_USD = 0.02
TIER_USD_PER_1K = {"standard": 0.10, "premium": 0.75}
LATENCY_BUCKETS = (
    *(0.001, 0.0015, 0.002, 0.0025, 0.003, 0.0035, 0.004, 0.0045, 0.005, 0.006, 0.007, 0.008, 0.009, 0.010),
    *(0.012, 0.014, 0.016, 0.018, 0.020, 0.023, 0.026, 0.030, 0.035, 0.040, 0.045, 0.050, 0.060, 0.070, 0.080),
    *(0.1, 0.125, 0.15, 0.175, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0),
)

Rows = Iterable[tuple[tuple[str, ...], float]]


def request_cost(cpu_seconds: float, tier: str) -> float:
    """Cost of one request in USD: its CPU time and its share of the tier's capacity."""
    return cpu_seconds * CPU_SECOND_USD + TIER_USD_PER_1K[tier] / 1000


class Rolling:
    """Mean of the last `size` values; None while there are fewer than `MINIMUM`."""

    def __init__(self, size: int, minimum: int = MINIMUM) -> None:
        self._values: deque[float] = deque(maxlen=size)
        self._minimum = minimum

    def add(self, value: float) -> None:
        """Take in one value; the oldest leaves."""
        self._values.append(value)

    def mean(self) -> float | None:
        """The mean, or None without enough values."""
        if len(self._values) < self._minimum:
            return None
        return sum(self._values) / len(self._values)


class Spending:
    """What was spent, against a budget of `usd` in every `period_s` seconds."""

    def __init__(self, spent: Counter, usd: float = 1.0, period_s: float = 60.0) -> None:
        self._spent = spent
        self._usd, self._period = usd, period_s
        self._recent: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    def allow(self, usd: float, period_s: float) -> None:
        """Set the budget."""
        self._usd, self._period = usd, period_s

    def spend(self, now: float, cost: float) -> None:
        """Count what a request cost, in USD, at a time in seconds."""
        self._spent.inc(cost)
        self._recent.append((now, cost))
        self._sum += cost
        self._forget(now)

    def share(self, now: float) -> float | None:
        """What the last period cost, as a share of its budget; None before anything was spent."""
        self._forget(now)
        return self._sum / self._usd if self._recent else None

    @property
    def budget(self) -> float:
        """USD a period may cost."""
        return self._usd

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0][0] < now - self._period:
            self._sum -= self._recent.popleft()[1]


class Source(Collector):
    """A collector whose gauges are computed at scrape time by the functions given to it."""

    def __init__(self) -> None:
        self._families: list[tuple[str, str, tuple[str, ...], Callable[[], Rows]]] = []

    def add(self, name: str, text: str, labels: tuple[str, ...], rows: Callable[[], Rows]) -> None:
        """Register a gauge family; `rows` returns (label values, value) pairs."""
        self._families.append((name, text, labels, rows))

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One family after the other, without samples where nothing was measured."""
        for name, text, labels, rows in self._families:
            family = GaugeMetricFamily(name, text, labels=labels)
            for values, number in rows():
                family.add_metric(values, number)
            yield family


class Metrics:
    """All instruments of the service process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        variant = ("variant", "digest")
        self.requests = self._counter("search_requests", "Searches", ("variant", "mode", "status"))
        self.errors = self._counter("search_errors", "Failures inside a search", ("kind",))
        self.index_errors = self._counter("search_index_errors", "Index records that could not be read", ())
        self.reconcile_errors = self._counter("search_values_rejected", "Revisions of the values refused", ())
        self.judged = self._counter("search_judged_sessions", "Judged sessions", variant)
        # Sums that only grow; gauges, because a counter's name would end in _total.
        self.ndcg_sum = self._gauge("search_ndcg_at_10_sum", "Sum of nDCG@10 of judged sessions", variant)
        self.ndcg_squares = self._gauge("search_ndcg_at_10_squares_sum", "Sum of squared nDCG@10", variant)
        self.recall_sum = self._gauge("search_recall_at_20_sum", "Judged documents in the first 20", variant)
        self._taken_in = self._counter("search_etl_documents", "Documents taken in", ("status",))
        self.judgements = self._counter("feedback_judgements", "Judgements received", ())
        self.feedback = self._counter("feedback_events", "Feedback events received", ("kind", "status"))
        self.latency = Histogram(
            "search_latency_seconds",
            "Time from request to results",
            ("variant", "mode"),
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.info = Gauge("search_info", "What is live", ("digest", "revision", "mode", "tier"), registry=self.registry)
        self._cost = Rolling(COST_WINDOW)
        self.source = Source()
        self.source.add(
            "search_cost_per_1k_requests", "USD per 1,000 requests", ("window",), lambda: current(self._cost_per_1k())
        )
        self.spending = Spending(self._counter("search_budget_spent_usd", "USD spent on searches", ()))
        self.source.add("search_budget_usd", "USD a period may cost", (), lambda: [((), self.spending.budget)])
        self.source.add(
            "search_budget_share",
            "What the last period cost, as a share of its budget",
            ("window",),
            lambda: current(self.spending.share(clock.monotonic())),
        )
        self.registry.register(self.source)

    def served(self, variant: str, mode: str, status: str, seconds: float, cost: float) -> None:
        """Count one search: wall time in seconds, cost in USD."""
        self.requests.labels(variant, mode, status).inc()
        self.latency.labels(variant, mode).observe(seconds)
        self._cost.add(cost)

    def taken_in(self, fresh: int, known: int) -> None:
        """Count documents that went through the intake."""
        self._taken_in.labels("new").inc(fresh)
        self._taken_in.labels("known").inc(known)

    def live(self, digest: str, revision: str, mode: str, tier: str) -> None:
        """Say what is live; the earlier statement goes."""
        self.info.clear()
        self.info.labels(digest, revision, mode, tier).set(1)

    def render(self) -> bytes:
        """The exposition in Prometheus' text format."""
        return generate_latest(self.registry)

    def _cost_per_1k(self) -> float | None:
        mean = self._cost.mean()
        return None if mean is None else mean * 1000

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)


def current(value: float | None) -> Rows:
    """The single row of a rolling gauge, or none when nothing can be said."""
    return [] if value is None else [(("current",), value)]
