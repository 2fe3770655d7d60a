"""What is offered over MCP: each tool is one operation of the REST API, so that both do the same under the same guard.

Names, parameters and answers come from the API's own schema; here stands which operations an assistant is offered, what
it is told of them, and which of them a person has to confirm first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.access import ApiAction

API = "/api/v1"


class Weight(StrEnum):
    """What a tool does: looks, acts in a way that can be taken back at once, or acts so that it cannot."""

    LOOKS = "looks"
    ACTS = "acts"
    WEIGHS = "weighs"


@dataclass(frozen=True)
class Offer:
    """One tool.

    Args:
        path: of the operation, below `/api/v1`.
        about: what an assistant is told; plain and complete, for it decides by that.
        weight: what weighs is proposed first and done when it is confirmed.
        left_out: parameters of the operation that are not offered.
    """

    name: str
    title: str
    method: str
    path: str
    action: ApiAction
    about: str
    weight: Weight = Weight.LOOKS
    left_out: tuple[str, ...] = ()


_VIEW, _AUDIT = ApiAction.VIEW, ApiAction.VIEW_AUDIT
OFFERS: tuple[Offer, ...] = (
    Offer(
        "status",
        "How the optimizer stands",
        "get",
        "/optimizer/status",
        _VIEW,
        "Whether self-improvement is stopped and why, which cycles are open, what waits for people. Ask this first.",
    ),
    Offer(
        "list_cycles",
        "List improvement cycles",
        "get",
        "/cycles",
        _VIEW,
        "Cycles, newest first, by state, target, signal, outcome or time. Follow `next` as `cursor` for more.",
    ),
    Offer(
        "show_cycle",
        "Show a cycle",
        "get",
        "/cycles/{cycle_id}",
        _VIEW,
        "A cycle with its alert, what its stages came to (`facts`), seconds by stage, and the names of its artifacts.",
    ),
    Offer(
        "cycle_events",
        "What happened in a cycle",
        "get",
        "/cycles/{cycle_id}/events",
        _VIEW,
        "What happened in a cycle, oldest first, each with the number of its record in the audit chain.",
        left_out=("stream",),
    ),
    Offer(
        "verify_cycle",
        "Prove a cycle",
        "get",
        "/cycles/{cycle_id}/verify",
        _VIEW,
        "Whether the record of a cycle proves what it claims, link by link. What cannot be checked is not ok.",
    ),
    Offer(
        "list_targets", "What is cared for", "get", "/targets", _VIEW, "The targets, and the cycle that works on each."
    ),
    Offer(
        "show_target",
        "A target and its contract",
        "get",
        "/targets/{name}",
        _VIEW,
        "The signals of a target with limits, actions, gates and reaction times, and what is live now.",
    ),
    Offer(
        "read_signals",
        "Measure a target now",
        "get",
        "/targets/{name}/health",
        _VIEW,
        "Every signal now and at its baseline, and whether it is beyond its limit. What cannot be measured says why: "
        "it is unknown then, not well.",
    ),
    Offer(
        "list_gates",
        "Quality gates in force",
        "get",
        "/optimizer/quality-gates",
        _VIEW,
        "The quality gates and guards as they count now, with the overrides in force.",
    ),
    Offer(
        "list_policies", "The policy set", "get", "/policies", _VIEW, "Which policies are in force, by name and hash."
    ),
    Offer(
        "explain_policy",
        "Why a call is allowed or not",
        "get",
        "/policies/explain",
        _VIEW,
        "What the policies say of a tool for a role of the crew, and which facts would change the answer.",
    ),
    Offer("list_flags", "Feature flags", "get", "/flags", _VIEW, "Every feature as it counts here, and who set it."),
    Offer("list_budgets", "Budgets", "get", "/budgets", _VIEW, "Limit, spent, set aside and left, by account."),
    Offer(
        "query_audit",
        "Search the audit chain",
        "get",
        "/audit/records",
        _AUDIT,
        "Records of the audit chain by cycle, kind, actor, tool, decision or time, oldest first.",
    ),
    Offer(
        "verify_audit",
        "Verify the audit chain",
        "get",
        "/audit/verify",
        _AUDIT,
        "Walk the whole chain: hashes, order and signatures; names the first record that does not hold.",
    ),
    Offer(
        "list_approvals",
        "What waits for people",
        "get",
        "/approvals",
        _VIEW,
        "Requests for approval, newest first, with who has said what.",
    ),
    Offer(
        "show_approval",
        "What an approval is about",
        "get",
        "/approvals/{identity}",
        _VIEW,
        "The change as a diff, the evidence, the price and the votes. Show the person the diff before they vote; a "
        "vote needs `seen` from here.",
    ),
    Offer(
        "rollback_preview",
        "What a rollback would do",
        "get",
        "/optimizer/rollback/preview",
        ApiAction.ROLLBACK,
        "Where going back to a version, baseline, date or revision would lead, as a diff, rehearsed. Changes nothing.",
    ),
    Offer(
        "open_cycle",
        "Ask for a cycle",
        "post",
        "/cycles",
        ApiAction.OPEN_CYCLE,
        "Ask for an improvement cycle because of a signal. It goes through the same policies and approvals as an "
        "alert, and joins a cycle that is open. `do_not_promote` and `only_diagnose` narrow it.",
        Weight.ACTS,
    ),
    Offer(
        "stop",
        "Stop self-improvement",
        "post",
        "/optimizer/stop",
        ApiAction.STOP,
        "Throw the kill switch at once, for everything or one role or tool; what is half done is brought to a safe "
        "state. Needs no confirmation: it is the way to be safe.",
        Weight.ACTS,
    ),
    Offer(
        "start",
        "Let self-improvement go on",
        "post",
        "/optimizer/start",
        ApiAction.START,
        "Lift the kill switch.",
        Weight.WEIGHS,
    ),
    Offer(
        "cancel_cycle",
        "End a cycle",
        "post",
        "/cycles/{cycle_id}/cancel",
        ApiAction.CANCEL_CYCLE,
        "Ask a cycle to end at its next step. A change that is live and unjudged is judged first.",
        Weight.WEIGHS,
    ),
    Offer(
        "vote",
        "Approve or deny",
        "post",
        "/approvals/{identity}/votes",
        ApiAction.VOTE,
        "Allow exactly one call, once, or refuse it, in the name of the person. `seen` comes from show_approval and "
        "binds the vote to the change that was shown. Vote only as the person told you to.",
        Weight.WEIGHS,
    ),
    Offer(
        "set_flag",
        "Set a feature flag",
        "put",
        "/flags/{name}",
        ApiAction.SET_FLAG,
        "Switch a feature on or off, with the reason.",
        Weight.WEIGHS,
    ),
    Offer(
        "roll_back",
        "Roll back",
        "post",
        "/optimizer/rollback",
        ApiAction.ROLLBACK,
        "Restore the values as they stood at a version, baseline, date or revision, and wait until they are live. "
        "Look at rollback_preview first, and show it to the person.",
        Weight.WEIGHS,
    ),
)
CONFIRM = "confirm"
REVIEW = "review_cycle"
