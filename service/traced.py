"""How a review of a cycle is shown: as a tree in a terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from cycles.reviewed import Review, Reviewed
from domain.markdown import literal
from domain.trace import DECISION, MODEL, TOOL
from domain.untrusted import one_line

if TYPE_CHECKING:
    from rich.tree import Tree

# Of many looks of one stage so many are shown at each end, unless all are asked for.
FEW = 2
_REASON = 160
# What goes to a file or a pipe is cut nowhere.
_ENDLESS = 10_000
_COLOURS = {"allow": "green", "deny": "red", "escalate": "yellow", "done": "green"}


def as_tree(found: Review, *, whole: bool = False, console: Any = None) -> None:
    """Print a review as a tree: wrapped in a terminal, a line each elsewhere."""
    from rich.console import Console
    from rich.tree import Tree

    if console is None:
        console = Console(highlight=False)
        console.width = console.width if console.is_terminal else _ENDLESS
    tree = Tree(_label(found.tree))
    for child in shown(found.tree.children, whole=whole):
        _grow(tree, child, whole=whole)
    console.print(tree)
    for line in facts(found):
        console.print(line, markup=False, soft_wrap=True)


def _grow(tree: Tree, node: Reviewed, *, whole: bool) -> None:
    branch = tree.add(_label(node))
    for child in shown(node.children, whole=whole):
        _grow(branch, child, whole=whole)


def _label(node: Reviewed) -> Any:
    from rich.text import Text

    text = Text(node.name, style="bold" if node.kind not in (DECISION, MODEL) else "")
    if node.answer:
        text.append(f"  {node.answer}", style=_COLOURS.get(node.answer.split(" ")[0], "cyan"))
    for part in (who(node), said(node), numbers(node)):
        if part:
            text.append(f"  {part}", style="dim")
    return text


def as_markdown(found: Review, *, whole: bool = False) -> str:
    """Return a review as Markdown."""
    lines = [f"# Review of {found.cycle_id}", ""]
    lines += [f"* {literal(line)}" for line in facts(found)]
    lines += ["", "## What happened", ""]
    lines += _listed(found.tree, 0, whole=whole)
    return "\n".join(lines)


def _listed(node: Reviewed, depth: int, *, whole: bool) -> list[str]:
    name = literal(node.name) if node.kind == DECISION else f"**{literal(node.name)}**"
    parts = [part for part in (node.answer, who(node), said(node), numbers(node)) if part]
    line = f"{'  ' * depth}* {name}" + (f": {literal('; '.join(parts))}" if parts else "")
    below = [row for child in shown(node.children, whole=whole) for row in _listed(child, depth + 1, whole=whole)]
    return [line, *below]


def facts(found: Review) -> list[str]:
    """Return what is to be known of a review beside its tree."""
    uuid = UUID(found.trace_id)
    verified = "verified" if found.verified else "not verified"
    notes = [note.removeprefix("! ") if not note.startswith("!") else f"HOLE: {note[2:]}" for note in found.notes]
    calls = [node for node in found.tree.below() if node.kind == TOOL]
    doors = [node.answer for node in found.tree.below() if node.kind == DECISION]
    counted = ", ".join(f"{doors.count(answer)} {answer}" for answer in sorted(set(doors)))
    return [
        f"outcome: {found.outcome}, {verified}",
        f"{len(calls)} tool calls; the door: {counted or 'was not asked'}",
        f"trace {found.trace_id} (LangSmith run {uuid}, MLflow tr-{found.trace_id})",
        *notes,
    ]


def who(node: Reviewed) -> str:
    """Return who did it."""
    return f"by {node.model or node.who}" if node.model or node.who else ""


def said(node: Reviewed) -> str:
    """Return why, in a line, and by which policies."""
    by = f"by {', '.join(node.policies)}" if node.policies else ""
    reason = one_line(node.reason, _REASON) if node.reason else ""
    return "; ".join(part for part in (by, reason) if part)


def numbers(node: Reviewed) -> str:
    """Return tokens, cost, duration and the records of the chain."""
    parts = []
    if node.tokens:
        parts.append(f"{node.tokens} tokens")
    if node.cost_usd:
        parts.append(f"{node.cost_usd:.4f} USD")
    if node.seconds is not None:
        parts.append(f"{node.seconds:.1f} s" if node.seconds < 600 else f"{node.seconds / 60:.0f} min")
    if node.records:
        parts.append(f"record{'s' if len(node.records) > 1 else ''} {', '.join(map(str, node.records))}")
    return ", ".join(parts)


def shown(children: Sequence[Reviewed], *, whole: bool) -> list[Reviewed]:
    """Return the children to be shown: of many looks the first and the last, and how many lie between."""
    looks = [child for child in children if child.name.startswith("look ")]
    if whole or len(looks) <= 2 * FEW + 1:
        return list(children)
    hidden = len(looks) - 2 * FEW
    between = Reviewed(name=f"({hidden} more looks)", kind="chain", reason="shown with --all")
    return [*children[:FEW], between, *children[-FEW:]]
