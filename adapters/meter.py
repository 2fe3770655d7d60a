"""What the adapters count of themselves: requests by outcome, and how long they took.

One registry for the process, in the Prometheus text format by `exposition`, so that an operator can alert on a vendor
that gets slow before it fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from domain.errors import DependencyLied, DependencyTimeout, DependencyUnavailable, EvercrewError

REGISTRY = CollectorRegistry()
_REQUESTS = Counter(
    "evercrew_adapter_requests", "Requests to a system, by how they ended.", ["adapter", "outcome"], registry=REGISTRY
)
_SECONDS = Histogram(
    "evercrew_adapter_seconds",
    "Wall time of a request to a system, retries included.",
    ["adapter"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300),
    registry=REGISTRY,
)
_POLICY_CHANGES = Counter(
    "evercrew_policy_changes", "Changed policy sets, taken into force or kept out of it.", ["result"], registry=REGISTRY
)
_POLICY_STALE = Gauge(
    "evercrew_policy_stale", "1 while the policy set on disk is not the one in force.", registry=REGISTRY
)
_OUTCOMES = ((DependencyTimeout, "slow"), (DependencyLied, "lying"), (DependencyUnavailable, "refused"))


@contextmanager
def metered(adapter: str) -> Iterator[None]:
    """Count what happens inside as one request of `adapter`: ok, refused, slow, lying, or another error."""
    started = perf_counter()
    outcome = "error"
    try:
        yield
        outcome = "ok"
    except EvercrewError as error:
        outcome = next((word for kind, word in _OUTCOMES if isinstance(error, kind)), "error")
        raise
    finally:
        _REQUESTS.labels(adapter, outcome).inc()
        _SECONDS.labels(adapter).observe(perf_counter() - started)


def policy_change(*, taken: bool) -> None:
    """Count a changed policy set, and say whether the one on disk is in force."""
    _POLICY_CHANGES.labels("taken" if taken else "kept_out").inc()
    _POLICY_STALE.set(0 if taken else 1)


def exposition() -> str:
    """Return everything counted so far in the Prometheus text format."""
    return generate_latest(REGISTRY).decode()
