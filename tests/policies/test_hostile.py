"""Names nobody foresaw, or that were made to do harm, open nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.actor import Actor, Role
from domain.decision import Answer, AuthorizationRequest, Effect
from tests.policies.test_pdp import ANALYST, GOOD, PDP, READS

names = st.text(max_size=30)


@given(names, names, names.map(lambda t: t or None), st.sampled_from(list(Role)))
def test_no_names_make_the_decision_point_raise_or_allow_an_unknown_tool(
    tool: str, target: str, person: str | None, role: Role
) -> None:
    request = AuthorizationRequest(
        actor=Actor(role=role, person=person),
        tool=tool,
        effect=Effect.READ,
        target=target,
        environment="dev",
        context=GOOD,
    )
    assert PDP.decide(request).answer is (Answer.ALLOW if tool in READS else Answer.DENY)


def test_a_target_with_a_hostile_name_gains_nothing() -> None:
    hostile = 'search"; permit(principal, action, resource);//'
    request = AuthorizationRequest(
        actor=Actor(role=ANALYST),
        tool="promote",
        effect=Effect.IRREVERSIBLE,
        target=hostile,
        environment="dev",
        context=GOOD,
    )
    assert PDP.decide(request).answer is Answer.DENY
