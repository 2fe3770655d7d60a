"""What is really served, and how the variants of a test do.

`sync_live`, `await_live`, `rollout_status` and `ab_read`.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from adapters.delivery.base import EFFECT_SYNC, DeliveryPort, RolloutPort, RolloutStatus, SyncPort
from adapters.metrics.base import MetricsPort
from domain.candidate import LiveState
from domain.decision import Effect
from domain.events import Event, Observer, nobody
from domain.measurement import Measurement
from domain.observation import Observation, Seen
from domain.signal import SeriesQuery
from tools.tool import Arguments, Call, Nothing, Result, Tool, ToolSpec

_REVISION = r"^[0-9a-f]{7,40}$"
_DIGEST = r"^sha256:[0-9a-f]{64}$"

# Reasons kept with a result; all of them go to the observer.
REASONS = 20


class SyncArgs(Arguments):
    """The revision to have applied; the newest commit, or it is refused."""

    revision: str = Field(pattern=r"^[0-9a-f]{40}$")


class SyncView(Result):
    """Whether applying the revision had to be asked for."""

    revision: str
    asked: bool


class SyncLive(Tool[SyncArgs, SyncView]):
    """Has a delivery that does not apply commits by itself apply the newest one."""

    spec = ToolSpec(
        "sync_live",
        "Have the newest commit applied where the delivery does not do so by itself.",
        effect=Effect.WRITE,
        effects=(EFFECT_SYNC,),
        timeout=timedelta(minutes=2),
    )
    input = SyncArgs
    output = SyncView

    def __init__(self, delivery: SyncPort) -> None:
        self._delivery = delivery

    def run(self, args: SyncArgs, call: Call) -> SyncView:
        asked = self._delivery.sync(args.revision, key=call.key, permit=call.permit)
        return SyncView(revision=args.revision, asked=asked)

    def observe(self, args: SyncArgs, call: Call) -> Observation:
        seen = self._delivery.observe(call.key)
        if seen.seen is not Seen.DONE:
            return seen
        return Observation.done({"revision": str(seen.outcome["revision"]), "asked": True})


class AwaitArgs(Arguments):
    """The revision (and digest) to wait for, for at most `timeout_s` seconds."""

    revision: str = Field(pattern=_REVISION)
    digest: str | None = Field(default=None, pattern=_DIGEST)
    timeout_s: float = Field(default=60, gt=0, le=3600)


class LiveView(Result):
    """What is live, and the reasons why it was waited for, in their order."""

    live: LiveState
    reasons: tuple[str, ...] = ()


class AwaitLive(Tool[AwaitArgs, LiveView]):
    """Waits until the platform itself reports the revision and digest; `observer` is told why it still waits."""

    spec = ToolSpec(
        "await_live",
        "Wait until the platform itself reports a revision and digest as live.",
        timeout=timedelta(hours=1, minutes=1),
    )
    input = AwaitArgs
    output = LiveView

    def __init__(self, delivery: DeliveryPort, *, poll: timedelta, observer: Observer = nobody) -> None:
        self._delivery = delivery
        self._poll = poll
        self._observer = observer

    def run(self, args: AwaitArgs, call: Call) -> LiveView:
        reasons: list[str] = []

        def tell(reason: str) -> None:
            reasons.append(reason)
            what = f"waiting for {args.revision[:12]}: {reason}"
            scope = call.scope
            self._observer(Event(kind="note", cycle_id=scope.cycle_id, stage=scope.stage, what=what))

        live = self._delivery.wait_until(
            args.revision,
            digest=args.digest,
            timeout=timedelta(seconds=args.timeout_s),
            poll=self._poll,
            tell=tell,
        )
        return LiveView(live=live, reasons=tuple(reasons[-REASONS:]))


class RolloutView(Result):
    """How far a new version is; `failure` says why it will not come, `pending` why it is not there yet."""

    status: RolloutStatus
    failure: str
    pending: str


class RolloutRead(Tool[Nothing, RolloutView]):
    """Reads the Rollout: phase, traffic, why it pauses, and what its analyses found."""

    spec = ToolSpec("rollout_status", "Read how far the rollout of a new version is, and what its analyses found.")
    input = Nothing
    output = RolloutView

    def __init__(self, rollout: RolloutPort) -> None:
        self._rollout = rollout

    def run(self, args: Nothing, call: Call) -> RolloutView:
        status = self._rollout.status()
        return RolloutView(status=status, failure=status.failure, pending=status.pending)


class AbReadArgs(Arguments):
    """The revision that set the variants."""

    revision: str = Field(pattern=_REVISION)


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
