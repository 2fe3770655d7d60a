"""`evercrew policy`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from domain.access import ApiAction
from domain.decision import Effect
from domain.errors import InvalidInput, PolicySetBroken
from policies.packaged import packaged_policy_files
from service.cli_policy import policy
from service.rulings import every_tool


def typed(*words: str, code: int = 0) -> str:
    """Run the command and return what it prints; an error of ours is raised."""
    result = CliRunner().invoke(policy, list(words), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def folder(tmp_path: Path, **changed: str | None) -> Path:
    """Return a folder with the packaged set; a file that is changed to None is left out."""
    for name, content in packaged_policy_files().items():
        (tmp_path / name).write_bytes(content)
    for name, text in changed.items():
        path = tmp_path / name.replace("_", ".", 1)
        if text is None:
            path.unlink()
        else:
            path.write_text(text, encoding="utf-8")
    return tmp_path


def test_the_packaged_set_is_sound_and_the_matrix_is_what_the_point_answers() -> None:
    found = json.loads(typed("check", "--json"))
    assert (found["sound"], found["findings"]) == (True, [])
    words = {(c["tool"], c["role"], c["environment"]): c["word"] for c in found["matrix"]}
    assert len(words) == 15 * len(every_tool())
    assert words[("promote", "devops_engineer", "dev")] == "allow:EP"
    assert words[("promote", "devops_engineer", "staging")] == "approval:EP"
    assert words[("promote", "devops_engineer", "production")].startswith("approval:")
    assert words[("promote", "ml_engineer", "production")] == "never"
    assert words[("metric_query", "metrics_analyst", "dev")] == "allow"
    assert words[("restore_values", "devops_engineer", "production")] == "allow:P"


def test_who_may_ask_the_service_is_in_the_matrix_too() -> None:
    found = json.loads(typed("check", "--json"))["access"]
    cells = {(cell["action"], cell["environment"]): cell for cell in found}
    assert len(cells) == len(found) == 3 * len(ApiAction)
    assert cells[("vote", "staging")]["people"] == ["approver", "admin"]
    assert cells[("vote", "staging")]["machines"] == []
    assert cells[("view", "production")]["machines"] == ["viewer", "operator", "approver", "admin"]
    said = typed("check").split("production: who may ask the service")[1]
    (vote,) = [line.split() for line in said.splitlines() if line.startswith("vote ")]
    assert vote == ["vote", "-", "-", "allow:P", "allow:P"]
    (stop,) = [line.split() for line in said.splitlines() if line.startswith("stop ")]
    assert stop == ["stop", "-", "allow", "-", "allow"]


def test_a_set_that_does_not_know_the_service_is_a_finding(tmp_path: Path) -> None:
    schema = packaged_policy_files()["evercrew.cedarschema"].decode().partition("// What may be asked of")[0]
    place = folder(tmp_path, evercrew_cedarschema=schema, access_cedar=None)
    found = json.loads(typed("check", "--dir", str(place), "--json", code=1))
    assert "api_view is no action of the schema: nobody can ever ask the service for it" in found["findings"]


def test_the_matrix_is_printed_for_people() -> None:
    said = typed("check")
    assert "staging: all is well" in said
    (line,) = [line for line in said.split("staging:")[1].split("production:")[0].splitlines() if "promote " in line]
    assert "approval:EP" in line
    assert "sound: " in said


def test_a_tool_without_a_permit_is_a_finding(tmp_path: Path) -> None:
    text = packaged_policy_files()["permits.cedar"].decode().replace('Action::"train_model",', "")
    said = typed("check", "--dir", str(folder(tmp_path, permits_cedar=text)), code=1)
    assert "FINDING  train_model is permitted to nobody in dev" in said


def test_a_tool_that_is_no_action_is_a_finding(tmp_path: Path) -> None:
    schema = packaged_policy_files()["evercrew.cedarschema"].decode().replace("drift_report, ", "")
    said = typed("check", "--dir", str(folder(tmp_path, evercrew_cedarschema=schema)), code=1)
    assert "FINDING  drift_report is a tool and no action of the schema" in said


def test_a_set_that_allows_what_none_may_is_a_finding(tmp_path: Path) -> None:
    forbids = '@id("forbid-little") forbid (principal, action == Action::"tombstone", resource);'
    found = json.loads(typed("check", "--json", "--dir", str(folder(tmp_path, forbids_cedar=forbids)), code=1))
    assert "the set allows an effect under the kill switch" in found["findings"]


def test_a_set_that_does_not_fit_its_schema_is_a_finding(tmp_path: Path) -> None:
    permits = '@id("p") permit (principal, action, resource) when { context.mood == "good" };'
    said = typed("check", "--dir", str(folder(tmp_path, permits_cedar=permits)), code=1)
    assert "do not fit the schema" in said
    with pytest.raises(PolicySetBroken, match="cannot be read"):
        typed("explain", *("--role", "supervisor", "--tool", "notify", "--env", "dev"), "--dir", str(tmp_path / "no"))
    typed("check", "--dir", str(tmp_path / "nowhere"), code=1)


def explained(*words: str, code: int = 0) -> dict[str, Any]:
    """Return an explanation."""
    answered: dict[str, Any] = json.loads(typed("explain", "--json", *words, code=code))
    return answered


PROMOTE = ("--role", "devops_engineer", "--tool", "promote", "--env")


def test_a_decision_is_explained_with_what_would_flip_it() -> None:
    found = explained(*PROMOTE, "dev")
    assert (found["answer"], found["policies"]) == (
        "allow",
        {"permit-promote": "promotion is automatic here, or this one is approved"},
    )
    flips = {flip["field"]: (flip["answer"], flip["policies"]) for flip in found["flips"]}
    assert flips["kill_switch"] == ("never", ["forbid-kill-switch"])
    assert flips["auto_promote"] == ("approval", ["permit-promote"])
    assert flips["window_open"] == ("never", ["forbid-closed-window"])
    assert flips["verdict_ab"] == ("never", ["forbid-promote-ungated"])
    assert flips["models_today"] == ("never", ["forbid-too-many-models"])
    assert "hour" not in flips


def test_an_answer_that_is_no_ends_with_one_and_says_who_said_it(tmp_path: Path) -> None:
    context = tmp_path / "context.yaml"
    context.write_text("kill_switch: true\ntombstoned: true\n")
    found = explained(*PROMOTE, "dev", "--context", str(context), code=1)
    assert found["answer"] == "never"
    assert set(found["policies"]) == {"forbid-kill-switch", "forbid-promote-tombstoned"}
    assert found["flips"] == []
    assert explained(*PROMOTE, "staging", code=1)["answer"] == "approval"
    assert explained(*PROMOTE, "production", code=1)["approval"] == "2 of admin, ml_lead"
    assert explained(*PROMOTE, "dev")["approval"] == ""
    assert explained(*PROMOTE, "production", "--via", "agent", code=1)["answer"] == "never"
    said = typed("explain", *PROMOTE, "staging", code=1)
    assert "approved: false -> true makes it allow (permit-promote)" in said
    assert "kill_switch: false -> true makes it never (forbid-kill-switch" in said


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("--role", "janitor", "--tool", "promote", "--env", "dev"), "role"),
        (("--role", "supervisor", "--tool", "drop_table", "--env", "dev"), "tool"),
        (("--role", "supervisor", "--tool", "notify", "--env", "moon"), "env"),
        (("--role", "supervisor", "--tool", "notify", "--env", "dev", "--via", "ghost"), "via"),
        (("--role", "supervisor", "--tool", "notify", "--env", "dev", "--context", "nowhere.yaml"), "context"),
    ],
)
def test_what_is_not_known_is_named_with_what_is(words: tuple[str, ...], field: str) -> None:
    with pytest.raises(InvalidInput) as problem:
        typed("explain", *words)
    assert problem.value.field == field


def test_a_context_of_another_shape_is_refused(tmp_path: Path) -> None:
    context = tmp_path / "context.json"
    context.write_text('{"hour": [1, 2]}')
    with pytest.raises(InvalidInput, match="plain values"):
        typed("explain", *PROMOTE, "dev", "--context", str(context))


def test_every_tool_of_the_code_is_listed_with_its_effect() -> None:
    tools = every_tool()
    assert tools["promote"] is Effect.IRREVERSIBLE
    assert tools["metric_query"] is Effect.READ
    assert len(tools) > 50
