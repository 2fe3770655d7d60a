"""`await_live` and `ab_read`: what is really served, and how the variants of a test do."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from adapters.delivery.base import DeliveryPort
from adapters.metrics.base import MetricsPort
from domain.candidate import LiveState
from domain.measurement import Measurement
from domain.signal import SeriesQuery
from tools.tool import Arguments, Call, Result, Tool, ToolSpec


class AwaitArgs(Arguments):
    """The revision (and digest) to wait for, for at most `timeout_s` seconds."""

    revision: str
    digest: str | None = None
    timeout_s: float = Field(default=60, gt=0, le=3600)


class LiveView(Result):
    live: LiveState


class AwaitLive(Tool[AwaitArgs, LiveView]):
    """Waits until the platform itself reports the revision and digest."""

    spec = ToolSpec(
        "await_live",
        "Wait until the platform itself reports a revision and digest as live.",
        timeout=timedelta(hours=1, minutes=1),
    )
    input = AwaitArgs
    output = LiveView

    def __init__(self, delivery: DeliveryPort, *, poll: timedelta) -> None:
        self._delivery = delivery
        self._poll = poll

    def run(self, args: AwaitArgs, call: Call) -> LiveView:
        timeout = timedelta(seconds=args.timeout_s)
        live = self._delivery.wait_until(args.revision, digest=args.digest, timeout=timeout, poll=self._poll)
        return LiveView(live=live)


class AbReadArgs(Arguments):
    """The revision that set the variants."""

    revision: str


class ArmView(Result):
    """One arm: users judged and exposed, mean and variance of the users' nDCG@10, and the guardrails."""

    name: str
    users: int
    exposed: int
    ndcg_mean: Measurement
    ndcg_variance: Measurement
    latency_p95_ms: Measurement
    cost_per_1k_requests: Measurement
    user_satisfaction: Measurement


class AbView(Result):
    revision: str
    champion: ArmView
    candidate: ArmView


class AbRead(Tool[AbReadArgs, AbView]):
    """Reads the user-level statistics of both arms."""

    spec = ToolSpec("ab_read", "Read user-level statistics of both arms of the A/B test that a revision started.")
    input = AbReadArgs
    output = AbView

    def __init__(self, metrics: MetricsPort) -> None:
        self._metrics = metrics

    def run(self, args: AbReadArgs, call: Call) -> AbView:
        return AbView(
            revision=args.revision,
            champion=self._arm("champion", args.revision),
            candidate=self._arm("candidate", args.revision),
        )

    def _arm(self, name: str, revision: str) -> ArmView:
        labels = {"variant": name, "revision": revision}
        users, exposed = self._count("experiment_users", labels), self._count("experiment_exposed_users", labels)
        return ArmView(
            name=name,
            users=users,
            exposed=exposed,
            ndcg_mean=self._figure("experiment_user_ndcg_mean", labels, "ratio", users),
            ndcg_variance=self._figure("experiment_user_ndcg_variance", labels, "ratio^2", users),
            latency_p95_ms=self._figure("experiment_latency_p95_seconds", labels, "ms", exposed, scale=1000.0),
            cost_per_1k_requests=self._figure("experiment_cost_per_1k", labels, "USD", exposed),
            user_satisfaction=self._figure("experiment_satisfaction_mean", labels, "1-5", users),
        )

    def _count(self, metric: str, labels: dict[str, str]) -> int:
        found = self._metrics.read(SeriesQuery(metric=metric, labels=labels))
        return int(found.value) if found.usable and found.value is not None else 0

    def _figure(self, metric: str, labels: dict[str, str], unit: str, n: int, scale: float = 1.0) -> Measurement:
        found = self._metrics.read(SeriesQuery(metric=metric, labels=labels, scale=scale))
        return found.model_copy(update={"unit": unit, "n": n if found.usable else 0})
