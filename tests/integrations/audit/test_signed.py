"""Signed checkpoints: when they are made, whose they are, and what they give away."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.audit.base import Anchor
from adapters.audit.keys import Keys
from adapters.audit.memory import MemoryAudit
from adapters.audit.signed import HEAD, PLAIN, ROOT, ROTATION, SignedAudit
from adapters.audit.signing import SigningKey, key_id
from domain.clock import FrozenClock
from domain.errors import AuditUnavailable, ChainBroken, ConfigurationError
from domain.receipt import AuditEntry, AuditRecord, RecordKind
from tests.contract.audit_contract import AuditContract, entry

END = AuditEntry(kind=RecordKind.TRANSITION, cycle_id="si_2026_01_31_001", stage="learn", status="done")


class Case:
    """A signed chain in memory, its clock, its folder, and what was told loudly."""

    def __init__(self, folder: Path, given: str = "", chain: MemoryAudit | None = None, every: int = 10) -> None:
        self.folder = folder
        self.clock = FrozenClock()
        self.chain = chain or MemoryAudit(self.clock)
        self.told: list[str] = []
        self.keys = Keys(folder, given)
        self.audit = SignedAudit(
            self.chain, self.keys, self.clock, anchor=folder / "artifacts" / HEAD, every=every, tell=self.told.append
        )

    def append(self, count: int) -> None:
        for number in range(count):
            self.audit.append(entry(key=f"k{number}"))

    def checkpoints(self) -> list[int]:
        return [r.sequence for r in self.chain.records() if r.entry.kind is RecordKind.CHECKPOINT]

    def change(self, place: int, **changes: object) -> None:
        """Change a record as somebody would who may write the database: its hash and all after it made anew."""
        records = self.chain._records
        records[place - 1] = records[place - 1].model_copy(
            update={"entry": records[place - 1].entry.model_copy(update=changes)}
        )
        self.rebuilt()

    def rebuilt(self) -> None:
        records, self.chain._records = self.chain._records, []
        for number, old in enumerate(records, start=1):
            made = AuditRecord.seal(number, old.at, self.chain.head().hash, old.entry)
            self.chain._records.append(made)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def broken(case: Case) -> ChainBroken:
    with pytest.raises(ChainBroken) as told:
        case.audit.verify()
    return told.value


@pytest.mark.integration("audit", "works")
class TestSignedAudit(AuditContract):
    @pytest.fixture
    def audit(self, tmp_path: Path) -> SignedAudit:
        return Case(tmp_path, every=1000).audit


@pytest.mark.integration("audit", "works")
def test_a_checkpoint_comes_after_so_many_records_so_long_and_at_the_end_of_a_cycle(case: Case) -> None:
    case.append(10)
    assert case.checkpoints() == [11]
    case.audit.append(entry())
    case.clock.advance(timedelta(minutes=2))
    case.audit.append(entry())
    assert case.checkpoints() == [11, 14]
    case.audit.append(END)
    assert case.checkpoints() == [11, 14, 16]
    assert (case.audit.verify(), case.audit.covered()) == (16, 15)
    case.audit.append(entry())
    case.audit.close()
    assert case.audit.covered() == 17
    assert case.told == []


@pytest.mark.integration("audit", "works")
def test_without_a_key_one_is_made_that_only_its_owner_can_read(case: Case) -> None:
    case.append(10)
    mode = stat.S_IMODE((case.folder / "audit.key").stat().st_mode)
    assert mode == 0o600
    assert "made here" in case.audit.signer()
    ring = json.loads((case.folder / "audit.keys.json").read_text())
    assert ring["roots"] == [case.keys.current().public]
    assert "PRIVATE" not in (case.folder / "audit.keys.json").read_text()


@pytest.mark.integration("audit", "works")
@pytest.mark.parametrize("escaped", [False, True])
def test_the_key_may_be_given_as_a_pem_or_as_its_path(tmp_path: Path, escaped: bool) -> None:
    key = SigningKey.made()
    (tmp_path / "mine.pem").write_text(key.pem())
    for given in (key.pem().replace("\n", "\\n") if escaped else key.pem(), str(tmp_path / "mine.pem")):
        case = Case(tmp_path / str(len(given)), given)
        case.append(10)
        assert f"signed by key {key.id}, EVERCREW_AUDIT_KEY" in case.audit.signer()
        assert case.audit.covered() == 10
        assert not (case.folder / "audit.key").exists()


@pytest.mark.integration("audit", "misconfigured")
@pytest.mark.parametrize(
    "given", ["/nowhere/key.pem", "-----BEGIN PRIVATE KEY-----\nnothing\n-----END PRIVATE KEY-----"]
)
def test_a_key_that_is_none_is_told_loudly_and_the_records_go_on(tmp_path: Path, given: str) -> None:
    case = Case(tmp_path, given)
    case.append(25)
    assert case.audit.verify() == 25
    assert case.audit.covered() == 0
    assert len(case.told) == 2
    assert "EVERCREW_AUDIT_KEY" in case.told[0]
    with pytest.raises(ConfigurationError, match="EVERCREW_AUDIT_KEY"):
        case.audit.signer()


class Failing(MemoryAudit):
    """Takes no checkpoints: full, just then."""

    def append(self, entry: AuditEntry) -> AuditRecord:
        if entry.kind is RecordKind.CHECKPOINT:
            raise AuditUnavailable("the disk is full; nothing was recorded")
        return super().append(entry)


@pytest.mark.integration("audit", "refused")
def test_a_checkpoint_that_cannot_be_written_is_told_and_stops_no_record(tmp_path: Path) -> None:
    case = Case(tmp_path, chain=Failing(FrozenClock()))
    case.append(10)
    assert case.audit.append(END).sequence == 11
    assert [("disk is full" in told) for told in case.told] == [True, True]
    assert case.audit.verify() == 11


@pytest.mark.integration("audit", "works")
def test_a_rotation_names_the_next_key_and_verification_follows(case: Case) -> None:
    case.append(10)
    first = case.keys.current()
    second = case.keys.prepare()
    record = case.audit.rotate(second.public)
    assert (record.entry.key, record.entry.body["key"], record.entry.body["next"]) == (
        ROTATION,
        first.id,
        second.public,
    )
    case.append(10)
    assert case.keys.current().id == second.id
    assert set(case.keys.ring().public) == {first.id, second.id}
    assert list(case.keys.ring().trusted) == [first.id]
    count, proven = case.audit.proven()
    assert (count, proven.active, proven.retired) == (23, second.id, {first.id: 12})
    assert case.told == []


@pytest.mark.integration("audit", "works")
def test_a_rotation_broken_off_before_the_file_was_changed_is_finished(case: Case) -> None:
    case.append(10)
    second = case.keys.prepare()
    case.keys.promote = lambda wanted: None  # type: ignore[method-assign]
    case.audit.rotate(second.public)
    again = Case(case.folder, chain=case.chain)
    again.append(10)
    assert (again.told, again.keys.current().id) == ([], second.id)
    assert again.audit.proven()[1].active == second.id


@pytest.mark.integration("audit", "refused")
def test_a_process_that_still_has_the_old_key_signs_nothing_and_says_so(tmp_path: Path) -> None:
    old, new = SigningKey.made(), SigningKey.made()
    case = Case(tmp_path, old.pem())
    case.append(10)
    case.audit.rotate(new.public)
    case.append(10)
    assert [("signed by key " + new.id) in told for told in case.told] == [True]
    later = Case(tmp_path, new.pem(), case.chain)
    later.append(10)
    assert (later.told, later.audit.proven()[1].active) == ([], new.id)


@pytest.mark.integration("audit", "works")
def test_a_machine_that_knows_only_the_newest_key_still_verifies(tmp_path: Path) -> None:
    old, new = SigningKey.made(), SigningKey.made()
    case = Case(tmp_path / "one", old.pem())
    case.append(10)
    case.audit.rotate(new.public)
    other = Case(tmp_path / "two", new.pem(), case.chain)
    other.append(10)
    assert (other.told, other.audit.covered()) == ([], 22)


@pytest.mark.integration("audit", "works")
def test_a_lost_key_is_replaced_by_one_an_operator_trusts(case: Case) -> None:
    case.append(10)
    (case.folder / "audit.key").unlink()
    case.append(10)
    assert "if it is lost" in case.told[0]
    case.keys.keep(case.keys.ring().trusting(case.keys.current().public))
    case.append(10)
    assert case.chain.records()[-2].entry.key == ROOT
    assert case.audit.covered() == 30
    assert len(case.told) == 1


@pytest.mark.integration("audit", "refused")
def test_another_machine_with_a_key_of_its_own_does_not_take_the_chain_over(case: Case, tmp_path: Path) -> None:
    case.append(10)
    other = Case(tmp_path / "other", chain=case.chain)
    other.append(10)
    assert len(other.told) == 1
    assert case.checkpoints() == [11]


@pytest.mark.integration("audit", "refused")
def test_the_present_key_cannot_follow_itself(case: Case) -> None:
    with pytest.raises(ConfigurationError, match="signs already"):
        case.audit.rotate(case.keys.current().public)


@pytest.mark.integration("audit", "lying")
def test_a_chain_that_was_rebuilt_is_given_away_by_its_checkpoints(case: Case) -> None:
    case.append(25)
    case.change(4, actor="somebody else")
    told = broken(case)
    assert (told.record, told.why) == (10, "changed")
    assert "vouches for another record 10" in str(told)


@pytest.mark.integration("audit", "lying")
def test_a_forged_signature_and_a_strange_key_are_named(case: Case) -> None:
    case.append(25)
    body = dict(case.chain.records()[10].entry.body)
    case.change(11, body={**body, "at": "2020-01-01T00:00:00+00:00"})
    assert (broken(case).record, broken(case).why) == (11, "bad signature")
    case.change(11, body={**body, "key": "0" * 16})
    assert (broken(case).record, broken(case).why) == (20, "changed")


@pytest.mark.integration("audit", "lying")
def test_a_chain_signed_by_nobody_known_is_an_unknown_key(case: Case, tmp_path: Path) -> None:
    case.append(10)
    stranger = Case(tmp_path / "other", SigningKey.made().pem(), case.chain)
    stranger.keys.current()
    told = broken(stranger)
    assert (told.record, told.why) == (11, "unknown key")


@pytest.mark.integration("audit", "lying")
@pytest.mark.parametrize("kept", [20, 11, 10, 3, 0])
def test_a_tail_that_was_cut_off_is_missed_by_the_anchor(case: Case, kept: int) -> None:
    case.append(20)
    assert case.checkpoints() == [11, 21]
    del case.chain._records[kept:]
    told = broken(case)
    assert (told.record, told.why) == (kept + 1, "truncated")
    assert "audit.head" in str(told)


@pytest.mark.integration("audit", "lying")
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda text: "{}", "changed"),
        (lambda text: text.replace('"at": "2026', '"at": "2027'), "bad signature"),
        (lambda text: text.replace('"record": 11', '"record": 12'), "truncated"),
    ],
)
def test_an_anchor_that_was_changed_is_named(case: Case, spoil: Callable[[str], str], why: str) -> None:
    case.append(10)
    path = case.folder / "artifacts" / HEAD
    path.write_text(spoil(path.read_text()))
    assert broken(case).why == why


@pytest.mark.integration("audit", "works")
def test_anchors_from_elsewhere_are_held_against_the_chain(case: Case) -> None:
    case.append(3)
    third = case.chain.records()[2]
    assert case.audit.verify(anchors=[Anchor("commit abc", 3, third.hash[:16])]) == 3
    with pytest.raises(ChainBroken, match="record 3: commit abc has seen another one"):
        case.audit.verify(anchors=[Anchor("commit abc", 3, "0" * 16)])
    with pytest.raises(ChainBroken, match="record 4 is missing: commit abc has seen record 9"):
        case.audit.verify(anchors=[Anchor("commit abc", 9, third.hash)])


@pytest.mark.integration("audit", "works")
def test_a_key_is_named_by_its_public_half(case: Case) -> None:
    key = case.keys.current()
    assert key.id == key_id(key.public)
    assert repr(key) == f"SigningKey({key.id})"
    case.append(10)
    assert case.chain.of_key(PLAIN) == []
    assert len(case.chain.of_key(ROOT)) == 1
