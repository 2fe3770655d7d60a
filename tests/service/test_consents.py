"""People of the configuration, and whether there are enough of them for the rules of a profile."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from domain.errors import ConfigurationError
from policies.consent import ApprovalsProfile
from policies.packaged import packaged_profile
from policies.profiles import Profile, load_profile
from service.config import Config
from service.consents import deciders, people_of
from service.sections import PersonConfig
from tests.approvals.asked import Asking


def packaged(name: str) -> Profile:
    return load_profile(packaged_profile(name), file=name)


def test_people_are_read_from_the_configuration() -> None:
    assert "people" in Config.model_fields
    section = {"A. Person": PersonConfig(roles=("admin",), os_users=("aperson",))}
    people = people_of(section)
    assert (people.named("a. person").roles, len(people)) == (("admin",), 1)
    assert [p.name for p in people.holding(("admin", "viewer"))] == ["A. Person"]
    with pytest.raises(ConfigurationError, match="part of Evercrew"):
        people_of({"Supervisor": PersonConfig(roles=("admin",))})
    with pytest.raises(ValidationError):
        PersonConfig.model_validate({"roles": []})


def test_doctor_names_a_rule_that_nobody_could_ever_meet(tmp_path: Path) -> None:
    asking = Asking(tmp_path)
    assert "1 of admin, approver" in deciders(asking.consent, asking.rig.profile)
    strict = ApprovalsProfile.model_validate({"rules": [{"tools": ["promote"], "need": 2, "of": ["admin", "cfo"]}]})
    staging = packaged("staging").model_copy(update={"approvals": strict})
    with pytest.raises(ConfigurationError, match="people: 2 of admin, cfo have to decide in staging, and 1 of"):
        deciders(asking.consent, staging)
    asking.with_people(people_of({}))
    with pytest.raises(ConfigurationError, match="1 of admin, ml_lead, approver have to decide in production, and 0"):
        deciders(asking.consent, packaged("production"))
    assert "0 people" in deciders(asking.consent, packaged("dev"))


def test_a_tool_stands_in_one_rule_only() -> None:
    rule = {"tools": ["promote"], "need": 1, "of": ["admin"]}
    with pytest.raises(ValidationError, match="promote stands in more than one"):
        ApprovalsProfile.model_validate({"rules": [rule, rule]})
    rules = ApprovalsProfile.model_validate({"need": 1, "of": ["admin"], "rules": [{**rule, "need": 2}]})
    assert (str(rules.quorum("promote")), str(rules.quorum("ab_start"))) == ("2 of admin", "1 of admin")
