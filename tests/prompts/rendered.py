"""Every prompt, rendered as an agent is given it. `python -m tests.prompts.rendered` writes the snapshots anew."""

from __future__ import annotations

from pathlib import Path

from agents.blocks import BRIEF, HELD, PROPOSAL, REASON, block
from agents.roster import default_roster
from domain.untrusted import Untrusted
from prompts.library import render

SNAPSHOTS = Path(__file__).parent / "snapshots"
# The schemas belong to the answers' types; what is reviewed here are the words around them.
SCHEMA = '{"type": "object"}'
ALERT = Untrusted(text="SearchQualityDropped\nsummary: nDCG@10 fell", source="alert f00d").block()
SHOWN = block(BRIEF, {"cycle_id": "si_2026_01_31_001", "alert": {"signal": "ndcg_at_10"}})


def rendered() -> dict[str, str]:
    """Return every prompt by the name of its snapshot."""
    made: dict[str, str] = {}
    for seat in default_roster().seats.values():
        made[f"goal_{seat.role.value}"] = seat.goal.text
        for task in seat.tools:
            made[f"{task}_system"] = render(f"{task}/system.md", max_calls=seat.max_calls).text
            made[f"{task}_task"] = _task(task)
    made["partial_revision"] = _revision()
    made["partial_correction"] = render(
        "partials/correction.md", problem="action: Field required", held=block(HELD, {"results": []})
    ).text
    return made


def _task(task: str) -> str:
    if task.endswith("_review"):
        return render(f"{task}/task.md", brief=SHOWN, schema=SCHEMA, round=1, alert=ALERT).text
    return render(f"{task}/task.md", brief=SHOWN, schema=SCHEMA, revision="", alert=ALERT).text


def _revision() -> str:
    reason, held = block(REASON, {"reason": "cite the fall"}), block(HELD, {"results": []})
    return render("partials/revision.md", reason=reason, proposal=block(PROPOSAL, {}), held=held).text


def write() -> None:
    """Write the snapshots."""
    SNAPSHOTS.mkdir(exist_ok=True)
    for name, text in rendered().items():
        (SNAPSHOTS / f"{name}.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
