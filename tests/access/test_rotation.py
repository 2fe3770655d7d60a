"""Another key signs: every process takes tokens of the one before until they are over, and not a moment longer."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.accounts.jwts import LEEWAY
from adapters.accounts.keys import KEY, PREVIOUS, AccessKeys, ValidKey, access_keys, rotated
from domain.access import Unauthenticated
from domain.clock import FrozenClock
from domain.errors import AuditUnavailable, ConfigurationError, ConflictError, InvalidInput
from service.access.errands import Errands
from service.access.rotation import rotate
from service.mcp.proposals import Proposals
from tests.access.setting import MINUTE, SECOND, FillingAudit, Rig
from tests.access.test_cli import config, notes, run, told
from tests.access.test_keys import ERRAND, pem

__all__ = ["config"]
LASTS = 30 * MINUTE


class Place:
    """A folder with keys, and two processes that look into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FrozenClock()
        self.one, self.other = (self.process() for _ in range(2))
        self.one.add("ann")
        self.other.add("ann")

    def process(self, *before: Ed25519PrivateKey) -> Rig:
        """Return the desk of one more process."""
        keys = access_keys(self.folder, self.clock, previous=pem(before[0]) if before else "")
        return Rig(clock=self.clock, keys=keys)

    def rotate(self, *, lasts: timedelta | None = LASTS) -> None:
        """Put a new key there."""
        rotate(FillingAudit(self.clock), self.clock, self.folder, lasts, by="ann")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "state")


def kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def test_the_new_key_signs_at_once_and_the_old_one_is_believed_by_every_process(place: Place) -> None:
    old = place.one.signed("ann")
    place.rotate()
    new = place.one.signed("ann")
    assert kid(new) != kid(old)
    assert kid(place.other.signed("ann")) == kid(new)
    for process in (place.one, place.other, place.process()):
        if process.accounts.account("ann") is None:
            process.add("ann")
        assert {process.credentials.bearer(token).name for token in (old, new)} == {"ann"}


def test_tokens_of_the_old_key_are_taken_until_the_last_of_them_is_over(place: Place) -> None:
    last = place.one.signed("ann")
    place.rotate()
    place.clock.advance(LASTS + LEEWAY - SECOND)
    assert place.one.credentials.bearer(last).name == "ann"
    place.clock.advance(SECOND)
    with pytest.raises(Unauthenticated):
        place.one.credentials.bearer(last)


def test_what_is_forged_with_the_old_key_is_none_of_ours_when_its_time_is_over(place: Place) -> None:
    stolen, claims = (
        place.one.access.keys.valid()[0],
        jwt.decode(place.one.signed("ann"), options={"verify_signature": False}),
    )
    place.rotate()
    place.clock.advance(LASTS + LEEWAY)
    now = int(place.clock.now().timestamp())
    fresh = {**claims, "iat": now, "nbf": now, "exp": now + 600}
    token = jwt.encode(fresh, stolen.private, "EdDSA", headers={"typ": "at+jwt", "kid": stolen.id})
    with pytest.raises(Unauthenticated, match="not any more"):
        place.other.credentials.bearer(token)


def test_a_name_of_a_key_over_the_signature_of_the_other_one_is_refused(place: Place) -> None:
    old = place.one.access.keys.valid()[0]
    place.rotate()
    new = place.one.access.keys.valid()[0]
    claims = jwt.decode(place.one.signed("ann"), options={"verify_signature": False})
    for key, name in ((old, new), (new, old)):
        token = jwt.encode(claims, key.private, "EdDSA", headers={"typ": "at+jwt", "kid": name.id})
        with pytest.raises(Unauthenticated):
            place.one.credentials.bearer(token)


def test_a_key_that_leaked_counts_for_nothing_from_then_on(place: Place) -> None:
    old = place.one.signed("ann")
    place.rotate()
    newer = place.one.signed("ann")
    place.rotate(lasts=None)
    for token in (old, newer):
        with pytest.raises(Unauthenticated):
            place.other.credentials.bearer(token)
    assert place.one.credentials.bearer(place.other.signed("ann")).name == "ann"


def test_there_is_never_a_third_key(place: Place) -> None:
    place.rotate()
    before = (place.folder / KEY).read_bytes()
    with pytest.raises(ConflictError, match="until"):
        place.rotate()
    assert (place.folder / KEY).read_bytes() == before
    place.clock.advance(LASTS + LEEWAY)
    place.rotate()
    assert (place.folder / KEY).read_bytes() != before


def test_what_cannot_be_put_on_record_is_not_done(place: Place) -> None:
    audit = FillingAudit(place.clock)
    audit.full = True
    before = (place.folder / KEY).read_bytes()
    with pytest.raises(AuditUnavailable):
        rotate(audit, place.clock, place.folder, LASTS, by="ann")
    assert (place.folder / KEY).read_bytes() == before
    assert not (place.folder / PREVIOUS).exists()


def test_what_was_refused_is_on_record_as_that(place: Place) -> None:
    audit = FillingAudit(place.clock)
    rotate(audit, place.clock, place.folder, LASTS, by="ann")
    with pytest.raises(ConflictError):
        rotate(audit, place.clock, place.folder, LASTS, by="ann")
    said = [(record.entry.actor, record.entry.status) for record in audit.records()]
    assert said == [("ann", f"access_key_rotated{end}") for end in ("", "", "_failed")]


def test_of_many_that_change_it_at_once_one_does(place: Place) -> None:
    first, gate = place.one.signed("ann"), threading.Barrier(5)
    done: list[tuple[ValidKey, ValidKey]] = []

    def change() -> None:
        gate.wait(60)
        try:
            done.append(rotated(place.folder, place.clock, place.clock.now() + LASTS))
        except ConflictError:
            return

    threads = [threading.Thread(target=change) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 1
    assert place.other.credentials.bearer(first).name == "ann"
    assert kid(place.one.signed("ann")) == done[0][1].id


@pytest.mark.parametrize("died", ["before the new key", "before anything"])
def test_a_process_that_died_in_between_has_harmed_nothing(place: Place, died: str) -> None:
    token = place.one.signed("ann")
    if died == "before the new key":
        until = (place.clock.now() + LASTS).isoformat().encode()
        (place.folder / PREVIOUS).write_bytes(b"until " + until + b"\n" + (place.folder / KEY).read_bytes())
        (place.folder / PREVIOUS).chmod(0o600)
    place.clock.advance(LASTS - SECOND)
    assert place.other.credentials.bearer(token).name == "ann"
    place.clock.advance(MINUTE)
    assert place.other.credentials.bearer(place.one.signed("ann")).name == "ann"


@pytest.mark.parametrize("content", [b"", b"until\n", b"until tomorrow\n", b"until 2026-01-31T12:00:00\n"])
def test_a_key_before_that_says_no_time_is_not_guessed_at(place: Place, content: bytes) -> None:
    (place.folder / PREVIOUS).write_bytes(content + b"x" + (place.folder / KEY).read_bytes())
    (place.folder / PREVIOUS).chmod(0o600)
    with pytest.raises(ConfigurationError, match=PREVIOUS):
        place.one.signed("ann")


def test_a_key_before_that_others_may_read_is_refused(place: Place) -> None:
    place.rotate()
    (place.folder / PREVIOUS).chmod(0o644)
    with pytest.raises(ConfigurationError, match="others may read"):
        place.process()


def test_a_process_keeps_the_key_that_was_deleted_under_it(place: Place) -> None:
    token = place.one.signed("ann")
    (place.folder / KEY).unlink()
    assert place.one.credentials.bearer(token).name == "ann"


def test_given_keys_rotate_by_the_setting_of_the_one_before(tmp_path: Path) -> None:
    clock, old, new = FrozenClock(), Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()

    def started(given: Ed25519PrivateKey, before: str = "") -> Rig:
        keys: AccessKeys = access_keys(tmp_path, clock, pem(given), before)
        rig = Rig(clock=clock, keys=keys)
        rig.add("ann")
        return rig

    token = started(old).signed("ann")
    both = started(new, pem(old))
    assert both.credentials.bearer(token).name == "ann"
    assert kid(both.signed("ann")) != kid(token)
    with pytest.raises(Unauthenticated):
        started(new).credentials.bearer(token)
    with pytest.raises(ConfigurationError, match="EVERCREW_ACCESS_KEY_PREVIOUS"):
        started(new, "-----BEGIN nothing")
    assert list(tmp_path.iterdir()) == []


def test_what_a_client_carries_for_us_opens_after_the_key_has_changed(place: Place) -> None:
    errand = Errands(place.one.access.secrets(), place.clock).sealed(ERRAND)
    asking = Proposals(place.one.access.secrets, place.clock)
    _, proposal = asking.made("ann", "stop", {})
    place.rotate()
    assert Errands(place.other.access.secrets(), place.clock).opened(errand) == ERRAND
    assert asking.opened("ann", proposal).tool == "stop"
    place.rotate(lasts=None)
    with pytest.raises(Unauthenticated):
        Errands(place.other.access.secrets(), place.clock).opened(errand)
    with pytest.raises(InvalidInput):
        asking.opened("ann", proposal)


def test_the_command_says_which_key_signs_and_until_when_the_other_counts(config: Path) -> None:
    first = told(config, "tokens", "rotate-key")
    assert first["old"] != first["new"]
    assert datetime.fromisoformat(first["old_until"]).tzinfo is not None
    again = run(config, "tokens", "rotate-key")
    assert isinstance(again.exception, ConflictError)
    leaked = run(config, "tokens", "rotate-key", "--leaked").output
    assert f"tokens of {first['new']} are not taken any more" in leaked
    assert notes(config) == [*["access_key_rotated"] * 2, "access_key_rotated_failed", "access_key_rotated"]
    kept = "".join(path.read_text(errors="replace") for path in (config.parent / "state").glob("audit.db*"))
    assert "PRIVATE KEY" not in kept + json.dumps(first) + leaked


def test_a_key_that_is_given_is_not_changed_by_the_command(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERCREW_ACCESS_KEY", pem(Ed25519PrivateKey.generate()))
    refused = run(config, "tokens", "rotate-key")
    assert isinstance(refused.exception, InvalidInput)
    assert "EVERCREW_ACCESS_KEY_PREVIOUS" in refused.exception.remedy
    assert notes(config) == []


def test_a_key_before_it_that_is_given_would_outlive_the_leak(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERCREW_ACCESS_KEY_PREVIOUS", pem(Ed25519PrivateKey.generate()))
    refused = run(config, "tokens", "rotate-key", "--leaked")
    assert isinstance(refused.exception, InvalidInput)
    assert refused.exception.field == "EVERCREW_ACCESS_KEY_PREVIOUS"
    assert "every process" in refused.exception.remedy
    assert notes(config) == []
