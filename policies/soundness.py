"""What no contract may say, whatever its file says: asked of one before it is put in force.

The stages rest on some rows and gates by name, and no file may loosen a gate to where a measured loss passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from domain.signal import SignalSpec
from policies.contract import Contract, GateSpec, Rollback
from policies.overrides import LARGEST_RISE, LEAST_GUARD

# The quality that a new model is tested and watched by, and what it must not cost.
QUALITY = "ndcg_at_10"
LATENCY = "latency_p95_ms"


def unsound(contract: Contract, measured: Mapping[str, SignalSpec], first: Contract | None = None) -> list[str]:
    """Return what is wrong with a contract, in words; nothing for a sound one.

    Args:
        measured: in which unit each signal is measured here, and which way it is better; others are not measured.
        first: the contract that this process began with.
    """
    found = [f"there is no row {name}" for name in (QUALITY, LATENCY) if name not in contract.signals]
    found += [
        f"{name} is in {row.unit!r}, and measured in {measured[name].unit!r}"
        for name, row in contract.signals.items()
        if name in measured and row.unit != measured[name].unit
    ]
    found += _turned(contract, measured)
    found += [f"the reaction of {n} is no time" for n, row in contract.signals.items() if row.reaction <= timedelta()]
    found += [*_quality(contract.quality_gates.get(QUALITY)), *_loose(contract)]
    return found if first is None else [*found, *_changed(contract, first)]


def _changed(contract: Contract, first: Contract) -> list[str]:
    """Return what may not change while a process lives."""
    found = []
    if names := ", ".join(sorted(set(first.signals) ^ set(contract.signals))):
        found.append(f"{names} came or went: alerts are routed by the rows of the start; restart to add or remove one")
    if _taken_back(first) and QUALITY in contract.signals and not _taken_back(contract):
        found.append(f"nothing takes a change back for {QUALITY} any more: give its rollback a test or limits")
    return found


def _taken_back(contract: Contract) -> bool:
    row = contract.signals.get(QUALITY)
    return row is not None and row.rollback != Rollback()


def _turned(contract: Contract, measured: Mapping[str, SignalSpec]) -> list[str]:
    """Return the rows whose limits would see a gain as a loss, and a loss as none."""
    known = {name: "down" if spec.higher_is_better else "up" for name, spec in measured.items()}
    return [
        f"{name} is said to get worse going {row.bad_direction}, and it gets worse going {known[name]}"
        for name, row in contract.signals.items()
        if name in known and row.bad_direction != known[name]
    ]


def _quality(gate: GateSpec | None) -> list[str]:
    if gate is None or (gate.signal, gate.kind) != (QUALITY, "min_relative_delta"):
        return [f"there is no gate {QUALITY} of the kind min_relative_delta on {QUALITY}: nothing else tests a model"]
    return []


def _loose(contract: Contract) -> list[str]:
    books = ((contract.quality_gates, 0.0), (contract.guards, LEAST_GUARD))
    losses = [
        f"{name} would let a loss through ({gate.threshold:g}, at least {least:g})"
        for book, least in books
        for name, gate in book.items()
        if gate.kind == "min_relative_delta" and gate.threshold < least
    ]
    rises = [
        f"{name} would let a rise by {gate.threshold:g} through: give a share between 0 and {LARGEST_RISE:g}"
        for book, _ in books
        for name, gate in book.items()
        if gate.kind == "max_relative_delta" and not 0 <= gate.threshold <= LARGEST_RISE
    ]
    return [*losses, *rises]
