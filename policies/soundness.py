"""What no contract may say, whatever its file says: asked of one before it is put in force.

The stages rest on some rows and gates by name, and no file may loosen a gate to where a measured loss passes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta

from policies.contract import Contract, GateSpec
from policies.overrides import LEAST_GUARD

# The quality that a new model is tested and watched by, and what it must not cost.
QUALITY = "ndcg_at_10"
LATENCY = "latency_p95_ms"


def unsound(contract: Contract, units: Mapping[str, str], known: Collection[str] | None = None) -> list[str]:
    """Return what is wrong with a contract, in words; nothing for a sound one.

    Args:
        units: in which unit each signal is measured here; those that are not measured are not in it.
        known: the signals of the contract that this process began with.
    """
    found = [f"there is no row {name}" for name in (QUALITY, LATENCY) if name not in contract.signals]
    found += [
        f"{name} is in {row.unit!r}, and measured in {units[name]!r}"
        for name, row in contract.signals.items()
        if name in units and row.unit != units[name]
    ]
    found += [f"the reaction of {n} is no time" for n, row in contract.signals.items() if row.reaction <= timedelta()]
    found += [*_quality(contract.quality_gates.get(QUALITY)), *_loose(contract)]
    if known is not None and set(known) != set(contract.signals):
        names = ", ".join(sorted(set(known) ^ set(contract.signals)))
        found.append(f"{names} came or went: alerts are routed by the rows of the start; restart to add or remove one")
    return found


def _quality(gate: GateSpec | None) -> list[str]:
    if gate is None or (gate.signal, gate.kind) != (QUALITY, "min_relative_delta"):
        return [f"there is no gate {QUALITY} of the kind min_relative_delta on {QUALITY}: nothing else tests a model"]
    return []


def _loose(contract: Contract) -> list[str]:
    books = ((contract.quality_gates, 0.0), (contract.guards, LEAST_GUARD))
    return [
        f"{name} would let a loss through ({gate.threshold:g}, at least {least:g})"
        for book, least in books
        for name, gate in book.items()
        if gate.kind == "min_relative_delta" and gate.threshold < least
    ]
