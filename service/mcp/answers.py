"""Tools of the server's own, the check of arguments, and the shapes of answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import mcp.types as wire
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from agents.blocks import shown
from domain.errors import InvalidInput
from domain.untrusted import one_line
from service.mcp.offers import CONFIRM, REVIEW, Offer
from service.mcp.proposals import LASTS, Proposal

QUESTION = {"type": "object", "properties": {"answer": {"type": "boolean", "title": "Do it?"}}, "required": ["answer"]}
"""What a client asks its person."""


def checked(tool: str, schema: dict[str, Any], args: Mapping[str, Any]) -> None:
    """Return when the arguments fit.

    Raises:
        InvalidInput: they do not; names the first field that does not.
    """
    found = best_match(Draft202012Validator(schema).iter_errors(dict(args)))
    if found is not None:
        field = ".".join(map(str, found.absolute_path)) or "arguments"
        raise InvalidInput(field, one_line(found.message), f"See the input schema of {tool}")


def confirm_tool() -> wire.Tool:
    """Return the tool that does what was proposed."""
    about = (
        "Do what was proposed. Call it only when the person, having seen what would be done, has said so; the "
        f"proposal is good for {LASTS.total_seconds() / 60:g} minutes, and doing it twice does it once."
    )
    takes = {
        "type": "object",
        "properties": {"proposal": {"type": "string", "description": "As the proposing call answered it."}},
        "required": ["proposal"],
        "additionalProperties": False,
    }
    hints = wire.ToolAnnotations(readOnlyHint=False, destructiveHint=True, idempotentHint=True, openWorldHint=False)
    return wire.Tool(name=CONFIRM, title="Confirm a proposal", description=about, inputSchema=takes, annotations=hints)


def review_tool() -> wire.Tool:
    """Return the tool that reviews a cycle."""
    takes = {
        "type": "object",
        "properties": {"cycle_id": {"type": "string", "description": "E.g. si_2026_01_31_001."}},
        "required": ["cycle_id"],
        "additionalProperties": False,
    }
    about = (
        "Who did what in a cycle, step by step, what the door answered, tokens, cost and durations: from the audit "
        "chain, the tape and the store."
    )
    hints = wire.ToolAnnotations(readOnlyHint=True, destructiveHint=False, idempotentHint=True, openWorldHint=False)
    return wire.Tool(
        name=REVIEW,
        title="Review a cycle",
        description=about,
        inputSchema=takes,
        outputSchema={"type": "object"},
        annotations=hints,
    )


def proposed(offer: Offer, proposal: Proposal, sealed: str) -> wire.CallToolResult:
    """Return a proposal as it is answered."""
    told = {
        "proposed": offer.name,
        "arguments": dict(proposal.args),
        "proposal": sealed,
        "until": proposal.until.isoformat(),
        "what_now": "Nothing was done. Show the person what this would do; call confirm when the person says so.",
    }
    return wire.CallToolResult(content=[_text(told)], structuredContent=told)


def answered(answer: Any, source: str) -> wire.CallToolResult:
    """Return an answer with what others wrote in marked blocks."""
    marked = shown(answer, f"evercrew {source}")
    told = marked if isinstance(marked, dict) else {"result": marked}
    return wire.CallToolResult(content=[_text(told)], structuredContent=told)


def refused(why: str) -> wire.CallToolResult:
    """Return that nothing was done, and why."""
    return wire.CallToolResult(content=[wire.TextContent(type="text", text=why)], isError=True)


def _text(told: Any) -> wire.TextContent:
    return wire.TextContent(type="text", text=json.dumps(told, ensure_ascii=False, indent=1))
