"""`evercrew approvals` and `evercrew autonomy` on an office in memory: what is printed, and the exit code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import service.cli
from adapters.vcs.base import VcsPort
from domain.actor import Actor, Role
from domain.approval import ApprovalRequest, ApprovalState
from domain.candidate import LiveState
from domain.diagnosis import Action
from domain.errors import InvalidInput
from domain.people import People, Person
from service.cli_approvals import account, approvals
from service.cli_autonomy import autonomy
from tests.approvals.asked import DIGEST, Asking
from tests.approvals.test_signed import HERS, private, public
from tests.support.meddling import flag, when_stage
from tests.support.setting import MODEL
from tests.support.story import given
from tools.deliver.release import Released
from tools.outcome import Done, Refused

app = typer.Typer()
app.add_typer(approvals, name="approvals")
app.add_typer(autonomy, name="autonomy")

ME = account()
TEAM = People(
    {
        "Ann": Person(name="Ann", roles=("admin",), os_users=(ME,)),
        "Bob": Person(name="Bob", roles=("approver",), os_users=("somebody else",)),
        "Cem": Person(name="Cem", roles=("admin",), public_key=public(HERS)),
    }
)


@dataclass
class Terminal:
    """A terminal of the person who is asked."""

    asking: Asking

    def run(self, *words: str) -> Any:
        return CliRunner().invoke(app, list(words))

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.exit_code == 0, (done.output, done.exception)
        return json.loads(done.stdout)


def built_of(rig: Any) -> SimpleNamespace:
    built = SimpleNamespace(
        office=rig.office, ports=rig.ports, profile=rig.profile, clock=rig.clock, audit=rig.audit, close=lambda: None
    )
    built.at = lambda _target: built
    return built


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    asking = Asking(tmp_path)
    asking.with_people(TEAM)
    monkeypatch.setattr(service.cli, "wired", lambda config, workflow=True: built_of(asking.rig))
    return Terminal(asking)


def test_what_waits_is_listed_and_what_is_over_only_when_asked_for(terminal: Terminal) -> None:
    assert "nothing waits for anybody" in terminal.run("approvals", "list").stdout
    request = terminal.asking.asked()
    done = terminal.run("approvals", "list")
    assert done.exit_code == 0
    assert request.id in done.stdout
    [row] = terminal.json("approvals", "list", "--cycle", request.binding.cycle_id)
    assert (row["tool"], row["state"], row["quorum"], row["have"]) == ("promote", "waiting", "1 of admin, approver", 0)
    terminal.asking.consent.store.withdraw(request.id, "over")
    assert terminal.json("approvals", "list") == []
    assert [r["state"] for r in terminal.json("approvals", "list", "--all")] == ["withdrawn"]


def test_the_change_that_is_shown_is_the_change_that_is_made(terminal: Terminal) -> None:
    request = terminal.asking.asked()
    shown = terminal.json("approvals", "show", request.id[:10])
    assert f"+  digest: {DIGEST}" in shown["diff"]
    assert shown["missing"] == []
    terminal.run("approvals", "approve", request.id, "--as", "Ann")
    done = terminal.asking.call()
    assert isinstance(done, Done)
    assert changed(shown["diff"]) == changed(Released.model_validate(done.value.model_dump()).patch)


def changed(diff: str) -> list[str]:
    """Return the lines a diff takes out and puts in."""
    return [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def test_the_diff_is_that_of_the_present_and_not_of_the_moment_it_was_asked(terminal: Terminal) -> None:
    request = terminal.asking.asked()
    before = terminal.json("approvals", "show", request.id)
    vcs: Any = terminal.asking.rig.ports.vcs
    text = vcs.read(vcs.head())
    vcs.push_from_outside(
        text.replace("mode: balanced", "mode: fast").replace('version: "1"', 'version: "7"'), "a change"
    )
    after = terminal.json("approvals", "show", request.id)
    assert '-  version: "7"' in after["diff"]
    assert before["seen"] != after["seen"]
    vcs.push_from_outside("model: {}\n", "damaged")
    broken = terminal.run("approvals", "show", request.id)
    assert broken.exit_code == 0
    assert "MISSING     the diff" in broken.stdout


def test_it_shows_who_asked_why_and_until_when_and_who_has_said_what(terminal: Terminal) -> None:
    request = terminal.asking.asked()
    terminal.run("approvals", "approve", request.id, "--as", "Ann", "--reason", "looks good")
    told = terminal.run("approvals", "show", request.id).stdout
    for part in (
        f"{request.id} is granted",
        "promote in promote of si_2026",
        f'"name": "{MODEL}"',
        request.binding.args_hash,
        "proposed by devops_engineer/stage",
        "a person has to approve this first",
        "permit-promote of set",
        "1 of admin, approver, until",
        "price       at most 0.0000 USD; spent so far",
        f"vote        Ann: approve [os_user {ME}] looks good",
        "+++ b/values.yaml",
    ):
        assert part in told, part


def test_approving_and_denying_end_with_what_came_of_it(terminal: Terminal) -> None:
    request = terminal.asking.asked()
    done = terminal.run("approvals", "approve", request.id, "--as", "Ann")
    assert (done.exit_code, "is granted: 1 of 1 of admin, approver" in done.stdout) == (0, True)
    kept = newest(terminal)
    assert (kept.votes[0].proof.who, len(kept.votes[0].seen)) == (ME, 64)
    denied = terminal.json("approvals", "deny", request.id, "--as", "Ann", "--reason", "not on a Friday")
    assert denied["state"] == "denied"
    late = terminal.run("approvals", "approve", request.id, "--as", "Ann")
    assert (late.exit_code, "cannot be voted on any more" in late.stderr) == (1, True)


def newest(terminal: Terminal) -> ApprovalRequest:
    return terminal.asking.newest()


def test_a_denial_without_a_reason_is_no_denial(terminal: Terminal) -> None:
    request = terminal.asking.asked()
    assert terminal.run("approvals", "deny", request.id, "--as", "Ann").exit_code == 2
    done = terminal.run("approvals", "deny", request.id, "--as", "Ann", "--reason", " ")
    assert isinstance(done.exception, InvalidInput)
    assert newest(terminal).votes == ()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--as", "Bob"], f"the account {ME} is none of Bob"),
        (["--as", "Mallory"], "is not among the people"),
        (["--as", "Cem"], "has to sign"),
        (["--as", "Cem", "--key", "nowhere"], "cannot be read"),
    ],
)
def test_a_vote_that_is_not_known_to_be_theirs_is_refused(terminal: Terminal, words: list[str], told: str) -> None:
    request = terminal.asking.asked()
    done = terminal.run("approvals", "approve", request.id, *words)
    assert isinstance(done.exception, InvalidInput)
    assert told in str(done.exception)
    assert newest(terminal).votes == ()


def test_a_signed_vote_is_given_with_the_file_of_a_key(terminal: Terminal, tmp_path: Path) -> None:
    request = terminal.asking.asked()
    file = tmp_path / "id_ed25519"
    file.write_bytes(private(HERS))
    done = terminal.run("approvals", "approve", request.id, "--as", "Cem", "--key", str(file))
    assert done.exit_code == 0, done.exception
    assert isinstance(terminal.asking.call(), Done)


def test_a_request_that_is_not_there_or_not_the_only_one_is_named(terminal: Terminal) -> None:
    terminal.asking.asked()
    for identity in ("ap_", "ap_ffffffffffff", "nothing"):
        done = terminal.run("approvals", "show", identity)
        assert isinstance(done.exception, InvalidInput)
        assert "approvals list --all" in str(done.exception)


def test_the_evidence_of_a_whole_cycle_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = given(tmp_path, Action.RETRAIN).before(lambda rig: flag(rig, "auto_promote", False))
    seen: list[Any] = []
    monkeypatch.setattr(service.cli, "wired", lambda config, workflow=True: built_of(story.rig))

    def look() -> None:
        [request] = story.rig.office.consent.store.requests()
        seen.append(json.loads(CliRunner().invoke(app, ["approvals", "show", request.id, "--json"]).stdout))
        seen.append(CliRunner().invoke(app, ["approvals", "show", request.id]).stdout)

    when_stage(story.rig, "promote", look, what="wait")
    story.runs()
    found, told = seen
    assert {j["artifact"] for j in found["judged"]} == {"evaluation.json", "ab_test_results.json"}
    assert all(j["verdict"] == "pass" for j in found["judged"] if j["name"] == "overall")
    assert found["diagnosis"].startswith("retrain: ")
    assert found["missing"] == []
    assert "verdict     ab_test_results.json: ndcg_at_10: pass" in told


@pytest.mark.parametrize("tool", ["roll_back", "apply_tuning", "ab_start", "ab_stop", "restore_values"])
def test_every_release_shows_the_change_it_would_make(tmp_path: Path, tool: str) -> None:
    asking = Asking(tmp_path)
    rig, vcs = asking.rig, asking.rig.ports.vcs
    first = vcs.head()
    assert isinstance(live_digest(vcs), str)
    candidate = {"candidate": DIGEST, "share": 0.2}
    desk = rig.desk(asking.cycle)
    scope = desk.scope
    actor = Actor(role=Role.DEVOPS_ENGINEER)
    rig.gate.call("ab_start", candidate, actor, scope)
    args: dict[str, dict[str, Any]] = {
        "roll_back": {"revision": vcs.head(), "reason": "worse"},
        "apply_tuning": {"mode": "fast", "tier": "basic"},
        "ab_start": {"candidate": "sha256:" + "d" * 64, "share": 0.1},
        "ab_stop": {"reason": "enough"},
        "restore_values": {"revision": first, "digest": live_digest(vcs), "reason": "better"},
    }
    found = rig.gate.registry.get(tool)
    parsed = found.input.model_validate(args[tool])
    head = vcs.head()
    shown = found.preview(parsed, None)  # type: ignore[arg-type]
    assert vcs.head() == head
    person = Actor(role=Role.DEVOPS_ENGINEER, via="person", person="Ann") if tool == "restore_values" else actor
    outcome = rig.gate.call(tool, parsed, person, scope)
    assert not isinstance(outcome, Refused), outcome
    assert isinstance(outcome, Done), outcome
    assert changed(shown) == changed(vcs.diff(head, vcs.head())) != []


def live_digest(vcs: VcsPort) -> str:
    [line] = [line for line in vcs.read(vcs.head()).splitlines() if line.startswith("  digest:")]
    return LiveState(digest=line.split()[1], revision="").digest


def test_levels_are_listed_capped_and_lifted_with_a_history(terminal: Terminal) -> None:
    rows = terminal.json("autonomy", "list")
    assert {row["kind"]: row["level"] for row in rows} == dict.fromkeys(("promote", "tune", "data", "index"), "act")
    assert "nothing is on record" in terminal.run("autonomy", "history").stdout
    words = ("--as", "Ann", "--reason", "an audit")
    done = terminal.run("autonomy", "cap", "promote", "--level", "approve", *words)
    assert (done.exit_code, "capped at approve by Ann: an audit" in done.stdout) == (0, True)
    assert terminal.json("autonomy", "uncap", "promote", *words)["level"] == "act"
    told = terminal.run("autonomy", "history", "promote").stdout
    assert ["capped at approve by Ann: an audit" in told, "cap lifted by Ann: an audit" in told] == [True, True]
    assert [cap["level"] for cap in terminal.json("autonomy", "history")["caps"]] == ["approve", None]
    [first, second] = [r.entry for r in terminal.asking.audit.records() if r.entry.status == "autonomy_cap"]
    assert (first.actor, first.body["level"], second.body["level"]) == ("Ann", "approve", None)


@pytest.mark.parametrize(
    "words",
    [
        ["cap", "promote", "--level", "act", "--as", "Ann", "--reason", "x"],
        ["cap", "promote", "--level", "approve", "--as", "Bob", "--reason", "x"],
        ["cap", "everything", "--level", "approve", "--as", "Ann", "--reason", "x"],
        ["uncap", "promote", "--as", "Ann", "--reason", ""],
    ],
)
def test_a_cap_that_is_none_or_not_theirs_to_give_is_refused(terminal: Terminal, words: list[str]) -> None:
    done = terminal.run("autonomy", *words)
    assert isinstance(done.exception, InvalidInput)
    assert terminal.json("autonomy", "history")["caps"] == []


def test_nothing_of_this_is_decided_twice(terminal: Terminal) -> None:
    request = terminal.asking.asked()
    for _ in range(2):
        assert terminal.run("approvals", "approve", request.id, "--as", "Ann").exit_code == 0
    kept = newest(terminal)
    assert (len(kept.votes), kept.state(terminal.asking.clock.now())) == (1, ApprovalState.GRANTED)
