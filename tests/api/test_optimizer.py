"""Stopping, starting, going back and the quality gates, as the addresses of the optimizer offer them."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest

import service.api.optimizer as optimizer
from adapters.vcs.base import VcsPort
from domain.candidate import LiveState
from domain.errors import DependencyUnavailable
from domain.outcome import OutcomeKind
from evals.simulated import World
from service.api.app import create_app
from service.api.serving import Serving
from tests.api.conftest import Clients, good, made, notes, problem
from tests.support.several import with_others
from tools.deliver.values import parse_values

STOP, START, STATUS = (f"/api/v1/optimizer/{what}" for what in ("stop", "start", "status"))
ROLLBACK, GATES = "/api/v1/optimizer/rollback", "/api/v1/optimizer/quality-gates"


def test_the_optimizer_is_stopped_without_a_body_and_started_by_an_admin(bare: Serving, clients: Clients) -> None:
    done = good(clients("operator").post(STOP))
    assert done["switch"]["environment"] == "all"
    assert done["status"]["killed"] is True
    stands = good(clients("viewer").get(STATUS))
    assert (stands["stopped"], "thrown by Dora" in stands["because"][0]) == (True, True)
    problem(clients("operator").post(START), 403)
    lifted = good(clients("admin").post(START, json={"reason": "mended"}))
    assert (lifted["still_on"], lifted["status"]["killed"]) == ([], False)
    assert [actor for actor, _ in (*notes(bare, "kill_on"), *notes(bare, "kill_off"))] == ["Dora", "Ann"]


def test_one_role_or_one_tool_is_stopped_but_no_way_to_a_safe_state(bare: Serving, clients: Clients) -> None:
    operator = clients("operator")
    assert good(operator.post(STOP, json={"tool": "promote"}))["switch"]["name"] == "kill_switch/tool/promote"
    assert good(operator.post(STOP, json={"agent": "ml_engineer"}))["status"]["killed"] is False
    assert problem(operator.post(STOP, json={"tool": "roll_back"}), 422)["field"] == "tool"
    assert problem(operator.post(STOP, json={"agent": "janitor"}), 422)["field"] == "agent"
    assert problem(operator.post(STOP, json={"environment": "moon"}), 422)["field"] == "environment"


def test_a_switch_that_stays_on_elsewhere_is_told(bare: Serving, clients: Clients) -> None:
    admin = clients("admin")
    good(admin.post(STOP))
    assert "everywhere" in good(admin.post(START, json={"environment": "dev"}))["still_on"][0]


def test_the_status_names_every_target(bare: Serving) -> None:
    assert good(made(create_app(bare), "viewer").get(STATUS))["target"] == "search"
    assert good(made(create_app(with_others(bare)), "viewer").get(STATUS))["target"] == "search, ads, mail"


def live(served: Serving) -> str:
    vcs: VcsPort = served.app.ports.vcs
    return parse_values(vcs.read(vcs.head())).model.digest


def first_revision(served: Serving) -> str:
    return str(list(served.app.ports.vcs.history(100))[-1].revision)


def test_a_rollback_goes_through_the_door_and_is_a_cycle_of_its_person(served: Serving, clients: Clients) -> None:
    operator, before = clients("operator"), live(served)
    end_the_open_one(served)
    wish = {"environment": "dev", "to_version": first_revision(served), "reason": "it was better"}
    shown = good(operator.get(f"{ROLLBACK}/preview", params={"to_version": wish["to_version"]}))
    assert [step["ok"] for step in shown["steps"]] == [True, True]
    assert "digest" in shown["diff"]
    assert live(served) == before
    done = good(operator.post(ROLLBACK, json=wish))
    assert (done["state"], done["digest"]) == ("done", live(served))
    assert live(served) != before
    cycle = served.app.ports.store.cycle(done["cycle_id"])
    assert cycle is not None
    assert cycle.outcome is OutcomeKind.RESTORED
    assert cycle.alert.annotations["by"] == "Dora"
    tools = [r.entry.tool for r in served.app.audit.records(cycle.id) if r.entry.kind.value == "intent"]
    assert tools[0] == "restore_values"


def test_a_model_version_is_somewhere_to_go_back_to(served: Serving, clients: Clients) -> None:
    end_the_open_one(served)
    done = good(clients("operator").post(ROLLBACK, json={"environment": "dev", "to_version": "v1.0"}))
    assert parse_values(served.app.ports.vcs.read(done["to_revision"])).model.version == "1"
    told = problem(clients("operator").post(ROLLBACK, json={"environment": "dev", "to_version": "v77"}), 422)
    assert "v77" in told["detail"]


def end_the_open_one(served: Serving) -> None:
    """End the cycle that works on the target."""
    store = served.app.ports.store
    for cycle in store.cycles(open_only=True):
        if cycle.target == served.app.config.target:
            store.save(cycle.at(type(cycle.stage).CANCELLED, served.clock.now()))


@pytest.mark.parametrize(
    ("wish", "status", "field"),
    [
        ({"to_version": "gold"}, 422, "environment"),
        ({"environment": "production", "to_version": "gold"}, 422, "environment"),
        ({"environment": "dev", "to_version": "../../etc"}, 422, "to_version"),
        ({"environment": "dev", "to_version": "no such thing"}, 422, "to_version"),
        ({"environment": "dev", "to_version": "beef" * 10}, 422, "to"),
        ({"environment": "dev", "to_version": "gold", "target": "gone"}, 422, "target"),
        ({"environment": "dev", "to_version": "gold"}, 409, None),
    ],
)
def test_a_rollback_that_cannot_be_changes_nothing(
    served: Serving, clients: Clients, wish: dict[str, str], status: int, field: str | None
) -> None:
    before = live(served)
    told = problem(clients("operator").post(ROLLBACK, json=wish), status)
    assert told.get("field") == field
    assert live(served) == before


def test_the_kill_switch_does_not_keep_anybody_from_going_back(served: Serving, clients: Clients) -> None:
    end_the_open_one(served)
    good(clients("operator").post(STOP))
    wish = {"environment": "dev", "to_version": first_revision(served)}
    assert good(clients("operator").post(ROLLBACK, json=wish))["state"] == "done"


def test_a_rollback_that_takes_long_goes_on_and_its_cycle_tells_how(
    served: Serving, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_the_open_one(served)
    held: Future[None] = Future()
    reported = World.live

    def slowly(world: World) -> LiveState:
        held.result(30)
        return reported(world)

    monkeypatch.setattr(World, "live", slowly)
    monkeypatch.setattr(optimizer, "PATIENCE", timedelta(milliseconds=300))
    wish = {"environment": "dev", "to_version": first_revision(served)}
    client = clients("operator")
    answer = client.post(ROLLBACK, json=wish, headers={"Idempotency-Key": "once"})
    told = good(answer, 202)
    assert (told["state"], answer.headers["location"]) == ("running", f"/api/v1/cycles/{told['cycle_id']}")
    held.set_result(None)
    background: Any = client.app
    assert background.state.background.join(timedelta(seconds=30)) == 0
    again = client.post(ROLLBACK, json=wish, headers={"Idempotency-Key": "once"})
    assert (again.status_code, again.json()) == (202, told)
    assert good(client.get(f"/api/v1/cycles/{told['cycle_id']}"))["outcome"] == "restored"


def test_the_documented_call_sets_a_level_beside_the_gate_of_a_gain(bare: Serving, clients: Clients) -> None:
    done = good(clients("admin").post(f"{GATES}/ndcg_at_10?threshold=0.70"))
    assert (done["threshold"], done["level"]) == (0.03, 0.7)
    [over] = done["overrides"]
    assert (over["name"], over["by"], over["threshold"]) == ("ndcg_at_10_level", "Ann", 0.7)
    assert bare.app.office.rulebook is not None
    rules = {gate.name: gate.threshold for gate in bare.app.office.rulebook.contract().gate("ndcg_at_10")}
    assert rules == {"ndcg_at_10": 0.03, "ndcg_at_10_level": 0.7}
    [(actor, body)] = notes(bare, "override_added")
    assert (actor, body["reason"]) == ("Ann", "no reason was given (over the REST API)")


def test_an_override_has_a_reason_and_an_end_and_is_ended_before_its_time(bare: Serving, clients: Clients) -> None:
    admin = clients("admin")
    asked = {"threshold": "0.05", "of": "change", "expires": "2h", "reason": "a release"}
    done = good(admin.post(f"{GATES}/ndcg_at_10", params=asked))
    assert done["threshold"] == 0.05
    [over] = good(admin.get("/api/v1/optimizer/overrides"))["items"]
    assert (over["reason"], over["expires"] > over["at"]) == ("a release", True)
    place = f"/api/v1/optimizer/overrides/{over['id']}"
    seen = {"If-Match": admin.get(place).headers["etag"]}
    ended = good(admin.post(f"{place}/end", json={"reason": "over"}, headers=seen))
    assert problem(admin.post(f"{place}/end", json={"reason": "over"}, headers=seen), 412)["field"] == "If-Match"
    problem(admin.get("/api/v1/optimizer/overrides/ov_0123456789"), 404)
    assert (ended["in_force"], ended["ended_by"]) == (False, "Ann")
    assert good(admin.get("/api/v1/optimizer/overrides"))["items"] == []
    assert len(good(admin.get("/api/v1/optimizer/overrides?all=true"))["items"]) == 1
    assert good(admin.get(f"{GATES}/ndcg_at_10"))["threshold"] == 0.03


def test_an_override_that_does_not_count_says_why(bare: Serving, clients: Clients) -> None:
    admin, book = clients("admin"), bare.app.office.rulebook
    assert book is not None
    asked = {"threshold": "0.05", "of": "change", "expires": "2h", "reason": "a release"}
    [over] = good(admin.post(f"{GATES}/ndcg_at_10", params=asked))["overrides"]
    assert (over["of"], over["unit"], over["left_out"]) == ("min_relative_delta", "", "")
    kept = book.listed()[0]
    old = kept.model_copy(update={"id": "ov_0123456789", "of": "", "at": kept.at - timedelta(seconds=1)})
    book._rules.add(old)
    rows = {row["id"]: row["left_out"] for row in good(admin.get("/api/v1/optimizer/overrides"))["items"]}
    assert rows[over["id"]] == ""
    assert "it does not say for which kind of gate" in rows[old.id]
    shown = good(admin.get(f"{GATES}/ndcg_at_10"))
    assert (shown["threshold"], len(shown["overrides"])) == (0.05, 2)


def test_the_limit_of_a_signal_is_overridden_too(bare: Serving, clients: Clients) -> None:
    wish = {"kind": "limit", "name": "latency_p95_ms", "threshold": 900.0, "reason": "a migration", "expires": "1d"}
    made = good(clients("admin").post("/api/v1/optimizer/overrides", json=wish), 201)
    assert (made["kind"], made["of"], made["in_force"]) == ("limit", "absolute", True)


@pytest.mark.parametrize(
    ("path", "params", "status", "field"),
    [
        ("no_gate", {"threshold": "1"}, 404, "name"),
        ("ndcg_at_10", {}, 422, "threshold"),
        ("ndcg_at_10", {"threshold": "nan"}, 422, "threshold"),
        ("ndcg_at_10", {"threshold": "-0.5", "of": "change"}, 422, "threshold"),
        ("latency_p95_ms", {"threshold": "0.2", "of": "level"}, 422, "of"),
        ("ndcg_at_10", {"threshold": "0.7", "expires": "99d"}, 422, "expires"),
        ("ndcg_at_10", {"threshold": "0.7", "expires": "for ever"}, 422, "expires"),
    ],
)
def test_an_override_that_cannot_be_is_refused(
    bare: Serving, clients: Clients, path: str, params: dict[str, str], status: int, field: str
) -> None:
    assert problem(clients("admin").post(f"{GATES}/{path}", params=params), status)["field"] == field
    assert notes(bare, "override_added") == []


def test_a_gate_is_overridden_only_as_it_was_seen_and_only_by_an_admin(bare: Serving, clients: Clients) -> None:
    admin, gate = clients("admin"), f"{GATES}/ndcg_at_10"
    seen = admin.get(gate).headers["etag"]
    good(admin.post(f"{gate}?threshold=0.7", headers={"If-Match": seen}))
    problem(admin.post(f"{gate}?threshold=0.6", headers={"If-Match": seen}), 412)
    for role in ("viewer", "operator", "approver"):
        problem(clients(role).post(f"{gate}?threshold=0.1"), 403)
    assert len(notes(bare, "override_added")) == 1


def test_a_part_that_is_down_is_told_with_when_to_come_again(
    bare: Serving, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: object, **_named: object) -> object:
        raise DependencyUnavailable("store", "is away")

    monkeypatch.setattr(type(bare.app.ports.store), "flags", away)
    answer = clients("operator").post(STOP, json={"agent": "ml_engineer"})
    assert problem(answer, 503)["detail"].startswith("store: is away")
    assert answer.headers["retry-after"] == "5"
