"""Quality gates: a rule, a baseline and a candidate measurement in, a judgement out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol

from domain.measurement import Measurement
from domain.verdict import Judgement, Verdict
from domain.verdict import combine as combine_judgements
from learning.series import at_least, at_most, judged

KINDS = ("min_relative_delta", "max_relative_delta", "min", "max")


class GateRule(Protocol):
    """What a gate needs to know; the quality gates of the contract have this shape."""

    @property
    def name(self) -> str:
        """The measured signal."""

    @property
    def kind(self) -> str:
        """One of `KINDS`."""

    @property
    def threshold(self) -> float:
        """A share for the relative kinds (0.03 is 3 %), else in the unit of the measurement. Inclusive."""


def judge_gate(rule: GateRule, baseline: Measurement | None, candidate: Measurement | None) -> Judgement:
    """Judge `candidate` by `rule`, against `baseline` where the rule is relative.

    Thresholds are inclusive: exactly at the threshold passes. A measurement that is missing or rests on no sample is
    `insufficient`; a value that is not finite, a baseline that is not positive under a relative rule, different units,
    an unknown kind or a threshold that is not finite are `error`.
    """
    if rule.kind not in KINDS:
        return judged(Verdict.ERROR, f"{rule.name}: unknown kind of gate {rule.kind!r}", rule.name)
    if not math.isfinite(rule.threshold):
        return judged(Verdict.ERROR, f"{rule.name}: the threshold {rule.threshold} is not a finite number", rule.name)
    problem = _unusable(rule.name, "candidate", candidate)
    if problem or candidate is None:
        return problem or _missing(rule.name, "candidate")
    if rule.kind in ("min", "max"):
        return _judge_level(rule, candidate)
    problem = _unusable(rule.name, "baseline", baseline)
    if problem or baseline is None:
        return problem or _missing(rule.name, "baseline")
    return _judge_relative(rule, baseline, candidate)


def combine(judgements: Iterable[Judgement], name: str = "") -> Judgement:
    """Return the worst of the judgements (error, fail, insufficient, pass); of none at all, insufficient."""
    return combine_judgements(judgements, name)


def _missing(name: str, which: str) -> Judgement:
    return judged(Verdict.INSUFFICIENT, f"{name}: the {which} was not measured", name)


def _unusable(name: str, which: str, measurement: Measurement | None) -> Judgement | None:
    if measurement is None or measurement.value is None:
        return _missing(name, which)
    if not math.isfinite(measurement.value):
        return judged(Verdict.ERROR, f"{name}: the {which} is {measurement.value}, which is not a finite number", name)
    if measurement.n <= 0:
        return judged(Verdict.INSUFFICIENT, f"{name}: the {which} rests on {measurement.n} samples", name)
    return None


def _judge_level(rule: GateRule, candidate: Measurement) -> Judgement:
    value = candidate.finite()
    good = at_least(value, rule.threshold) if rule.kind == "min" else at_most(value, rule.threshold)
    bound = "at least" if rule.kind == "min" else "at most"
    reason = f"{rule.name}: {value:.4g} {candidate.unit} where {bound} {rule.threshold:g} is asked for"
    figures = {"candidate": value, "threshold": rule.threshold, "n": candidate.n}
    return judged(Verdict.PASS if good else Verdict.FAIL, reason, rule.name, **figures)


def _judge_relative(rule: GateRule, baseline: Measurement, candidate: Measurement) -> Judgement:
    before, after = baseline.finite(), candidate.finite()
    if baseline.unit != candidate.unit:
        reason = f"{rule.name}: baseline in {baseline.unit!r} and candidate in {candidate.unit!r} cannot be compared"
        return judged(Verdict.ERROR, reason, rule.name)
    delta = (after - before) / before if before > 0 else math.nan
    if not math.isfinite(delta):
        return judged(Verdict.ERROR, f"{rule.name}: no relative change from a baseline of {before:g}", rule.name)
    good = at_least(delta, rule.threshold) if rule.kind == "min_relative_delta" else at_most(delta, rule.threshold)
    bound = "at least" if rule.kind == "min_relative_delta" else "at most"
    reason = f"{rule.name}: {delta:+.2%} ({before:.4g} to {after:.4g}) where {bound} {rule.threshold:+.2%} is asked for"
    figures = {"baseline": before, "candidate": after, "relative_delta": delta, "threshold": rule.threshold}
    return judged(Verdict.PASS if good else Verdict.FAIL, reason, rule.name, **figures)
