"""Intents in words: how what was understood is shown back, with absolute times and places named."""

from __future__ import annotations

from domain.intent import (
    Approve,
    Cancel,
    CostEstimate,
    CostSpent,
    Deny,
    Explain,
    History,
    Intent,
    ListCycles,
    OpenCycle,
    OverrideGate,
    PolicyQuestion,
    Report,
    Resume,
    RollBack,
    SetFlag,
    ShowCycle,
    Start,
    Status,
    Stop,
    WhatWould,
    WhyAction,
    kind_of,
)

_HOW = {"gold": "the gold baseline", "day": "the values as they stood at the end of", "version": "revision"}


def said(intent: Intent) -> str:
    """Return an intent as one sentence of ours."""
    match intent:
        case OpenCycle():
            return _opened(intent)
        case Stop() | Start():
            return _switched(intent)
        case RollBack(environment=where, to=to):
            what = to.value if to.how == "gold" and to.value != "gold" else f"{_HOW[to.how]} {to.value}"
            what = "the newest gold baseline" if to.value == "gold" else what
            return f"roll {where} back to {what}{' (UTC)' if to.how == 'day' else ''}"
        case Cancel(cycle=cycle):
            return f"end {cycle} at its next step"
        case Resume(cycle=cycle):
            return f"go on with {cycle}"
        case Approve(approval=approval):
            return f"vote for {approval}"
        case Deny(approval=approval, reason=reason):
            return f"vote against {approval}" + (f": {reason}" if reason else "")
        case SetFlag(flag=flag, enabled=enabled, environment=where):
            return f"switch {flag} {'on' if enabled else 'off'} {_where(where)}"
        case OverrideGate():
            until = f"for {intent.hours:g} hours"
            return f"let the gate {intent.gate} count {intent.threshold:g} in {intent.environment} {until}"
        case _:
            return _asked(intent)


def _where(environment: str) -> str:
    return "in every environment" if environment == "all" else f"in {environment}"


def _switched(intent: Stop | Start) -> str:
    what = "everything"
    if intent.agent:
        what = f"the effects of the {intent.agent.replace('_', ' ')}"
    if intent.tool:
        what = f"the tool {intent.tool}"
    verb = "stop" if isinstance(intent, Stop) else "start"
    more = "throw the kill switch" if verb == "stop" else "lift the kill switch"
    return f"{verb} {what} {_where(intent.environment)} ({more})"


def _opened(intent: OpenCycle) -> str:
    first = f"train the {intent.model or 'model'}" if intent.action == "retrain" else f"look into {intent.signal}"
    parts = [f"open a cycle: {first}"]
    if intent.signal and intent.action == "retrain":
        parts.append(f"for {intent.signal}")
    if intent.new_subjects:
        parts.append("aimed at the new subjects")
    if intent.subjects:
        parts.append(f"aimed at {', '.join(intent.subjects)}")
    if intent.do_not_promote:
        parts.append("nothing goes live: no A/B test and no promotion, the model stays a candidate")
    if intent.only_diagnose:
        parts.append("nothing is changed: it ends with the diagnosis")
    if not (intent.do_not_promote or intent.only_diagnose):
        parts.append("it may go live where gates, policies and approvals let it")
    if intent.at_most_usd is not None:
        parts.append(f"for at most {intent.at_most_usd:g} USD")
    return "; ".join(parts)


def _asked(intent: Intent) -> str:
    match intent:
        case Explain(signal=signal, period=period):
            return f"why {signal or 'things'} moved{_during(period)}"
        case Status(environment=where):
            return f"how {where or 'it'} stands"
        case WhyAction(cycle=cycle, action=action, period=period):
            return f"why {action.replace('_', ' ') if action else 'it was decided so'}{_of(cycle)}{_during(period)}"
        case CostEstimate(action=action, cycle=cycle):
            return f"what {action.replace('_', ' ') if action else 'a cycle'}{_of(cycle)} would cost"
        case CostSpent(cycle=cycle, period=period):
            return f"what was spent{_of(cycle)}{_during(period)}"
        case History(period=period):
            return f"what happened{_during(period)}"
        case ListCycles(open_only=only, period=period):
            return f"which cycles {'are open' if only else 'there are'}{_during(period)}"
        case ShowCycle(cycle=cycle):
            return f"show {cycle}"
        case WhatWould(signal=signal):
            return f"what it would do if {signal or 'something'} broke its limit"
        case PolicyQuestion(tool=tool, environment=where):
            return f"who may use {tool or 'which tool'}{f' in {where}' if where else ''}"
        case Report(cycle=cycle, period=period):
            return f"the report{_of(cycle)}{_during(period)}"
        case _:
            return {"waiting": "what waits for people", "help": "what can be asked"}.get(kind_of(intent).value, "")


def _of(cycle: str | None) -> str:
    return f" of {cycle}" if cycle else ""


def _during(period: object) -> str:
    absolute = getattr(period, "absolute", None)
    return f" ({absolute()})" if absolute is not None else ""
