"""What every store of accounts keeps to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.accounts.base import Account, AccountKind, AccountsPort, KeptSession, KeptToken
from domain.access import AccessRole
from domain.errors import ConflictError, InvalidInput
from tests.contract.approvals_contract import at_once

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LONG_AGO = NOON - timedelta(days=365)


def account(name: str = "Ann", *roles: str, **fields: Any) -> Account:
    """Return an account of somebody with a password here; a viewer unless roles are named."""
    held = frozenset(AccessRole(role) for role in roles or ("viewer",))
    plain = {"name": name, "kind": AccountKind.LOCAL, "roles": held, "secret": "h", "created_at": NOON}
    return Account.model_validate({**plain, "created_by": "set-up", **fields})


def token(identity: str = "a" * 12, **fields: Any) -> KeptToken:
    """Return an API token of Ann's that lasts an hour."""
    plain: dict[str, Any] = {
        "id": identity,
        "digest": identity * 5,
        "account": "ann",
        "label": "ci",
        "scopes": frozenset({"view", "chat"}),
        "created_at": NOON,
        "expires_at": NOON + HOUR,
    }
    return KeptToken(**{**plain, **fields})


def session(digest: str = "d" * 64, **fields: Any) -> KeptSession:
    """Return a session of Ann's that lasts an hour."""
    plain: dict[str, Any] = {"account": "Ann", "generation": 1, "opened_at": NOON, "seen_at": NOON, "how": "password"}
    return KeptSession(**{**plain, "digest": digest, "expires_at": NOON + HOUR, **fields})


class AccountsContract:
    """Inherited by the tests of every store; `accounts` is an empty one."""

    def test_an_account_is_kept_as_it_is_and_found_however_its_name_is_spelt(self, accounts: AccountsPort) -> None:
        ann = account("Ann Lee", "operator", "approver", scopes=frozenset({"view"}), subject="https://op 1")
        accounts.add(ann)
        assert accounts.account("  ann   LEE ") == ann
        assert accounts.of_subject("https://op 1") == ann
        assert accounts.account("bob") is None
        assert accounts.of_subject("https://op 2") is None

    def test_nobody_has_an_empty_subject(self, accounts: AccountsPort) -> None:
        accounts.add(account("Ann"))
        accounts.add(account("Bob"))
        assert accounts.of_subject("") is None
        assert [each.name for each in accounts.accounts()] == ["Ann", "Bob"]

    @pytest.mark.parametrize("second", [account(" ANN "), account("Bob", subject="s 1")], ids=["name", "subject"])
    def test_a_second_account_of_a_name_or_a_subject_is_refused(self, accounts: AccountsPort, second: Account) -> None:
        accounts.add(account("Ann", subject="s 1"))
        with pytest.raises(ConflictError, match="already"):
            accounts.add(second)
        assert len(accounts.accounts()) == 1

    def test_the_first_account_is_begun_once(self, accounts: AccountsPort) -> None:
        assert accounts.begin(account("admin", "admin"))
        assert not accounts.begin(account("other", "admin"))
        assert [each.name for each in accounts.accounts()] == ["admin"]

    def test_of_many_first_accounts_at_once_one_is_kept(self, accounts: AccountsPort) -> None:
        won: list[int] = []

        def begin(number: int) -> None:
            if accounts.begin(account(f"admin {number}", "admin")):
                won.append(number)

        at_once(6, begin)
        assert [f"admin {number}" for number in won] == [each.name for each in accounts.accounts()]

    def test_a_change_is_kept_under_a_new_version(self, accounts: AccountsPort) -> None:
        accounts.add(before := account("Ann"))
        roles = frozenset({AccessRole.OPERATOR})
        after = accounts.change(before, before.model_copy(update={"roles": roles, "disabled": True, "generation": 2}))
        assert (after.version, after.generation, after.roles, after.disabled) == (2, 2, roles, True)
        assert accounts.account("ann") == after

    def test_a_change_of_what_somebody_else_changed_meanwhile_is_refused(self, accounts: AccountsPort) -> None:
        accounts.add(before := account("Ann"))
        accounts.change(before, before.model_copy(update={"secret": "first"}))
        with pytest.raises(ConflictError, match="meanwhile"):
            accounts.change(before, before.model_copy(update={"secret": "second"}))
        kept = accounts.account("Ann")
        assert kept is not None
        assert kept.secret == "first"

    @pytest.mark.parametrize("change", [{"disabled": True}, {"roles": frozenset({AccessRole.VIEWER})}])
    def test_the_last_admin_who_can_sign_in_stays(self, accounts: AccountsPort, change: dict[str, Any]) -> None:
        accounts.add(ann := account("Ann", "admin"))
        accounts.add(account("robot", "admin", kind=AccountKind.CLIENT))
        accounts.add(account("gone", "admin", disabled=True))
        with pytest.raises(ConflictError, match="last admin"):
            accounts.change(ann, ann.model_copy(update=change))
        accounts.add(account("Bob", "admin"))
        assert accounts.change(ann, ann.model_copy(update=change)).version == 2

    def test_what_a_provider_takes_back_is_taken_from_the_last_admin_too(self, accounts: AccountsPort) -> None:
        accounts.add(ann := account("Ann", "admin", kind=AccountKind.OIDC, subject="s 1", secret=""))
        viewer = ann.model_copy(update={"roles": frozenset({AccessRole.VIEWER})})
        assert accounts.change(ann, viewer).roles == {AccessRole.VIEWER}

    def test_of_two_admins_who_leave_at_once_one_stays(self, accounts: AccountsPort) -> None:
        both = [account("Ann", "admin"), account("Bob", "admin")]
        for each in both:
            accounts.add(each)

        def leave(number: int) -> None:
            try:
                accounts.change(both[number], both[number].model_copy(update={"disabled": True}))
            except ConflictError:
                return

        at_once(2, leave)
        assert [each.runs_the_place for each in accounts.accounts()].count(True) == 1

    def test_who_is_not_there_cannot_be_changed(self, accounts: AccountsPort) -> None:
        with pytest.raises(InvalidInput, match="Ann"):
            accounts.change(account("Ann"), account("Ann"))

    def test_a_token_is_found_by_its_digest_and_listed_newest_first(self, accounts: AccountsPort) -> None:
        first, second = token("a" * 12), token("b" * 12, created_at=NOON + HOUR, account="bob")
        accounts.give(first)
        accounts.give(second)
        assert accounts.token(first.digest) == first
        assert accounts.token("0" * 64) is None
        assert list(accounts.tokens()) == [second, first]
        assert list(accounts.tokens(" ANN")) == [first]
        assert accounts.token_of(first.id) == first
        assert accounts.token_of("0" * 12) is None

    def test_a_revoked_token_stays_revoked_since_the_first_time(self, accounts: AccountsPort) -> None:
        accounts.give(token())
        assert accounts.revoke("a" * 12, NOON).revoked_at == NOON
        assert accounts.revoke("a" * 12, NOON + HOUR).revoked_at == NOON
        kept = accounts.token(token().digest)
        assert kept is not None
        assert not kept.lives(NOON)
        with pytest.raises(InvalidInput, match="no token"):
            accounts.revoke("f" * 12, NOON)

    def test_a_token_lives_until_its_expiry_and_not_at_it(self) -> None:
        assert token().lives(NOON + HOUR - timedelta(microseconds=1))
        assert not token().lives(NOON + HOUR)

    def test_when_a_token_was_used_is_noted(self, accounts: AccountsPort) -> None:
        accounts.give(token())
        accounts.used(token().digest, NOON + HOUR / 2)
        accounts.used("0" * 64, NOON)
        assert [each.used_at for each in accounts.tokens()] == [NOON + HOUR / 2]

    def test_a_session_is_kept_seen_and_closed(self, accounts: AccountsPort) -> None:
        accounts.open(session())
        assert accounts.session(session().digest) == session()
        accounts.seen(session().digest, NOON + HOUR / 2)
        found = accounts.session(session().digest)
        assert found is not None
        assert found.seen_at == NOON + HOUR / 2
        accounts.close(session().digest)
        accounts.close(session().digest)
        assert accounts.session(session().digest) is None

    def test_a_token_that_was_barred_stays_barred(self, accounts: AccountsPort) -> None:
        assert not accounts.barred("j1")
        accounts.bar("j1", NOON + HOUR)
        accounts.bar("j1", NOON + HOUR)
        assert accounts.barred("j1")
        assert not accounts.barred("j2")

    def test_failures_are_counted_in_a_row_and_forgotten(self, accounts: AccountsPort) -> None:
        counts = [accounts.failed("k", NOON + n * HOUR / 4, since=LONG_AGO).count for n in range(3)]
        assert counts == [1, 2, 3]
        found = accounts.failures("k")
        assert found is not None
        assert (found.count, found.last_at) == (3, NOON + HOUR / 2)
        assert accounts.failures("other") is None
        assert accounts.failed("k", NOON + 2 * HOUR, since=NOON + HOUR).count == 1
        accounts.forget("k")
        assert accounts.failures("k") is None

    def test_of_failures_at_once_each_is_counted(self, accounts: AccountsPort) -> None:
        counts: list[int] = []
        at_once(8, lambda _: counts.append(accounts.failed("k", NOON, since=LONG_AGO).count))
        assert sorted(counts) == list(range(1, 9))

    def test_what_is_over_is_deleted_and_nothing_else(self, accounts: AccountsPort) -> None:
        accounts.add(account("Ann"))
        accounts.open(session("1" * 64))
        accounts.open(session("2" * 64, expires_at=NOON))
        accounts.open(session("3" * 64, seen_at=NOON - 2 * HOUR))
        accounts.give(token("a" * 12))
        accounts.give(token("b" * 12, expires_at=NOON - timedelta(days=91)))
        accounts.give(token("c" * 12, revoked_at=NOON - timedelta(days=91)))
        accounts.bar("j1", NOON)
        accounts.bar("j2", NOON + HOUR)
        accounts.failed("old", NOON - 2 * HOUR, since=LONG_AGO)
        accounts.failed("new", NOON, since=LONG_AGO)
        assert accounts.prune(now=NOON, idle_before=NOON - HOUR, failed_before=NOON - HOUR) == 6
        assert [accounts.session(f"{n}" * 64) is not None for n in (1, 2, 3)] == [True, False, False]
        assert [each.id[0] for each in accounts.tokens()] == ["a"]
        assert (accounts.barred("j1"), accounts.barred("j2")) == (False, True)
        assert (accounts.failures("old"), accounts.failures("new") is not None) == (None, True)
        assert accounts.account("Ann") is not None

    def test_no_secret_is_in_what_is_printed(self, accounts: AccountsPort) -> None:
        printed = repr([account(secret="$argon2id$x"), token(), session()])
        assert "argon2" not in printed
        assert token().digest not in printed
        assert session().digest not in printed

    def test_it_says_how_many_there_are(self, accounts: AccountsPort) -> None:
        accounts.add(account("Ann"))
        assert "1 accounts" in accounts.check()
