"""The contract from trigger to action: signals, their limits, the quality gates; and whether a signal is breached."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.errors import InvalidInput
from domain.measurement import Measurement
from domain.verdict import Judgement, Verdict
from policies.durations import Duration
from policies.loading import parse_yaml

# Which words of a row allow an action of a cycle. Going back to a release that was known to be well, watching, and
# handing over to a person are always allowed.
REMEDIES: Mapping[str, frozenset[str]] = {
    "retrain": frozenset({"retrain"}),
    "data_fix": frozenset({"augment", "extend_corpus", "quarantine"}),
    "tune": frozenset(
        {"tune", "profile", "reindex", "retry", "quarantine", "add_rules", "reduce_inference", "cheaper_model"}
    ),
}


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Limit(_Strict):
    """How far a signal may go: `absolute` in its unit, or a share of its baseline in the bad direction."""

    kind: Literal["absolute", "relative_to_baseline"]
    threshold: float

    @model_validator(mode="after")
    def _relative_is_positive(self) -> Self:
        if self.kind == "relative_to_baseline" and self.threshold <= 0:
            raise ValueError("a relative limit is a positive share, e.g. 0.03 for three percent in the bad direction")
        return self


class Rollback(_Strict):
    """When a change is taken back: by the sequential test against the baseline, at hard limits, or both."""

    test: Literal["none", "sequential"] = "none"
    limits: tuple[Limit, ...] = ()


class Signal(_Strict):
    """A row of the contract. `gates` are names of quality gates or guards that the remedy must pass.

    `actions` are the remedies that may be taken by themselves: see `REMEDIES`. A new model goes through an A/B test
    whatever the row.
    """

    trigger: str = Field(min_length=1)
    unit: str = Field(min_length=1)
    bad_direction: Literal["down", "up"]
    limits: tuple[Limit, ...] = Field(min_length=1)
    actions: tuple[str, ...] = Field(min_length=1)
    gates: tuple[str, ...] = Field(min_length=1)
    needs_approval: bool = False
    rollback: Rollback = Rollback()
    reaction: Duration


class GateSpec(_Strict):
    """A quality gate as the file states it. `min_level` is a level beside the relative rule, set by an operator."""

    signal: str
    kind: Literal["min_relative_delta", "max_relative_delta", "min", "max"]
    threshold: float
    min_level: float | None = None


class QualityGate(_Strict):
    """One rule of a gate, ready to be judged: its name, kind and (inclusive) threshold, and the signal it measures."""

    name: str
    signal: str
    kind: Literal["min_relative_delta", "max_relative_delta", "min", "max"]
    threshold: float


class SignalOverride(_Strict):
    """What an environment or target may change about a signal; what is None stays as the contract has it."""

    limits: tuple[Limit, ...] | None = Field(default=None, min_length=1)
    rollback_limits: tuple[Limit, ...] | None = None


class Contract(_Strict):
    """All signals by name, the quality gates of a candidate, and the guards of other changes."""

    version: Literal[1]
    signals: dict[str, Signal]
    quality_gates: dict[str, GateSpec]
    guards: dict[str, GateSpec] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        known = self.quality_gates.keys() | self.guards.keys()
        for name, signal in self.signals.items():
            if unknown := set(signal.gates) - known:
                raise ValueError(f"signal {name} names unknown gates {sorted(unknown)}; known are {sorted(known)}")
        for name, gate in [*self.quality_gates.items(), *self.guards.items()]:
            if gate.signal not in self.signals:
                raise ValueError(f"gate {name} measures the unknown signal {gate.signal!r}")
        return self

    def signal(self, name: str) -> Signal:
        """Return the row of `name`.

        Raises:
            InvalidInput: there is no such signal.
        """
        if name not in self.signals:
            raise InvalidInput("signal", f"{name!r} is not in the contract", f"Known are {', '.join(self.signals)}")
        return self.signals[name]

    def allows(self, action: str, signals: Iterable[str]) -> bool:
        """Whether one of the rows of `signals` names the action among those that are taken by themselves."""
        words = REMEDIES.get(action)
        return words is None or any(words & set(self.signals[name].actions) for name in signals if name in self.signals)

    def promotion_gates(self) -> tuple[QualityGate, ...]:
        """Return every rule a candidate must pass before promotion."""
        return tuple(rule for name in self.quality_gates for rule in self.gate(name))

    def gate(self, name: str) -> tuple[QualityGate, ...]:
        """Return the rules of one quality gate or guard.

        Raises:
            InvalidInput: there is no such gate.
        """
        spec = self.quality_gates.get(name) or self.guards.get(name)
        if spec is None:
            known = ", ".join([*self.quality_gates, *self.guards])
            raise InvalidInput("gate", f"{name!r} is not in the contract", f"Known are {known}")
        rules = [QualityGate(name=name, signal=spec.signal, kind=spec.kind, threshold=spec.threshold)]
        if spec.min_level is not None:
            rules.append(QualityGate(name=f"{name}_level", signal=spec.signal, kind="min", threshold=spec.min_level))
        return tuple(rules)

    def with_overrides(self, overrides: Mapping[str, SignalOverride]) -> Contract:
        """Return the contract with the limits of an environment or target in place of its own.

        Raises:
            InvalidInput: a signal is not in the contract.
        """
        signals = dict(self.signals)
        for name, override in overrides.items():
            signal = self.signal(name)
            limits = signal.limits if override.limits is None else override.limits
            back = signal.rollback.limits if override.rollback_limits is None else override.rollback_limits
            rollback = signal.rollback.model_copy(update={"limits": back})
            signals[name] = signal.model_copy(update={"limits": limits, "rollback": rollback})
        return self.model_copy(update={"signals": signals})


def load_contract(text: str, *, file: str = "contract.yaml") -> Contract:
    """Return the contract of `text`.

    Raises:
        ConfigurationError: names file, field and remedy.
    """
    return parse_yaml(text, Contract, file=file)


def breached(
    contract: Contract, signal: str, current: Measurement | None, baseline: Measurement | None = None
) -> Judgement:
    """Judge a signal by the limits of its row: `fail` breached, `pass` within all of them.

    `insufficient` when the current value is missing, or when no limit is breached and a relative one cannot be read
    for want of a baseline; `error` when a value is not finite, or a relative limit meets another unit or a baseline
    that is not positive.

    Raises:
        InvalidInput: the signal is not in the contract.
    """
    row = contract.signal(signal)
    return _other_unit(signal, row, current) or judge_limits(signal, row.bad_direction, row.limits, current, baseline)


def rollback_due(
    contract: Contract, signal: str, current: Measurement | None, baseline: Measurement | None = None
) -> Judgement:
    """Judge a signal by the hard limits of its rollback condition; like `breached`, and `pass` where the row has none.

    Raises:
        InvalidInput: the signal is not in the contract.
    """
    row, found = contract.signal(signal), contract.signal(signal).rollback.limits
    return _other_unit(signal, row, current) or judge_limits(signal, row.bad_direction, found, current, baseline)


def _other_unit(name: str, row: Signal, current: Measurement | None) -> Judgement | None:
    """Return that a value is in another unit than its row: 0.9 s is no answer to a limit of 800 ms."""
    if current is None or current.value is None or current.unit == row.unit:
        return None
    said = f"{name}: measured in {current.unit!r}, and its limits are in {row.unit!r}"
    return _judged(Verdict.ERROR, said, name, current)


def judge_limits(
    name: str,
    bad_direction: Literal["down", "up"],
    limits: tuple[Limit, ...],
    current: Measurement | None,
    baseline: Measurement | None,
) -> Judgement:
    """Judge `current` by `limits`; the worst answer counts, in the order fail, error, insufficient, pass."""
    problem = _unreadable("current value", current)
    if problem or current is None:
        return problem.model_copy(update={"name": name}) if problem else _judged(Verdict.INSUFFICIENT, "missing", name)
    answers = [_judge_limit(bad_direction, limit, current, baseline) for limit in limits]
    for verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.INSUFFICIENT):
        if found := [a for a in answers if a.verdict is verdict]:
            return _judged(verdict, "; ".join(f"{name}: {a.reason}" for a in found), name, current, baseline)
    said = "; ".join(a.reason for a in answers) or f"{current.finite():.4g} {current.unit}, no limit"
    return _judged(Verdict.PASS, f"{name}: {said}", name, current, baseline)


def _judge_limit(
    bad_direction: Literal["down", "up"], limit: Limit, current: Measurement, baseline: Measurement | None
) -> Judgement:
    value, sign = current.finite(), (1 if bad_direction == "up" else -1)
    if limit.kind == "absolute":
        beyond = sign * (value - limit.threshold) > 0 and not math.isclose(value, limit.threshold, rel_tol=1e-9)
        word = "above" if bad_direction == "up" else "below"
        reason = f"{value:.4g} {current.unit} is {'' if beyond else 'not '}{word} {limit.threshold:g}"
        return _judged(Verdict.FAIL if beyond else Verdict.PASS, reason)
    problem = _unreadable("baseline", baseline)
    if problem or baseline is None:
        return problem or _judged(Verdict.INSUFFICIENT, "the baseline is missing")
    before = baseline.finite()
    if baseline.unit != current.unit:
        return _judged(Verdict.ERROR, f"{current.unit!r} cannot be compared with a baseline in {baseline.unit!r}")
    change = (value - before) / before if before > 0 else math.nan
    if not math.isfinite(change):
        return _judged(Verdict.ERROR, f"no relative change from a baseline of {before:g}")
    worse = sign * change
    reached = worse >= limit.threshold or math.isclose(worse, limit.threshold, rel_tol=1e-9)
    reason = f"{change:+.2%} from {before:.4g}, {'beyond' if reached else 'within'} {sign * limit.threshold:+.2%}"
    return _judged(Verdict.FAIL if reached else Verdict.PASS, reason)


def _unreadable(which: str, measurement: Measurement | None) -> Judgement | None:
    if measurement is None or measurement.value is None or measurement.n <= 0:
        return _judged(Verdict.INSUFFICIENT, f"the {which} is missing")
    if not math.isfinite(measurement.value):
        return _judged(Verdict.ERROR, f"the {which} is {measurement.value}, which is not a finite number")
    return None


def _judged(
    verdict: Verdict,
    reason: str,
    name: str = "",
    current: Measurement | None = None,
    baseline: Measurement | None = None,
) -> Judgement:
    figures: dict[str, float | int | str | None] = {}
    if current is not None:
        known = baseline is not None and baseline.usable
        figures = {"current": current.value, "baseline": baseline.value if baseline is not None and known else None}
    return Judgement(verdict=verdict, reason=reason, name=name, figures=figures)
