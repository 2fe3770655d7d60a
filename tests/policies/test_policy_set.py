"""The policy set as a whole: what is wrong with it is told at load, and while it is wrong nothing is allowed."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from domain.actor import Actor
from domain.decision import Answer, AuthorizationRequest, Effect
from domain.errors import PolicySetBroken
from policies.packaged import packaged_policy_files
from policies.pdp import BrokenPolicies, PolicyDecisionPoint, hash_of, load_decision_point
from tests.policies.test_pdp import ANALYST, DEVOPS, GOOD, PDP, SUPERVISOR, ask

FILES = packaged_policy_files()
SCHEMA = "evercrew.cedarschema"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "one schema"),
        ({SCHEMA: FILES[SCHEMA]}, "0 policy files"),
        ({k: v for k, v in FILES.items() if k != SCHEMA}, "0 schemas"),
        ({**FILES, "extra.cedar": b"permit (principal"}, "does not parse"),
        ({**FILES, "extra.cedar": b"permit (principal, action, resource);"}, "@id"),
        ({**FILES, "extra.cedar": b'@id("permit-notify") permit (principal, action, resource);'}, "permit-notify"),
        ({**FILES, "extra.cedar": b'@id("t") permit (principal == ?principal, action, resource);'}, "template"),
        (
            {**FILES, "extra.cedar": b'@id("x") permit (principal, action, resource) when { context.mood == "good" };'},
            "do not fit the schema",
        ),
        ({**FILES, SCHEMA: b"entity {"}, "cannot be read"),
        ({**FILES, SCHEMA: b"\xff\xfe"}, "cannot be read"),
        ({SCHEMA: FILES[SCHEMA], "empty.cedar": b""}, "no policy"),
    ],
)
def test_a_broken_policy_set_is_refused_at_load_and_then_denies_everything(
    files: Mapping[str, bytes], said: str
) -> None:
    with pytest.raises(PolicySetBroken, match=said):
        PolicyDecisionPoint.from_files(files)
    stand_in = load_decision_point(files)
    assert isinstance(stand_in, BrokenPolicies)
    assert stand_in.policy_hash == ""
    request = AuthorizationRequest(
        actor=Actor(role=SUPERVISOR),
        tool="metric_query",
        effect=Effect.READ,
        target="search",
        environment="dev",
        context=GOOD,
    )
    decision = stand_in.decide(request)
    assert decision.answer is Answer.DENY
    assert "broken" in decision.reason


def test_the_hash_changes_with_any_byte_and_any_name() -> None:
    first = hash_of(FILES)
    assert len(first) == 64
    assert hash_of({**FILES, SCHEMA: FILES[SCHEMA] + b" "}) != first
    assert hash_of({**FILES, "x.cedar": b""}) != first
    assert hash_of(dict(reversed(FILES.items()))) == first


def test_every_policy_has_an_id_that_decisions_name() -> None:
    assert isinstance(load_decision_point(FILES), PolicyDecisionPoint)
    assert all(policy.startswith(("permit-", "forbid-")) for policy in PDP.policy_ids)
    assert ask("notify", ANALYST).policies == ("permit-notify",)


def test_a_decision_is_quick_enough_to_ask_before_every_call() -> None:
    ask("promote", DEVOPS)
    best = float("inf")
    for _ in range(5):
        begun = time.thread_time()  # what it computes, not what else the machine has to do
        for _ in range(50):
            ask("promote", DEVOPS)
        best = min(best, (time.thread_time() - begun) / 50)
    assert best < 0.005  # some tenths of a millisecond on a quiet machine
