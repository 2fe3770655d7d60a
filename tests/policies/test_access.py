"""Who may ask the service for what: the table, and what none may whatever a set says."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from domain.access import INCLUDES, AccessRequest, AccessRole, ApiAction, Caller, person_of, with_included
from domain.actor import Actor, Role
from domain.decision import Answer, AuthorizationRequest, Effect
from policies.access import access_findings, access_matrix, access_violated
from policies.invariants import violated
from policies.packaged import ENVIRONMENTS, packaged_policy_files
from policies.pdp import BrokenPolicies, PolicyDecisionPoint
from tests.policies.test_live import Point
from tests.policies.test_pdp import GOOD

FILES = packaged_policy_files()
POINT = PolicyDecisionPoint.from_files(FILES)
VIEWER, OPERATOR, APPROVER, ADMIN = AccessRole
EVERYBODY = frozenset(AccessRole)
OPERATORS, APPROVERS, ADMINS = frozenset({OPERATOR, ADMIN}), frozenset({APPROVER, ADMIN}), frozenset({ADMIN})
TABLE: Mapping[ApiAction, frozenset[AccessRole]] = {
    ApiAction.VIEW: EVERYBODY,
    ApiAction.VIEW_AUDIT: EVERYBODY,
    ApiAction.CHAT: EVERYBODY,
    ApiAction.OWN_TOKENS: EVERYBODY,
    ApiAction.OPEN_CYCLE: OPERATORS,
    ApiAction.CANCEL_CYCLE: OPERATORS,
    ApiAction.RESUME_CYCLE: OPERATORS,
    ApiAction.REPLAY_CYCLE: OPERATORS,
    ApiAction.STOP: OPERATORS,
    ApiAction.ROLLBACK: OPERATORS,
    ApiAction.MAKE_REPORT: OPERATORS,
    ApiAction.VOTE: APPROVERS,
    ApiAction.START: ADMINS,
    ApiAction.SET_FLAG: ADMINS,
    ApiAction.OVERRIDE_GATE: ADMINS,
    ApiAction.CAP_AUTONOMY: ADMINS,
    ApiAction.EXPORT_AUDIT: ADMINS,
    ApiAction.MANAGE_ACCESS: ADMINS,
}


def asked(
    action: ApiAction,
    *roles: AccessRole,
    environment: str = "dev",
    scopes: frozenset[str] | None = None,
    person: str | None = "ann",
    point: PolicyDecisionPoint = POINT,
) -> tuple[Answer, tuple[str, ...]]:
    """Return the answer to a caller, and the policies that made it."""
    caller = Caller(name="ann", roles=frozenset(roles), scopes=scopes, via="jwt", person=person)
    decision = point.permits(AccessRequest(caller=caller, action=action, environment=environment))
    assert decision.policy_hash == point.policy_hash
    return decision.answer, decision.policies


def test_the_table_has_every_action() -> None:
    assert set(TABLE) == set(ApiAction)
    assert {name for name in POINT.actions if name.startswith("api_")} == {a.policy_action for a in ApiAction}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("action", list(ApiAction))
def test_each_role_may_what_the_table_says_and_nothing_else(action: ApiAction, environment: str) -> None:
    for role in AccessRole:
        answer, policies = asked(action, role, environment=environment)
        assert answer is (Answer.ALLOW if role in TABLE[action] else Answer.DENY), role
        assert bool(policies) is (role in TABLE[action])


def test_an_operator_and_an_approver_are_viewers_and_not_one_another() -> None:
    assert with_included([OPERATOR]) == {OPERATOR, VIEWER}
    assert with_included([APPROVER]) == {APPROVER, VIEWER}
    assert with_included([ADMIN]) == EVERYBODY
    assert with_included([]) == frozenset()
    assert set(INCLUDES) == EVERYBODY
    assert person_of("ann", [ADMIN]).roles == ("admin", "approver", "operator", "viewer")


def test_two_roles_are_both() -> None:
    assert asked(ApiAction.VOTE, OPERATOR, APPROVER)[0] is Answer.ALLOW
    assert asked(ApiAction.STOP, OPERATOR, APPROVER)[0] is Answer.ALLOW
    assert asked(ApiAction.START, OPERATOR, APPROVER)[0] is Answer.DENY


@pytest.mark.parametrize("action", list(ApiAction))
def test_a_scope_opens_its_action_to_who_may_it_and_nothing_more(action: ApiAction) -> None:
    own = frozenset({action.value})
    assert asked(action, ADMIN, scopes=own)[0] is Answer.ALLOW
    for other in set(ApiAction) - {action}:
        assert asked(other, ADMIN, scopes=own) == (Answer.DENY, ("forbid-api-out-of-scope",))
    assert asked(action, scopes=own)[0] is Answer.DENY
    assert asked(action, ADMIN, scopes=frozenset())[0] is Answer.DENY


def test_a_machine_may_all_but_vote() -> None:
    refused = {a for a in ApiAction if asked(a, *AccessRole, person=None)[0] is not Answer.ALLOW}
    assert refused == {ApiAction.VOTE}


def test_no_tool_is_an_action_of_the_service_and_no_action_a_tool() -> None:
    for action in ApiAction:
        for actor in (Actor(role=Role.DEVOPS_ENGINEER), Actor(role=Role.SUPERVISOR, person="ann")):
            request = AuthorizationRequest(
                actor=actor,
                tool=action.policy_action,
                effect=Effect.READ,
                target="dev",
                environment="dev",
                context=GOOD,
            )
            assert POINT.decide(request).answer is Answer.DENY


def test_a_set_that_does_not_know_the_service_lets_nobody_in_and_is_said_to() -> None:
    schema = FILES["evercrew.cedarschema"].decode().partition("// What may be asked of the service")[0]
    without = {**FILES, "evercrew.cedarschema": schema.encode()}
    del without["access.cedar"]
    old = PolicyDecisionPoint.from_files(without)
    assert {asked(a, ADMIN, point=old)[0] for a in ApiAction} == {Answer.DENY}
    assert violated(old) == []
    found = access_findings(old.actions, access_matrix(old, ["dev"]))
    assert len(found) == len(ApiAction)
    assert "api_view is no action of the schema" in found[0]


def test_what_is_permitted_to_nobody_is_found() -> None:
    text = FILES["access.cedar"].decode().replace('Action::"api_chat", ', "")
    point = PolicyDecisionPoint.from_files({**FILES, "access.cedar": text.encode()})
    assert access_findings(point.actions, access_matrix(point, ["dev"])) == [
        "chat of the service is permitted to nobody in dev"
    ]
    assert access_findings(POINT.actions, access_matrix(POINT, ENVIRONMENTS)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('permit (principal in Access::"viewer", action in Action::"api", resource);', "management of access"),
        ("permit (principal, action, resource);", "without a role"),
    ],
)
def test_a_set_that_gives_the_place_away_is_not_put_in_force(change: str, said: str) -> None:
    extra = f'@id("permit-everything") {change}'.encode()
    point = PolicyDecisionPoint.from_files({**FILES, "extra.cedar": extra})
    assert any(said in what for what in access_violated(point))
    assert set(access_violated(point)) <= set(violated(point))


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("forbid-api-out-of-scope", "made for something else"),
        ("forbid-api-vote-by-machine", "vote by a machine"),
        ("forbid-api-elsewhere", "nobody knows"),
    ],
)
def test_a_set_without_one_of_the_limits_is_found_out(policy: str, said: str) -> None:
    parts = FILES["access.cedar"].decode().split("@id(")
    gutted = "@id(".join(part for part in parts if not part.startswith(f'"{policy}"')).encode()
    assert gutted != FILES["access.cedar"]
    found = access_violated(PolicyDecisionPoint.from_files({**FILES, "access.cedar": gutted}))
    assert any(said in what for what in found), found


def test_a_broken_set_allows_nothing() -> None:
    request = AccessRequest(
        caller=Caller(name="ann", roles=EVERYBODY, via="session", person="ann"),
        action=ApiAction.VIEW,
        environment="dev",
    )
    decision = BrokenPolicies("a bracket").permits(request)
    assert decision.answer is Answer.DENY
    assert "a bracket" in decision.reason


def test_the_matrix_is_what_is_answered() -> None:
    cells = access_matrix(POINT, ENVIRONMENTS)
    assert len(cells) == len(ApiAction) * len(ENVIRONMENTS)
    for cell in cells:
        held = {role.value for role in TABLE[ApiAction(cell.action)]}
        assert set(cell.people) == held
        assert set(cell.machines) == (set() if cell.action == "vote" else held)
    assert json.loads(cells[0].model_dump_json())["action"] == "view"


def test_a_changed_set_counts_for_the_service_without_a_restart_and_a_bad_one_does_not() -> None:
    point = Point()
    viewer = Caller(name="ann", roles=frozenset({VIEWER}), via="session", person="ann")
    request = AccessRequest(caller=viewer, action=ApiAction.CHAT, environment="dev")
    assert point.live.permits(request).allowed
    quieter = FILES["access.cedar"].decode().replace('Action::"api_chat", ', "")
    point.files.files = {**FILES, "access.cedar": quieter.encode()}
    point.seconds += 1
    refusal = point.live.permits(request)
    assert refusal.answer is Answer.DENY
    assert refusal.policy_hash == point.live.policy_hash != POINT.policy_hash
    point.files.files = {**FILES, "extra.cedar": b'@id("permit-all") permit (principal, action, resource);'}
    point.seconds += 1
    assert point.live.permits(request).answer is Answer.DENY
    assert "it would allow" in point.live.problem
    point.files.files = FILES
    point.seconds += 1
    assert point.live.permits(request).allowed
