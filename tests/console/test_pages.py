"""Pages with forms: what they change is on record, a fault stands at its field, and whoever may not is refused."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.clock import FrozenClock
from domain.override import override
from domain.receipt import RecordKind
from policies.live import LivePolicies
from policies.packaged import packaged_policy_files
from service.api.app import create_app
from service.api.serving import Serving
from service.policyset import PolicyFolder
from service.report.write import HTML
from service.weekly.make import made
from service.weekly.span import week_of
from tests.support.serving import client_as, serving_of

NO_REDIRECT: dict[str, Any] = {"follow_redirects": False}


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    served = serving_of(Path(tmp_path_factory.mktemp("pages")))
    yield served
    served.app.close()


@pytest.fixture(scope="module")
def app(serving: Serving) -> Any:
    return create_app(serving)


@pytest.fixture(scope="module")
def ann(app: Any) -> Any:
    return client_as(app, "admin")


@pytest.fixture(scope="module")
def cem(app: Any) -> Any:
    return client_as(app, "viewer")


def _notes(serving: Serving, status: str) -> list[dict[str, Any]]:
    records = (record.entry for record in serving.app.audit.records())
    return [{"by": e.actor, **e.body} for e in records if e.kind is RecordKind.NOTE and e.status == status]


# -- overrides --------------------------------------------------------------------------------------------------------


def test_an_override_is_put_in_force_listed_and_ended_with_reasons(serving: Serving, ann: Any) -> None:
    form = {"what": "gate/ndcg_at_10", "threshold": "0,02", "expires": "2h", "reason": "new corpus"}
    answer = ann.post("/policies/overrides", data=form, **NO_REDIRECT)
    assert (answer.status_code, answer.headers["location"]) == (303, "/policies/overrides?said=override-added")
    (over,) = serving.app.office.rulebook.in_force() if serving.app.office.rulebook else ()
    assert (over.name, over.threshold, over.by, over.reason) == ("ndcg_at_10", 0.02, "Ann", "new corpus")
    shown = ann.get(answer.headers["location"]).text
    assert "The override is in force, and on record." in shown
    assert "new corpus" in shown
    assert "at least +2 % against the baseline" in ann.get("/policies/contract").text
    without = ann.post(f"/policies/overrides/{over.id}/end", data={"reason": " "}, **NO_REDIRECT)
    assert (without.status_code, "it goes on record" in without.text) == (422, True)
    ended = ann.post(f"/policies/overrides/{over.id}/end", data={"reason": "measured"}, **NO_REDIRECT)
    assert ended.status_code == 303
    assert serving.app.office.rulebook is not None
    assert serving.app.office.rulebook.in_force() == ()
    assert _notes(serving, "override_ended")[-1] == {"by": "Ann", "override": over.id, "reason": "measured"}


def test_an_override_that_does_not_count_is_marked_on_the_page(serving: Serving, ann: Any) -> None:
    now, book = serving.clock.now(), serving.app.office.rulebook
    assert book is not None
    environment = serving.app.profile.name
    lasts = timedelta(hours=1)
    # As an earlier release wrote it: nobody knows for which kind of gate.
    old = override("gate", "ndcg_at_10", 0.5, environment=environment, by="Ann", reason="old", at=now, lasts=lasts)
    book._rules.add(old)
    shown = ann.get("/policies/overrides").text
    assert "does not count" in shown
    assert "it does not say for which kind of gate" in shown
    assert "at least +3 % against the baseline" in ann.get("/policies/contract").text
    assert _notes(serving, "override_left_out")[-1]["id"] == old.id
    assert ann.post(f"/policies/overrides/{old.id}/end", data={"reason": "x"}, **NO_REDIRECT).status_code == 303
    assert "does not count" not in ann.get("/policies/overrides").text


@pytest.mark.parametrize(
    ("changed", "field", "said"),
    [
        ({"what": ""}, "what", "Choose a gate or a limit"),
        ({"what": "gate/nothing"}, "what", "is not in the contract"),
        ({"threshold": "much"}, "threshold", "is no number"),
        ({"threshold": "-0.5"}, "threshold", "would let a loss through"),
        ({"expires": "90d"}, "expires", "is not between nothing and 30 days"),
        ({"expires": "soon"}, "expires", "Choose for how long it counts"),
        ({"reason": " "}, "reason", "Say why: it goes on record"),
    ],
)
def test_what_is_wrong_with_an_override_stands_at_its_field_and_what_was_written_stays(
    serving: Serving, ann: Any, changed: dict[str, str], field: str, said: str
) -> None:
    form = {"what": "gate/ndcg_at_10", "threshold": "0.02", "expires": "2h", "reason": "kept words", **changed}
    answer = ann.post("/policies/overrides", data=form, **NO_REDIRECT)
    assert answer.status_code == 422
    fault = re.search(rf'id="e-{field}"[^>]*>([^<]*)<', answer.text)
    assert fault is not None
    assert said in fault.group(1)
    assert field == "reason" or "kept words" in answer.text
    assert not [n for n in _notes(serving, "override_added") if n["reason"] == "kept words"]


# -- flags ------------------------------------------------------------------------------------------------------------


def test_a_flag_is_set_with_a_reason_and_its_history_says_who(serving: Serving, ann: Any) -> None:
    form = {"name": "ab_testing", "value": "off", "environment": "dev", "reason": "a freeze"}
    assert ann.post("/flags", data=form, **NO_REDIRECT).status_code == 303
    shown = ann.get("/flags?flag=ab_testing").text
    assert "a freeze" in shown
    assert _notes(serving, "flag_set")[-1]["by"] == "Ann"
    for changed, said in (({"value": ""}, "Choose one of the two"), ({"reason": ""}, "Say why")):
        answer = ann.post("/flags", data={**form, **changed}, **NO_REDIRECT)
        assert (answer.status_code, said in answer.text) == (422, True)


# -- whoever may not --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/flags", {"name": "ab_testing", "value": "on", "environment": "dev", "reason": "x"}),
        ("/policies/overrides", {"what": "gate/ndcg_at_10", "threshold": "0.02", "expires": "2h", "reason": "x"}),
        ("/kill", {"scope": "everything", "environment": "dev", "reason": "x", "typed": "dev"}),
        ("/kill/lift", {"name": "kill_switch", "environment": "dev", "reason": "x", "typed": "dev"}),
        ("/audit/export", {}),
        ("/access/accounts", {"name": "Eve", "roles": "admin"}),
        ("/access/accounts/Ann", {"what": "disable"}),
        ("/approvals/ap_none", {"answer": "approve"}),
    ],
)
def test_a_viewer_changes_nothing_by_posting_what_the_page_does_not_offer(
    serving: Serving, cem: Any, path: str, form: dict[str, str]
) -> None:
    before = serving.app.audit.head()
    answer = cem.post(path, data=form, **NO_REDIRECT)
    assert answer.status_code == 403
    assert "may not" in answer.text
    assert serving.app.audit.head() == before


def test_without_a_session_every_page_sends_to_the_login(app: Any) -> None:
    nobody = client_as(app, None)
    for path in ("/approvals", "/audit", "/policies", "/flags", "/kill", "/reports", "/notices", "/budgets", "/access"):
        answer = nobody.get(path, **NO_REDIRECT)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/login?next="), path


# -- what is not there ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/approvals/ap_000000000000000000000000",
        "/audit/999999",
        "/reports/weekly/2020-W01",
        "/reports/weekly/..%2f..%2fevercrew/html",
        "/reports/cycles/si_2020_01_01_001/html",
        "/reports/cycles/..%2f..%2fstate/html",
        "/chat/ch_0000000000000000",
    ],
)
def test_what_is_not_there_is_said_on_a_page(ann: Any, path: str) -> None:
    answer = ann.get(path, headers={"Accept": "text/html"})
    assert answer.status_code in (404, 503), path
    assert "<h1>" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        f"/reports?page={'9' * 5000}",
        "/reports?page=0",
        f"/audit?before={'9' * 5000}",
        "/audit?before=-1",
        f"/audit/{'9' * 30}",
        "/cycles/si_2020_01_01_001/evidence?call=%00",
    ],
)
def test_a_number_or_a_name_that_can_be_none_is_refused_and_no_defect(ann: Any, path: str) -> None:
    answer = ann.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 422
    assert "<h1>" in answer.text


@pytest.mark.parametrize("identity", ["%00", "3f2a9c0b11d%00", "3F2A9C0B11DE", "x" * 300])
def test_an_identity_of_no_token_is_refused_and_no_defect(ann: Any, identity: str) -> None:
    assert ann.post(f"/access/tokens/{identity}/revoke").status_code == 422
    assert ann.post("/access/tokens/3f2a9c0b11de/revoke").status_code == 404


def test_the_form_says_when_an_account_has_all_the_tokens_it_may_have(
    cem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.access.keeper.MOST_TOKENS", 0)
    answer = cem.post("/access/tokens", data={"label": "ci", "scopes": ["view"], "days": "30"})
    assert answer.status_code == 422
    assert "API tokens, which is all" in answer.text
    assert "evercrew tokens revoke" in answer.text


# -- reports ----------------------------------------------------------------------------------------------------------


def test_reports_are_handed_out_in_a_sandbox_of_their_own(serving: Serving, ann: Any) -> None:
    week = made(serving.app, week_of(serving.clock.now()))
    ended = next(cycle for cycle in serving.app.ports.store.cycles() if cycle.stage.terminal)
    serving.app.office.artifacts.write_text(ended.id, HTML, "<!doctype html><title>r</title><script>1</script>")
    shown = ann.get("/reports").text
    assert week.title in shown
    assert f"/reports/cycles/{ended.id}/html" in shown
    for path in (f"/reports/weekly/{week.id}/html", f"/reports/cycles/{ended.id}/html"):
        answer = ann.get(path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("sandbox; default-src 'none'")
        assert "script-src" not in policy
    as_markdown = ann.get(f"/reports/weekly/{week.id}/md")
    assert as_markdown.headers["content-disposition"] == f'attachment; filename="evercrew-{week.id}.md"'
    assert as_markdown.text.startswith(f"# {week.title.split(',')[0]}")
    assert week.summary in ann.get(f"/reports/weekly/{week.id}").text


def test_older_reports_of_cycles_are_on_the_next_page(
    serving: Serving, ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.web.pages_reports.PAGE", 1)
    ended = [cycle.id for cycle in serving.app.ports.store.cycles() if cycle.stage.terminal]
    assert len(ended) > 1
    first = ann.get("/reports").text
    (older,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = ann.get(html.unescape(older)).text
    assert (ended[0] in first, ended[1] in first) == (True, False)
    assert (ended[0] in second, ended[1] in second) == (False, True)


def test_budgets_and_schedules_say_what_there_is(serving: Serving, ann: Any) -> None:
    purse = serving.app.office.purse
    assert purse is not None
    budgets = ann.get("/budgets").text
    for standing in purse.ledger.accounts("cycle/"):
        assert standing.name.removeprefix("cycle/") in budgets
    schedules = ann.get("/schedules").text
    assert "Rehearsal" in schedules
    assert "never ran" in schedules


def test_a_set_on_disk_that_is_broken_is_said_loudly_on_the_page(serving: Serving, tmp_path: Path) -> None:
    for name, content in packaged_policy_files().items():
        (tmp_path / name).write_bytes(content)
    clock = FrozenClock(serving.clock.now())
    live = LivePolicies(PolicyFolder(tmp_path, clock), monotonic=clock.monotonic)
    (tmp_path / "permits.cedar").write_text("permit (nobody knows what", encoding="utf-8")
    live.look()
    clock.advance(timedelta(seconds=5))
    broken = replace(serving, app=replace(serving.app, policies=live))
    shown = client_as(broken, "admin").get("/policies").text
    assert 'role="alert"' in shown
    assert "The set on disk is not in force" in shown
    assert html.escape(live.problem.split(":")[0]) in shown
    assert live.policy_hash in shown
