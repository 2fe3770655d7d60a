"""Documents over MCP: reports of cycles and weeks, and the runbooks the crew follows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import mcp.types as wire
import yaml
from anyio import to_thread
from mcp.server.lowlevel.helper_types import ReadResourceContents
from pydantic import AnyUrl

from domain.access import ApiAction, Caller
from domain.errors import InvalidInput
from domain.untrusted import Untrusted
from prompts.runbook import names, runbook
from service.mcp.asking import Asking, Refusal

if TYPE_CHECKING:
    from service.api.serving import Serving

MARKDOWN, YAML = "text/markdown", "application/yaml"
_CYCLE = re.compile(r"evercrew://cycles/(si_\d{4}_\d{2}_\d{2}_\d{3,6})/report")
_WEEK = re.compile(r"evercrew://reports/weekly/([A-Za-z0-9_.-]+)")
_RUNBOOK = re.compile(r"evercrew://runbooks/([a-z_]+)")
_NEWEST = 20
# A report quotes alerts, documents and people: as a whole it is text from outside.
_LONGEST = 60_000


class Documents:
    """Lists and reads what a caller may see."""

    def __init__(self, serving: Serving, asking: Asking) -> None:
        self._serving = serving
        self._asking = asking

    async def listed(self, caller: Caller) -> list[wire.Resource]:
        """Return the newest reports and all runbooks; nothing for whoever may not look."""
        if not await self._may(caller):
            return []
        cycles = await to_thread.run_sync(lambda: self._serving.app.ports.store.cycles(limit=_NEWEST))
        ended = [cycle for cycle in cycles if cycle.stage.terminal]
        reports = [
            _resource(f"evercrew://cycles/{c.id}/report", f"{c.id}_report", f"Report of cycle {c.id}", MARKDOWN)
            for c in ended
        ]
        books = [
            _resource(f"evercrew://runbooks/{name}", f"runbook_{name}", f"Runbook for {name}", YAML) for name in names()
        ]
        return [*reports, *books]

    def templates(self) -> list[wire.ResourceTemplate]:
        """Return how other documents are called."""
        return [
            wire.ResourceTemplate(
                uriTemplate="evercrew://cycles/{cycle_id}/report",
                name="cycle_report",
                title="Report of a cycle",
                mimeType=MARKDOWN,
            ),
            wire.ResourceTemplate(
                uriTemplate="evercrew://reports/weekly/{week}",
                name="weekly_report",
                title="Weekly report",
                mimeType=MARKDOWN,
            ),
        ]

    async def read(self, uri: str, token: str, caller: Caller) -> list[ReadResourceContents]:
        """Return a document.

        Raises:
            Refusal: the caller may not see it, or it cannot be had. InvalidInput: there is no such document.
        """
        if not await self._may(caller):
            raise Refusal(f"{caller.name} may not view. Ask an admin for a role that allows it")
        if found := _CYCLE.fullmatch(uri):
            text = await self._asking.text(f"/cycles/{found[1]}/report", token, {"format": "md"})
            return [_document(text, f"report of {found[1]}")]
        if found := _WEEK.fullmatch(uri):
            text = await self._asking.text(f"/reports/weekly/{found[1]}", token, {"format": "md"})
            return [_document(text, f"weekly report {found[1]}")]
        if (found := _RUNBOOK.fullmatch(uri)) and found[1] in names():
            return [ReadResourceContents(content=_runbook(found[1]), mime_type=YAML)]
        raise InvalidInput("uri", f"{uri} is no document of this server", "List the resources for those there are")

    async def _may(self, caller: Caller) -> bool:
        decision = await to_thread.run_sync(self._serving.access.allowed, caller, ApiAction.VIEW)
        return decision.allowed


def _resource(uri: str, name: str, title: str, kind: str) -> wire.Resource:
    return wire.Resource(uri=AnyUrl(uri), name=name, title=title, mimeType=kind)


def _document(text: str, source: str) -> ReadResourceContents:
    return ReadResourceContents(content=Untrusted(text=text, source=source).block(_LONGEST), mime_type=MARKDOWN)


def _runbook(task: str) -> str:
    book: Any = runbook(task).model_dump(mode="json")
    return yaml.safe_dump(book, sort_keys=False, allow_unicode=True)
