"""How the live view and the closing panel look in a terminal.

Text from outside only ever enters as `rich.text.Text`, which knows no markup, and without control characters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from domain.actor import Role
from domain.stage import Stage
from service.board import STAGES, Board, CallRow, State
from service.summary import DemoSummary
from service.wording import (
    MISSING,
    clean,
    digest_label,
    duration,
    gate_label,
    percent,
    readable,
    role_label,
    score,
    signal_label,
    signal_value,
    stage_label,
    words,
)

ACCENT = "cyan"
QUIET = "bright_black"
_BARS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_MARKS = {State.DONE: ("\u2713", "green"), State.SKIPPED: ("\u2013", QUIET), State.WAITING: ("\u00b7", QUIET)}
_VERDICTS = {"pass": "green", "insufficient": "yellow", "fail": "red", "error": "red"}
# Rows that are always there: header, rules, signals, crew, stages.
_FIXED = 9 + len(STAGES)


def sparkline(values: Sequence[float | None], width: int = 20) -> str:
    """Return the whole course as at most `width` bars between its own lowest and highest; a gap is a space."""
    size = max(math.ceil(len(values) / width), 1)
    means = [_mean(values[k : k + size]) for k in range(0, len(values), size)]
    known = [v for v in means if v is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    # Steady to within five per cent is drawn as steady.
    span = max(high - low, 0.05 * abs(high))
    return "".join(" " if v is None else _BARS[min(int((v - low) / span * 8), 7) if span else 0] for v in means)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def live(board: Board, spinner: Spinner, now: float, height: int) -> RenderableType:
    """Return the whole live view, cut to `height` rows."""
    notes = [Text(f"note  {line}", style="yellow", no_wrap=True, overflow="ellipsis") for line in board.notes]
    room = max(height - _FIXED - len(notes) - 1, 3)
    calls = list(board.calls)[-room:]
    return Group(
        _header(board, now),
        Text(board.phase or " ", style=QUIET, no_wrap=True, overflow="ellipsis"),
        _rule("platform"),
        _signals(board),
        _rule("crew"),
        _crew(board),
        _rule("stages"),
        _stages(board, spinner, now),
        _rule("at the door"),
        _calls(calls) if calls else Text("nothing was asked for yet", style=QUIET),
        *notes,
    )


def _rule(title: str) -> Rule:
    return Rule(Text(title, style=QUIET), align="left", style=QUIET, characters="\u2500")


def _header(board: Board, now: float) -> Table:
    row = Table.grid(expand=True)
    row.add_column(no_wrap=True)
    row.add_column(justify="right", no_wrap=True)
    left = Text("Evercrew", style="bold")
    if board.scenario:
        left.append(f"  demo: {words(board.scenario)}", style=ACCENT)
    elapsed = int(now - board.began)
    right = Text(f"{board.cycle_id or 'no cycle yet'}  {elapsed // 60}:{elapsed % 60:02d}", style=QUIET)
    row.add_row(left, right)
    return row


def _signals(board: Board) -> RenderableType:
    if not board.signals:
        return Group(Text("no sample yet", style=QUIET), Text(" "))
    grid = Table.grid(expand=True, padding=(0, 2, 0, 0))
    names = list(board.signals)[:4]
    for _ in names:
        grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    grid.add_row(
        *(Text.assemble((f"{signal_label(n)} ", QUIET), (signal_value(n, board.signals[n][-1]), "bold")) for n in names)
    )
    grid.add_row(*(Text(sparkline(list(board.signals[n])), style=ACCENT) for n in names))
    return grid


def _crew(board: Board) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    for role in Role:
        active = role.value == board.working and not board.over
        line.append("\u25cf " if active else "\u25cb ", style=ACCENT if active else QUIET)
        line.append(f"{role.label}   ", style="bold" if active else QUIET)
    return line


def _stages(board: Board, spinner: Spinner, now: float) -> Table:
    table = Table.grid(expand=True, padding=(0, 1, 0, 0))
    table.add_column(width=1)
    table.add_column(width=10, no_wrap=True)
    table.add_column(width=8, justify="right", no_wrap=True)
    table.add_column(width=15, no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for stage in STAGES:
        table.add_row(*_stage(board, stage, spinner, now))
    return table


def _stage(board: Board, stage: Stage, spinner: Spinner, now: float) -> list[RenderableType]:
    row, state = board.stages[stage], board.state(stage)
    seconds = row.seconds(now)
    quiet = QUIET if state in (State.WAITING, State.SKIPPED) else ""
    mark: RenderableType = spinner if state is State.WORKING else Text(*_MARKS[state])
    return [
        mark,
        Text(stage_label(stage.value), style="bold" if state is State.WORKING else quiet),
        Text("" if seconds is None else f"{seconds:.1f} s", style=QUIET),
        Text(row.who, style="" if state is State.WORKING else QUIET),
        Text("skipped" if state is State.SKIPPED else row.reason, style=quiet),
    ]


def _calls(calls: Sequence[CallRow]) -> Table:
    table = Table.grid(expand=True, padding=(0, 1, 0, 0))
    table.add_column(width=7, justify="right", no_wrap=True)
    table.add_column(width=15, no_wrap=True)
    table.add_column(width=21, no_wrap=True, overflow="ellipsis")
    table.add_column(width=18, no_wrap=True, overflow="ellipsis")
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for call in calls:
        table.add_row(
            Text(f"{call.at:.1f} s", style=QUIET),
            Text(call.who),
            Text(call.tool, style=ACCENT),
            Text(call.answer, style=_answer_style(call.answer)),
            Text(call.why or call.policies, style="" if call.why else QUIET),
        )
    return table


def _answer_style(answer: str) -> str:
    return {"done": "green", "refused": "yellow"}.get(answer.partition(" ")[0], "red")


# -- the end ----------------------------------------------------------------------------------------------------------


def closing(facts: DemoSummary) -> Panel:
    """Return the panel a demo ends with."""
    rows = Table.grid(padding=(0, 2, 0, 0), expand=True)
    rows.add_column(width=10, no_wrap=True, style=QUIET)
    rows.add_column(ratio=1, overflow="fold")
    rows.add_row("action", Text(f"{words(facts.action)} \u2192 {words(facts.outcome)}", style="bold"))
    rows.add_row("because", Text(readable(facts.reason)))
    for label, content in _sections(facts):
        rows.add_row("", "")
        rows.add_row(label, content)
    colour = "green" if facts.verified else "red"
    title = Text.assemble((" Evercrew ", "bold"), (f"demo: {words(facts.fault)}, seed {facts.seed} ", ACCENT))
    said = Text(" verified " if facts.verified else " not verified ", style=f"bold {colour}")
    return Panel(
        rows,
        title=title,
        title_align="left",
        subtitle=said,
        subtitle_align="right",
        border_style=colour,
        box=box.ROUNDED,
        padding=(1, 2),
    )


def _sections(facts: DemoSummary) -> list[tuple[str, RenderableType]]:
    sections: list[tuple[str, RenderableType]] = [("nDCG@10", _levels(facts))]
    if facts.gates:
        sections.append(("gates", _gates(facts)))
    if facts.ab is not None:
        sections.append(("A/B test", _ab(facts)))
    if facts.effects:
        sections.append(("effects", _effects(facts)))
    sections.append(("live", _live(facts)))
    sections.append(("time", _time(facts)))
    sections.append(("crew", _crew_cost(facts)))
    if facts.artifacts:
        sections.append(("artifacts", Text(clean(facts.artifacts), style=ACCENT)))
    return sections


def _levels(facts: DemoSummary) -> RenderableType:
    levels = (("healthy", facts.ndcg.healthy, QUIET), ("during", facts.ndcg.degraded, "red"))
    after = ("after", facts.ndcg.final, "green" if facts.verified else "yellow")
    top = max((v for _, v, _ in (*levels, after) if v is not None), default=1.0) or 1.0
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, value, style in (*levels, after):
        bar = "\u2501" * round(36 * (value or 0.0) / top)
        table.add_row(name, Text(score(value), style="bold"), Text(bar, style=style), _against(value, facts))
    return table


def _against(value: float | None, facts: DemoSummary) -> Text:
    healthy = facts.ndcg.healthy
    if value is None or not healthy or value == healthy:
        return Text("")
    return Text(f"{percent(value / healthy - 1)} against healthy", style=QUIET)


def _gates(facts: DemoSummary) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for gate in facts.gates:
        verdict = Text(clean(gate.verdict, 12), style=_VERDICTS.get(gate.verdict, "red"))
        table.add_row(
            verdict, Text(gate_label(gate.name)), Text(readable(gate.reason, 160, about=gate.name), style=QUIET)
        )
    return table


def _ab(facts: DemoSummary) -> Text:
    ab = facts.ab
    if ab is None:
        return Text(MISSING)
    return Text.assemble(
        (clean(ab.verdict, 12), _VERDICTS.get(ab.verdict, "red")),
        f"  lift {percent(ab.improvement)}, between {percent(ab.lower)} and {percent(ab.upper)}",
        (f"  ({ab.users_baseline:,} users against {ab.users_candidate:,})", QUIET),
    )


def _effects(facts: DemoSummary) -> Text:
    line = Text()
    for effect in facts.effects:
        line.append("  " if line else "")
        line.append(clean(effect.name, 40))
        line.append(f"#{effect.receipt}" if effect.receipt is not None else " without a receipt", style=QUIET)
    return line


def _live(facts: DemoSummary) -> Text:
    model, revision = digest_label(facts.live.digest), digest_label(facts.live.revision)
    return Text.assemble("model ", (model, "bold"), "  values revision ", (revision, "bold"))


def _time(facts: DemoSummary) -> Text:
    ran = [f"{stage_label(name)} {seconds:.1f}" for name, seconds in facts.seconds.stages.items()]
    return Text.assemble(
        (duration(facts.seconds.total), "bold"), (f"  at work: {', '.join(ran)}" if ran else "", QUIET)
    )


def _crew_cost(facts: DemoSummary) -> Text:
    dropped = facts.unsupported_claims
    claims = (
        "no claim was dropped" if not dropped else f"{dropped} unsupported claim{'s' if dropped > 1 else ''} dropped"
    )
    return Text.assemble(clean(facts.model, 60), (f"  {facts.tokens:,} tokens, ${facts.cost_usd:.2f}, {claims}", QUIET))


def line(board: Board, kind: str, text: str, now: float) -> str:
    """Return one plain line of a log: seconds since the start, kind, text."""
    return f"[{now - board.began:7.1f} s] {kind:<8} {text}"


def told(call: CallRow) -> str:
    """Return a call as one line."""
    more = call.why or (f"[{call.policies}]" if call.policies else "")
    return f"{call.who} asks for {call.tool}: {call.answer}{': ' if call.why else ' '}{more}".rstrip()


def role_and_stage(who: str, stage: str) -> str:
    """Return who is at work where."""
    return f"{role_label(who)} in {stage_label(stage)}"
