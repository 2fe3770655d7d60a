"""Approving and denying in a browser: bound to what was seen, by people who may, with words a person understands."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from cycles.dossier import dossier
from domain.actor import Actor, Role
from domain.approval import ApprovalRequest, ApprovalState
from tests.browser.conftest import Visits
from tests.support.browsing import Console
from tools.outcome import Refused
from tools.tool import Scope


def _waiting(served: Console) -> ApprovalRequest:
    clock = served.serving.clock
    return served.serving.app.office.consent.store.requests(waiting_at=clock.now())[0]


def ask(served: Console, version: str) -> ApprovalRequest:
    """Let the crew ask for another promotion of the cycle that is open."""
    app = served.serving.app
    known = app.office.consent.store.requests()[-1]
    cycle = app.ports.store.cycle(known.binding.cycle_id)
    assert cycle is not None
    bound = known.binding
    scope = Scope(cycle.id, bound.stage, bound.target, bound.environment, cycle.alert.starts_at, cycle.opened_at)
    outcome = app.gate.call("promote", {**known.args, "version": version}, Actor(role=Role.DEVOPS_ENGINEER), scope)
    assert isinstance(outcome, Refused), outcome
    return next(r for r in app.office.consent.store.requests() if r.args["version"] == version)


def test_an_approver_sees_the_change_and_approves_exactly_that(served: Console, visits: Visits) -> None:
    asked = _waiting(served)
    seen = dossier(served.serving.app.office, asked).seen
    with visits("approver") as bob:
        page = bob.to("/approvals")
        page.get_by_role("link", name=re.compile("Promote reranker version 3 on search")).click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Promote reranker version 3 on search in dev?")
        expect(page.get_by_label("The change that will be applied").first).to_contain_text('version: "3"')
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_role("status").first).to_contain_text("Your approval is on record")
        assert page.url.endswith(f"/approvals/{asked.id}?said=approve")
    kept = served.serving.app.office.consent.store.request(asked.id)
    assert kept is not None
    assert [(vote.person, vote.answer.value, vote.seen, vote.proof.how) for vote in kept.votes] == [
        ("Bob", "approve", seen, "session")
    ]
    assert [vote.person for vote in served.serving.app.office.consent.ballots.counting(kept)] == ["Bob"]


def test_a_denial_needs_a_reason_and_the_form_says_so_at_the_field(served: Console, visits: Visits) -> None:
    asked = ask(served, "4")
    with visits("approver") as bob:
        bob.expect("422")
        page = bob.to(f"/approvals/{asked.id}")
        page.get_by_role("button", name="Deny").click()
        reason = page.get_by_label("Reason")
        expect(reason).to_have_attribute("aria-invalid", "true")
        expect(reason).to_be_focused()
        expect(page.locator("#e-reason")).to_contain_text("Say why in a sentence.")
        reason.fill("wait for Monday's data")
        page.get_by_role("button", name="Deny").click()
        expect(page.get_by_role("status").first).to_contain_text("Your denial is on record")
        expect(page.locator(".votes")).to_contain_text("wait for Monday's data")
    kept = served.serving.app.office.consent.store.request(asked.id)
    assert kept is not None
    assert kept.state(served.serving.clock.now()) is ApprovalState.DENIED


def test_somebody_can_approve_with_the_keyboard_alone(served: Console, visits: Visits) -> None:
    asked = ask(served, "5")
    with visits("approver") as bob:
        page = bob.to("/approvals")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        for _ in range(6):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.getAttribute('href')") == f"/approvals/{asked.id}":
                break
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/approvals/{asked.id}")
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.value") == "approve":
                break
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"
        page.keyboard.press("Enter")
        expect(page.get_by_role("status").first).to_contain_text("Your approval is on record")


def test_a_change_that_moved_since_it_was_read_is_shown_again_and_not_approved(served: Console, visits: Visits) -> None:
    asked = ask(served, "6")
    with visits("approver") as bob:
        bob.expect("409")
        page = bob.to(f"/approvals/{asked.id}")
        page.locator("input[name=seen]").evaluate("field => field.value = 'f'.repeat(64)")
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_role("alert").first).to_contain_text("The change is not the one you were shown")
    kept = served.serving.app.office.consent.store.request(asked.id)
    assert kept is not None
    assert kept.votes == ()


def test_what_was_decided_meanwhile_is_said_in_words(served: Console, visits: Visits) -> None:
    asked = ask(served, "7")
    with visits("approver") as bob:
        bob.expect("409")
        page = bob.to(f"/approvals/{asked.id}")
        served.serving.app.office.consent.store.withdraw(asked.id, "the cycle ended")
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_role("alert").first).to_contain_text("The crew took this request back")


def test_whoever_may_not_decide_is_told_why_and_has_no_button(served: Console, visits: Visits) -> None:
    asked = ask(served, "8")
    for role in ("viewer", "operator"):
        with visits(role) as somebody:
            page = somebody.to(f"/approvals/{asked.id}")
            expect(page.locator("#why-not")).to_contain_text("Your roles do not vote")
            expect(page.get_by_role("button", name="Approve")).to_have_count(0)


def test_without_scripts_everything_is_decided_all_the_same(served: Console, visits: Visits) -> None:
    asked = ask(served, "9")
    with visits("admin", scripts=False) as ann:
        page = ann.to(f"/approvals/{asked.id}")
        page.get_by_role("button", name="Approve").click()
        expect(page.locator(".said")).to_contain_text("Your approval is on record")
