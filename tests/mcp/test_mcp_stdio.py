"""`evercrew mcp` as an assistant starts it: a process, its standard input and output, and the real client."""

from __future__ import annotations

from pathlib import Path

import mcp.types as wire
import pytest
from mcp import ClientSession

from domain.clock import SystemClock
from service.api.serving import Serving
from service.cli_approvals import account
from service.mcp.offers import CONFIRM
from tests.mcp.clients import over_stdio
from tests.support.serving import PEOPLE, serving_of, token_of

pytestmark = pytest.mark.slow


def closed(serving: Serving) -> None:
    """Let go of the files, so that another process may have them."""
    serving.app.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def token(folder: Path) -> str:
    serving = serving_of(folder, clock=SystemClock())
    made = token_of(serving, "operator")
    closed(serving)
    return made


async def looked(session: ClientSession) -> tuple[set[str], wire.CallToolResult, wire.CallToolResult]:
    names = {tool.name for tool in (await session.list_tools()).tools}
    listed = await session.call_tool("list_cycles", {"limit": 3})
    refused = await session.call_tool("set_flag", {"name": "auto_promote", "enabled": True, "reason": "r"})
    return names, listed, refused


def test_with_a_token_the_assistant_acts_for_whoever_the_token_is_of(folder: Path, token: str) -> None:
    names, listed, refused = over_stdio(folder / "evercrew.yaml", {"EVERCREW_MCP_TOKEN": token}, looked)
    assert {"list_cycles", "stop", "roll_back", CONFIRM} <= names
    assert not {"vote", "set_flag", "start"} & names
    assert not listed.isError
    assert listed.structuredContent is not None
    assert len(listed.structuredContent["items"]) == 3
    assert refused.isError


def test_without_a_token_the_account_of_this_machine_says_who_it_is(tmp_path: Path) -> None:
    people = {**PEOPLE, "Cem": {"roles": ["viewer"], "os_users": [account()]}}
    closed(serving_of(tmp_path, clock=SystemClock(), people=people))
    names, listed, refused = over_stdio(tmp_path / "evercrew.yaml", {}, looked)
    assert "list_cycles" in names
    assert not {"stop", "vote", CONFIRM} & names
    assert not listed.isError
    assert refused.isError


@pytest.mark.parametrize("environment", [{}, {"EVERCREW_MCP_TOKEN": "evc_nobody"}])
def test_whoever_is_not_known_gets_nothing_and_is_told_what_to_do(folder: Path, environment: dict[str, str]) -> None:
    assert folder.exists()
    names, listed, _ = over_stdio(folder / "evercrew.yaml", environment, looked)
    assert names == set()
    assert listed.isError
    assert isinstance(listed.content[0], wire.TextContent)
    assert ("EVERCREW_MCP_TOKEN" if not environment else "not known") in listed.content[0].text


async def shown(session: ClientSession) -> wire.CallToolResult:
    listed = await session.call_tool("list_cycles", {"limit": 1})
    assert listed.structuredContent is not None
    return await session.call_tool("show_cycle", {"cycle_id": listed.structuredContent["items"][0]["id"]})


def test_a_cycle_is_shown_by_a_process_that_runs_none(folder: Path, token: str) -> None:
    found = over_stdio(folder / "evercrew.yaml", {"EVERCREW_MCP_TOKEN": token}, shown)
    assert not found.isError, found.content
    assert found.structuredContent is not None
    assert found.structuredContent["workflow"] == "elsewhere"
