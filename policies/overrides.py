"""What an override does to the contract, and what no override may do.

A number means nothing by itself: 0.2 is a share under one kind of gate and a price under another. So an override keeps
of which kind its gate or limit was, and in which unit, when it was given. The contract may be changed under it; then it
counts no more, and the number of the file does.

An override changes a number. Verdicts stay as they are: what is missing is still insufficient, what is not finite is
still an error. The kill switch, tombstones and the rules of the policy set are no numbers, and nothing here reaches
them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta

from domain.errors import InvalidInput
from domain.override import MOST_UNIT, Override
from policies.contract import Contract, GateSpec, Limit, Signal

LONGEST = timedelta(days=30)
_LEVEL = "_level"
_ANEW = "End it, and add one for the contract as it is now"
# A guard may be loosened, but not to where a loss anybody would see is let through.
LEAST_GUARD = -0.10
# A candidate may be allowed to be dearer or slower by a share, and never to be more than twice of what is served.
LARGEST_RISE = 1.0
# Shares of a baseline; everything else is a level in the unit of its signal.
_SHARES = frozenset({"relative_to_baseline", "min_relative_delta", "max_relative_delta"})


def checked(contract: Contract, override: Override) -> Override:
    """Return the override when it may be, with what its number means by this contract.

    Raises:
        InvalidInput: it names no gate or signal, its number cannot be, or it lasts for too long.
    """
    lasts = override.expires - override.at
    if not timedelta() < lasts <= LONGEST:
        raise InvalidInput("expires", f"{lasts} is not between nothing and {LONGEST.days} days", "Write e.g. 2h or 3d")
    for field in ("by", "reason"):
        if not str(getattr(override, field)).strip():
            raise InvalidInput(field, "is empty", "Say who overrides it, and why")
    if not math.isfinite(override.threshold):
        raise InvalidInput("threshold", f"{override.threshold} is not finite", "Give a number")
    _check_number(contract, override)
    found = _meant(contract, override)
    if len(found.unit) > MOST_UNIT:
        remedy = f"Give the row of {override.name} a unit of at most {MOST_UNIT} characters"
        raise InvalidInput("unit", f"{found.unit!r} is too long to be kept", remedy)
    return found


def misfit(contract: Contract, override: Override) -> str:
    """Return why an override does not count by this contract, in words; nothing where it does.

    One of a gate that does not say its kind, as earlier releases wrote them, counts only where it is a level: nobody
    knows what its number was meant for.
    """
    level = _spec_name(contract, override.name) != override.name
    if override.kind == "gate" and not override.of and not level:
        return f"it does not say for which kind of gate its number was given: end it, and add one for {override.name}"
    try:
        _check_number(contract, override)
    except InvalidInput as problem:
        return str(problem)
    return ""


def applied(contract: Contract, overrides: Iterable[Override]) -> Contract:
    """Return the contract with the numbers of the overrides in place of its own; of two for one, the newer counts.

    The contract may have changed since an override was added: one that it would refuse now, or whose gate is of another
    kind or unit now, is left out, and the number of the file counts. A gate's override without a kind is taken at its
    word: it is one that a tape of an earlier release holds beside the contract it was given for.
    """
    signals, gates, guards = dict(contract.signals), dict(contract.quality_gates), dict(contract.guards)
    for each in sorted(overrides, key=lambda o: o.at):
        if not _fits(contract, each):
            continue
        if each.kind == "gate":
            book = guards if each.name.removesuffix(_LEVEL) in guards else gates
            name = _spec_name(contract, each.name)
            if name in book:
                book[name] = _with(book[name], each)
        elif each.name in signals:
            signals[each.name] = _limited(signals[each.name], each)
    return contract.model_copy(update={"signals": signals, "quality_gates": gates, "guards": guards})


def _fits(contract: Contract, override: Override) -> bool:
    try:
        _check_number(contract, override)
    except InvalidInput:
        return False
    return True


def _check_number(contract: Contract, override: Override) -> None:
    if override.kind == "gate":
        _check_gate(contract, override)
    else:
        _check_limit(contract, override)
    now, name = _meant(contract, override), override.name
    if override.of and override.of != now.of:
        raise InvalidInput("of", f"it was given for {override.of}, and {name} is {now.of} now", _ANEW)
    if override.unit and override.unit != now.unit:
        raise InvalidInput("unit", f"it was given in {override.unit!r}, and {name} is in {now.unit!r} now", _ANEW)


def _meant(contract: Contract, override: Override) -> Override:
    """Return the override with the kind and the unit that its number has by this contract."""
    of, signal = override.of, override.name
    if override.kind == "gate":
        name = _spec_name(contract, override.name)
        spec = contract.quality_gates.get(name) or contract.guards[name]
        of, signal = ("min" if override.name != name else spec.kind), spec.signal
    unit = "" if of in _SHARES else contract.signal(signal).unit
    return override.model_copy(update={"of": of, "unit": unit})


def _spec_name(contract: Contract, name: str) -> str:
    known = contract.quality_gates.keys() | contract.guards.keys()
    return name if name in known else name.removesuffix(_LEVEL)


def _with(spec: GateSpec, override: Override) -> GateSpec:
    field = "min_level" if override.name.endswith(_LEVEL) else "threshold"
    return spec.model_copy(update={field: override.threshold})


def _limited(row: Signal, override: Override) -> Signal:
    def changed(limits: tuple[Limit, ...]) -> tuple[Limit, ...]:
        new = {"threshold": override.threshold}
        return tuple(limit.model_copy(update=new) if limit.kind == override.of else limit for limit in limits)

    if override.kind == "limit":
        return row.model_copy(update={"limits": changed(row.limits)})
    rollback = row.rollback.model_copy(update={"limits": changed(row.rollback.limits)})
    return row.model_copy(update={"rollback": rollback})


def _check_gate(contract: Contract, override: Override) -> None:
    name = _spec_name(contract, override.name)
    contract.gate(name)
    spec = contract.quality_gates.get(name) or contract.guards[name]
    if override.name != name:
        if not spec.kind.startswith("min"):
            raise InvalidInput("gate", f"{name} is a gate of kind {spec.kind}; it has no level", f"Override {name}")
        return
    least = 0.0 if name in contract.quality_gates else LEAST_GUARD
    if spec.kind == "min_relative_delta" and override.threshold < least:
        remedy = f"Give {least:g} or more: what is measured to be worse is never let through"
        raise InvalidInput("threshold", f"{override.threshold:g} would let a loss through", remedy)
    if spec.kind == "max_relative_delta" and not 0 <= override.threshold <= LARGEST_RISE:
        raise InvalidInput("threshold", f"{override.threshold:g} is no share between 0 and 1", "Write 0.2 for 20 %")


def _check_limit(contract: Contract, override: Override) -> None:
    row = contract.signal(override.name)
    limits = row.limits if override.kind == "limit" else row.rollback.limits
    known = [limit.kind for limit in limits]
    if override.of not in known:
        said = f"{override.name} has no {override.of or 'such'} limit there"
        raise InvalidInput("of", said, f"Use one of: {', '.join(known) or 'none: the row has no limit'}")
    if override.of == "relative_to_baseline" and not 0 < override.threshold <= 1:
        raise InvalidInput("threshold", f"{override.threshold:g} is no share between 0 and 1", "Write 0.05 for 5 %")
