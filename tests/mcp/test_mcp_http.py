"""The MCP server over streamable HTTP, with the real client: per role, marked, confirmed, and through the same door."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import mcp.types as wire
import pytest
from mcp import ClientSession
from pydantic import AnyUrl

from domain.access import AccessRole, ApiAction, Caller
from domain.receipt import RecordKind
from service.api.serving import Serving
from service.mcp.offers import CONFIRM, OFFERS, REVIEW, Weight
from tests.mcp.clients import listening, over_http
from tests.support.serving import serving_of, token_of

ROLES = ("viewer", "operator", "approver", "admin")


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    return serving_of(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def url(serving: Serving) -> Iterator[str]:
    with listening(serving) as address:
        yield address


def call(serving: Serving, url: str, role: str, tool: str, *, scopes: list[str] | None = None, **args: Any) -> Any:
    """Call a tool as somebody of a role, and return the whole result."""

    async def work(session: ClientSession) -> wire.CallToolResult:
        return await session.call_tool(tool, args)

    return over_http(url, token_of(serving, role, scopes=scopes), work)


def said(result: wire.CallToolResult) -> str:
    assert isinstance(result.content[0], wire.TextContent)
    return result.content[0].text


def changes(serving: Serving) -> int:
    """Return how many records there are, but for those of the tokens that the tests make."""
    kept = (RecordKind.CHECKPOINT.value, "token_given")
    return sum(1 for r in serving.app.audit.records() if r.entry.kind.value not in kept and r.entry.status not in kept)


def tools(serving: Serving, url: str, role: str, scopes: list[str] | None = None) -> dict[str, wire.Tool]:
    async def work(session: ClientSession) -> list[wire.Tool]:
        return (await session.list_tools()).tools

    return {tool.name: tool for tool in over_http(url, token_of(serving, role, scopes=scopes), work)}


# -- who may what -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_each_role_is_offered_what_the_policy_set_allows_it_and_nothing_else(
    serving: Serving, url: str, role: str
) -> None:
    caller = Caller(name="x", roles=frozenset({AccessRole(role)}), via="token", person="x")
    allowed = {offer.name for offer in OFFERS if serving.access.allowed(caller, offer.action).allowed}
    weighs = {offer.name for offer in OFFERS if offer.weight is Weight.WEIGHS} & allowed
    assert set(tools(serving, url, role)) == allowed | {REVIEW} | ({CONFIRM} if weighs else set())


@pytest.mark.parametrize(
    ("role", "tool", "args"),
    [
        ("viewer", "stop", {}),
        ("viewer", "open_cycle", {"signal": "ndcg_at_10", "reason": "r"}),
        ("operator", "vote", {"identity": "ap_" + "0" * 24, "answer": "approve", "seen": "0" * 64}),
        ("approver", "stop", {}),
        ("approver", "roll_back", {"environment": "dev", "to_version": "gold"}),
        ("operator", "start", {}),
        ("operator", "set_flag", {"name": "auto_promote", "enabled": True, "reason": "r"}),
    ],
)
def test_what_a_role_may_not_do_is_refused_with_the_policy_and_the_remedy(
    serving: Serving, url: str, role: str, tool: str, args: dict[str, Any]
) -> None:
    before = changes(serving)
    result = call(serving, url, role, tool, **args)
    assert result.isError
    assert "may not" in said(result)
    assert "Ask an admin" in said(result)
    assert changes(serving) == before


def test_a_scope_narrows_what_a_role_may(serving: Serving, url: str) -> None:
    assert "stop" not in tools(serving, url, "admin", scopes=[ApiAction.VIEW.value])
    result = call(serving, url, "admin", "stop", scopes=[ApiAction.VIEW.value])
    assert result.isError
    assert "scope stop" in said(result)


def test_nobody_gets_in_without_a_token_that_opens_something(url: str) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    for headers in ({}, {"Authorization": "Bearer evc_wrong"}, {"Authorization": "Basic YTpi"}):
        answer = httpx.post(url, json=body, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_session_is_of_no_use_to_somebody_else(serving: Serving, url: str) -> None:
    first = {"Authorization": f"Bearer {token_of(serving, 'admin')}", "Accept": "application/json, text/event-stream"}
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": wire.LATEST_PROTOCOL_VERSION,
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
    }
    session = httpx.post(url, json=hello, headers=first).headers["mcp-session-id"]
    stolen = {**first, "Authorization": f"Bearer {token_of(serving, 'viewer')}", "mcp-session-id": session}
    answer = httpx.post(url, json={"jsonrpc": "2.0", "id": 2, "method": "tools/list"}, headers=stolen)
    assert answer.status_code == 404


@pytest.mark.parametrize("header", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
def test_a_page_of_another_site_does_not_reach_it(serving: Serving, url: str, header: dict[str, str]) -> None:
    known = {"Authorization": f"Bearer {token_of(serving, 'admin')}", "Accept": "application/json, text/event-stream"}
    answer = httpx.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers={**known, **header})
    assert answer.status_code in (403, 421)


# -- reading ----------------------------------------------------------------------------------------------------------


def test_tools_say_whether_they_look_or_act_and_what_they_take_and_answer(serving: Serving, url: str) -> None:
    offered = tools(serving, url, "admin")
    for offer in OFFERS:
        tool = offered[offer.name]
        assert tool.annotations is not None
        assert tool.annotations.readOnlyHint is (offer.weight is Weight.LOOKS)
        assert tool.annotations.destructiveHint is (offer.weight is Weight.WEIGHS)
        assert tool.inputSchema["additionalProperties"] is False
        assert (tool.outputSchema is None) is (offer.weight is Weight.WEIGHS)
        assert "#/components" not in json.dumps([tool.inputSchema, tool.outputSchema])
    assert set(offered["vote"].inputSchema["required"]) == {"identity", "answer", "seen"}


READS: list[tuple[str, dict[str, Any]]] = [
    ("status", {}),
    ("list_cycles", {"limit": 2}),
    ("list_targets", {}),
    ("show_target", {"name": "search"}),
    ("read_signals", {"name": "search"}),
    ("list_gates", {}),
    ("list_policies", {}),
    ("explain_policy", {"role": "devops_engineer", "tool": "promote"}),
    ("list_flags", {}),
    ("list_budgets", {}),
    ("query_audit", {"limit": 5}),
    ("verify_audit", {"elsewhere": "false"}),
    ("list_approvals", {}),
]


def test_a_viewer_reads_and_every_answer_fits_its_schema(serving: Serving, url: str) -> None:
    # The client validates structured answers against the schemas it was told.
    async def work(session: ClientSession) -> dict[str, wire.CallToolResult]:
        await session.list_tools()
        return {tool: await session.call_tool(tool, args) for tool, args in READS}

    results = over_http(url, token_of(serving, "viewer"), work)
    assert {tool: said(result) for tool, result in results.items() if result.isError} == {}
    for result in results.values():
        assert result.structuredContent
        assert json.loads(said(result)) == result.structuredContent


def test_a_cycle_can_be_shown_followed_proved_and_reviewed(serving: Serving, url: str) -> None:
    [row, *_] = call(serving, url, "viewer", "list_cycles", outcome="improved").structuredContent["items"]
    shown = call(serving, url, "viewer", "show_cycle", cycle_id=row["id"]).structuredContent
    assert shown["outcome"] == "improved"
    events = call(serving, url, "viewer", "cycle_events", cycle_id=row["id"]).structuredContent
    assert events["items"]
    reviewed = call(serving, url, "viewer", REVIEW, cycle_id=row["id"]).structuredContent
    assert reviewed["tree"]["name"] == "self_improvement_cycle"
    assert reviewed["verified"] is True


def test_what_others_wrote_is_marked_and_names_and_numbers_are_not(serving: Serving, url: str) -> None:
    rows = call(serving, url, "viewer", "list_cycles", target="ads").structuredContent["items"]
    shown = call(serving, url, "viewer", "show_cycle", cycle_id=rows[0]["id"]).structuredContent
    summary = shown["alert"]["annotations"]["summary"]
    assert summary.startswith("<<untrusted source=")
    assert "| searches take too long" in summary
    assert (shown["target"], shown["signal"]) == ("ads", "latency_p95_ms")


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("show_cycle", {"cycle_id": "si_2020_01_01_001"}, "404"),
    ("show_cycle", {"cycle_id": "nonsense"}, "cycle_id"),
    ("show_cycle", {}, "required"),
    ("show_cycle", {"cycle_id": "si_2020_01_01_001", "extra": 1}, "extra"),
    ("list_cycles", {"limit": 0}, "limit"),
    ("delete_everything", {}, "no tool of this server"),
    (REVIEW, {"cycle_id": "si_2020_01_01_001"}, "is not a cycle"),
    (CONFIRM, {"proposal": 7}, "proposal"),
]


def test_what_cannot_be_answered_says_which_field_and_why(serving: Serving, url: str) -> None:
    async def work(session: ClientSession) -> list[wire.CallToolResult]:
        return [await session.call_tool(tool, args) for tool, args, _ in WRONG]

    for (tool, args, told), result in zip(WRONG, over_http(url, token_of(serving, "viewer"), work), strict=True):
        assert result.isError, (tool, args)
        assert told in said(result)


def test_reports_and_runbooks_are_documents(serving: Serving, url: str) -> None:
    async def work(session: ClientSession) -> tuple[list[str], str, str]:
        listed = [str(each.uri) for each in (await session.list_resources()).resources]
        book = await session.read_resource(AnyUrl(next(uri for uri in listed if "/runbooks/" in uri)))
        cycle = next(uri for uri in listed if uri.endswith("/report"))
        report = await session.read_resource(AnyUrl(cycle))
        texts = [each.contents[0] for each in (book, report)]
        assert all(isinstance(text, wire.TextResourceContents) for text in texts)
        return listed, texts[0].text, texts[1].text  # type: ignore[union-attr]

    listed, book, report = over_http(url, token_of(serving, "viewer"), work)
    assert any("/cycles/" in uri for uri in listed)
    assert "rules:" in book
    assert report.startswith("<<untrusted source='report of si_")


# -- writing ----------------------------------------------------------------------------------------------------------


def notes(serving: Serving, status: str) -> int:
    records = serving.app.audit.records()
    return sum(1 for r in records if r.entry.kind is RecordKind.NOTE and r.entry.status == status)


def test_stopping_happens_at_once_and_starting_again_is_confirmed_first(serving: Serving, url: str) -> None:
    stopped = call(serving, url, "operator", "stop", reason="an assistant was asked to").structuredContent
    assert stopped["status"]["killed"] is True
    proposed = call(serving, url, "admin", "start", reason="it is well again").structuredContent
    assert proposed["proposed"] == "start"
    assert call(serving, url, "viewer", "status").structuredContent["stopped"] is True
    done = call(serving, url, "admin", CONFIRM, proposal=proposed["proposal"]).structuredContent
    assert done["status"]["killed"] is False
    assert call(serving, url, "viewer", "status").structuredContent["stopped"] is False


def test_confirming_twice_does_it_once(serving: Serving, url: str) -> None:
    wish: dict[str, Any] = {"name": "auto_promote", "enabled": True, "reason": "tests"}
    proposed = call(serving, url, "admin", "set_flag", **wish).structuredContent["proposal"]
    before = changes(serving)
    first = call(serving, url, "admin", CONFIRM, proposal=proposed)
    again = call(serving, url, "admin", CONFIRM, proposal=proposed)
    assert not first.isError, said(first)
    assert again.structuredContent == first.structuredContent
    assert changes(serving) == before + 1


def test_a_proposal_is_of_one_caller_and_cannot_be_made_up_or_changed(serving: Serving, url: str) -> None:
    proposed = call(serving, url, "admin", "start").structuredContent["proposal"]
    for role, text, why in (
        ("operator", proposed, "somebody else"),
        ("admin", proposed[:-4] + "AAAA", "none of this server"),
        ("admin", "made.up", "none of this server"),
        ("admin", "x", "none of this server"),
    ):
        result = call(serving, url, role, CONFIRM, proposal=text)
        assert result.isError
        assert why in said(result)


def test_a_client_that_can_ask_its_person_asks(serving: Serving, url: str) -> None:
    asked: list[str] = []

    def answering(answer: bool) -> Any:
        async def elicit(_context: Any, params: Any) -> wire.ElicitResult:
            asked.append(params.message)
            return wire.ElicitResult(action="accept", content={"answer": answer})

        return elicit

    async def work(session: ClientSession) -> wire.CallToolResult:
        return await session.call_tool("set_flag", {"name": "ab_testing", "enabled": True, "reason": "asked"})

    before = changes(serving)
    no = over_http(url, token_of(serving, "admin"), work, elicit=answering(False))
    assert no.isError
    assert changes(serving) == before
    yes = over_http(url, token_of(serving, "admin"), work, elicit=answering(True))
    assert not yes.isError, said(yes)
    assert len(asked) == 2
    assert "ab_testing" in asked[0]
    assert changes(serving) == before + 1


def test_a_cycle_is_asked_for_through_the_inbox_as_an_alert_is(serving: Serving, url: str) -> None:
    waiting = serving.app.inbox.counts().waiting
    wish: dict[str, Any] = {"signal": "ndcg_at_10", "reason": "quality feels worse", "only_diagnose": True}
    opened = call(serving, url, "operator", "open_cycle", **wish)
    assert not opened.isError, said(opened)
    assert opened.structuredContent["accepted"] == 1
    assert serving.app.inbox.counts().waiting == waiting + 1


def test_a_vote_is_bound_to_the_change_that_was_shown_and_counts_for_the_person(serving: Serving, url: str) -> None:
    [row] = call(serving, url, "approver", "list_approvals").structuredContent["items"]
    shown = call(serving, url, "approver", "show_approval", identity=row["id"]).structuredContent
    wrong = {"identity": row["id"], "answer": "approve", "seen": "0" * 64}
    proposed = call(serving, url, "approver", "vote", **wrong).structuredContent["proposal"]
    refused = call(serving, url, "approver", CONFIRM, proposal=proposed)
    assert refused.isError
    assert "not what you were shown" in said(refused)
    right = {**wrong, "seen": shown["seen"], "reason": "I have read the diff"}
    proposed = call(serving, url, "approver", "vote", **right).structuredContent["proposal"]
    voted = call(serving, url, "approver", CONFIRM, proposal=proposed)
    assert not voted.isError, said(voted)
    assert [(vote["person"], vote["answer"]) for vote in voted.structuredContent["votes"]] == [("Bob", "approve")]
    assert notes(serving, "approval_vote") == 1
