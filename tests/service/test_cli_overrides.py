"""`evercrew overrides`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from typer.testing import CliRunner

from domain.canonical import canonical_json
from domain.errors import InvalidInput
from domain.override import Override
from domain.receipt import AuditRecord
from service.cli_approvals import account
from service.cli_overrides import overrides
from service.records import records_of
from tests.integrations.backup.office import config_in
from tools.signatures import verified

GATE = ("--gate", "ndcg_at_10", "--threshold", "0.02", "--env", "dev")
WHY = ("--by", "ann", "--reason", "a new corpus", "--expires", "2h")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    config_in(tmp_path)
    return tmp_path


def typed(place: Path, *words: str) -> str:
    """Run the command and return what it prints; an error of ours is raised."""
    command = [*words, "--config", str(place / "evercrew.yaml")]
    result = CliRunner().invoke(overrides, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_an_override_is_added_listed_and_ended(place: Path) -> None:
    assert "no overrides" in typed(place, "list")
    made = json.loads(typed(place, "add", *GATE, *WHY, "--json"))
    (row,) = json.loads(typed(place, "list", "--json"))
    assert (row["id"], row["in_force"], row["threshold"]) == (made["id"], True, 0.02)
    assert f"{made['id']}  in force" in typed(place, "list")
    ended = typed(place, "end", made["id"], "--by", "bob", "--reason", "over")
    assert made["id"] in ended
    assert "no overrides" in typed(place, "list")
    assert f"{made['id']}  ended" in typed(place, "list", "--all")


def test_the_limit_of_a_signal_is_overridden(place: Path) -> None:
    words = ("--signal", "etl_backlog_s", "--threshold", "90", "--env", "dev", "--rollback")
    made = json.loads(typed(place, "add", *words, *WHY, "--json"))
    assert (made["kind"], made["of"], made["name"]) == ("rollback", "absolute", "etl_backlog_s")


def test_one_that_the_contract_leaves_out_is_listed_as_such(place: Path) -> None:
    made = json.loads(typed(place, "add", *GATE, *WHY, "--json"))
    assert (made["of"], made["unit"]) == ("min_relative_delta", "")
    old = Override.model_validate({**made, "id": "ov_0123456789", "of": ""})
    with records_of(place / "evercrew.yaml") as records:
        records.rulebook._rules.add(old)
    rows = {row["id"]: row for row in json.loads(typed(place, "list", "--json"))}
    assert rows[made["id"]]["left_out"] == ""
    assert "does not say for which kind" in rows[old.id]["left_out"]
    listed = typed(place, "list")
    assert f"{made['id']}  in force" in listed
    assert f"{old.id}  LEFT OUT" in listed
    assert "it does not count: it does not say" in listed
    assert "not count" not in typed(place, "end", old.id, "--by", "bob", "--reason", "over")
    assert "LEFT OUT" not in typed(place, "list", "--all")


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ((*GATE, "--by", "ann", "--reason", "r", "--expires", "soon"), "expires"),
        ((*GATE, "--by", "ann", "--reason", "r", "--expires", "90d"), "expires"),
        ((*GATE, "--by", "ann", "--reason", " ", "--expires", "2h"), "reason"),
        (("--gate", "ndcg_at_10", "--threshold", "nan", "--env", "dev", *WHY), "threshold"),
        (("--gate", "ndcg_at_10", "--threshold", "-0.5", "--env", "dev", *WHY), "threshold"),
        (("--gate", "ndcg_at_10", "--threshold", "0.02", "--env", "production", *WHY), "env"),
        (("--gate", "nothing", "--threshold", "0.02", "--env", "dev", *WHY), "gate"),
        (("--threshold", "0.02", "--env", "dev", *WHY), "gate"),
        (("--signal", "etl_backlog_s", "--of", "odd", "--threshold", "9", "--env", "dev", *WHY), "of"),
    ],
)
def test_what_no_override_may_be_is_refused_with_the_field(place: Path, words: tuple[str, ...], field: str) -> None:
    with pytest.raises(InvalidInput) as problem:
        typed(place, "add", *words)
    assert problem.value.field == field
    assert "no overrides" in typed(place, "list", "--all")


def test_what_is_not_there_cannot_be_ended(place: Path) -> None:
    with pytest.raises(InvalidInput, match="ov_nothing"):
        typed(place, "end", "ov_nothing", "--by", "bob", "--reason", "over")


# -- who may -----------------------------------------------------------------------------------------------


def records_in(place: Path) -> list[AuditRecord]:
    """Return what the chain of the configuration has about overrides."""
    with records_of(place / "evercrew.yaml") as records:
        return [record for record in records.audit.records() if record.entry.status.startswith("override")]


@pytest.fixture
def peopled(tmp_path: Path) -> Path:
    """A configuration with people: an admin at this account, one at another, and somebody who is no admin."""
    people = {
        "Ann": {"roles": ["admin"], "os_users": [account()]},
        "Bob": {"roles": ["approver"], "os_users": ["bob"]},
        "Cem": {"roles": ["admin"], "os_users": ["cem"]},
    }
    config_in(tmp_path, people=people)
    return tmp_path


def test_an_admin_who_proves_to_be_one_overrides_and_the_proof_is_on_record(peopled: Path) -> None:
    made = json.loads(typed(peopled, "add", *GATE, *WHY, "--json"))
    typed(peopled, "end", made["id"], "--by", "Ann", "--reason", "over")
    added, ended = records_in(peopled)
    for record in (added, ended):
        proof = record.entry.body["proof"]
        assert (proof["how"], proof["who"]) == ("os_user", account())


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("zoe", "is not among the people"),
        ("Bob", "Bob is no admin"),
        ("Cem", "is none of Cem"),
        ("engine", "is not among the people"),
    ],
)
def test_who_is_no_admin_or_somebody_else_neither_adds_nor_ends_one(peopled: Path, by: str, said: str) -> None:
    made = json.loads(typed(peopled, "add", *GATE, *WHY, "--json"))
    for words in (("add", *GATE, "--expires", "2h"), ("end", made["id"])):
        with pytest.raises(InvalidInput, match=said) as problem:
            typed(peopled, *words, "--by", by, "--reason", "because")
        assert problem.value.field == "by"
    assert len(records_in(peopled)) == 1
    assert json.loads(typed(peopled, "list", "--json"))[0]["id"] == made["id"]


def test_an_admin_with_a_key_has_to_sign(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    private = tmp_path / "key.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    people = {"Ann": {"roles": ["admin"], "os_users": [account()], "public_key": public}}
    config_in(tmp_path, people=people)
    with pytest.raises(InvalidInput, match="has to sign"):
        typed(tmp_path, "add", *GATE, *WHY)
    typed(tmp_path, "add", *GATE, *WHY, "--key", str(private))
    [added] = records_in(tmp_path)
    proof, word = added.entry.body["proof"], dict(added.entry.body)
    word.pop("proof")
    assert verified(public, canonical_json(word).encode(), proof["signature"])


def test_where_nobody_is_named_the_account_that_wrote_the_files_is_on_record(place: Path) -> None:
    typed(place, "add", *GATE, *WHY)
    [added] = records_in(place)
    assert added.entry.actor == "ann"
    assert added.entry.body["proof"]["who"] == account()
