"""What every values repository has to hold to."""

from __future__ import annotations

from typing import Protocol

import pytest

from adapters.vcs.base import EFFECT_COMMIT, EFFECT_REVERT, EFFECT_WITHDRAW, NothingToRevert, VcsPort
from domain.errors import ConflictError, InvalidInput, PermitMissing
from domain.observation import Seen
from domain.permit import Permit, PermitOffice
from tests.contract.permits import CYCLE, Effect, EffectContract, permit_for

VALUES = """\
# What the platform serves.
model:
  name: reranker
  version: "1"  # set by releases
limits:
  users: 10
  queries: 20
search:
  mode: balanced
"""
CHANGED = VALUES.replace('version: "1"', 'version: "2"')


class Outside(Protocol):
    """Everybody else who pushes to the remote: `text` None touches another file."""

    def __call__(self, text: str | None) -> str: ...


class VcsContract(EffectContract):
    """A vendor gives `vcs` (over VALUES) and `outside`."""

    @pytest.fixture
    def vcs(self, office: PermitOffice) -> VcsPort:
        raise NotImplementedError

    @pytest.fixture
    def outside(self, vcs: VcsPort) -> Outside:
        raise NotImplementedError

    @pytest.fixture
    def effects(self, vcs: VcsPort, outside: Outside) -> list[Effect]:
        def commit(key: str, permit: Permit | None) -> str:
            text = f"{vcs.read()}# {key}\n"
            return vcs.commit(
                text=text, message="raise", expected_head=vcs.head(), cycle_id=CYCLE, key=key, permit=permit
            )

        target = outside(CHANGED)

        def revert(key: str, permit: Permit | None) -> str:
            return vcs.revert(revision=target, message="put back", cycle_id=CYCLE, key=key, permit=permit)

        def count() -> int:
            return len(vcs.history(100))

        return [Effect(EFFECT_COMMIT, commit, count), Effect(EFFECT_REVERT, revert, count)]

    def commit(self, vcs: VcsPort, office: PermitOffice, text: str, *, head: str | None = None, key: str = "k1") -> str:
        permit = permit_for(office, EFFECT_COMMIT, key)
        expected = vcs.head() if head is None else head
        return vcs.commit(
            text=text, message="change the model", expected_head=expected, cycle_id=CYCLE, key=key, permit=permit
        )

    def revert(self, vcs: VcsPort, office: PermitOffice, revision: str, key: str = "k2") -> str:
        permit = permit_for(office, EFFECT_REVERT, key)
        return vcs.revert(revision=revision, message="put it back", cycle_id=CYCLE, key=key, permit=permit)

    def test_what_was_committed_is_read_back_to_the_byte(self, vcs: VcsPort, office: PermitOffice) -> None:
        text = CHANGED + "note: 'grün ✓'\n\n"
        revision = self.commit(vcs, office, text)
        assert (vcs.head(), vcs.read(), vcs.read(revision)) == (revision, text, text)

    def test_a_commit_carries_the_cycle_and_the_key(self, vcs: VcsPort, office: PermitOffice) -> None:
        revision = self.commit(vcs, office, CHANGED)
        newest = vcs.history(1)[0]
        assert newest.revision == revision
        assert newest.message.startswith("change the model")
        assert newest.trailers["Evercrew-Cycle"] == CYCLE
        assert newest.trailers["Evercrew-Key"] == "k1"

    def test_the_history_is_newest_first_and_leaves_out_other_files(
        self, vcs: VcsPort, office: PermitOffice, outside: Outside
    ) -> None:
        first = self.commit(vcs, office, CHANGED)
        elsewhere = outside(None)
        second = outside(CHANGED.replace("users: 10", "users: 11"))
        revisions = [commit.revision for commit in vcs.history(10)]
        assert revisions[:2] == [second, first]
        assert elsewhere not in revisions
        assert len(vcs.history(1)) == 1

    def test_the_branch_contains_what_is_part_of_its_history(
        self, vcs: VcsPort, office: PermitOffice, outside: Outside
    ) -> None:
        revision = self.commit(vcs, office, CHANGED)
        outside(None)
        assert vcs.contains(revision)
        assert not vcs.contains("0" * 40)

    def test_the_diff_shows_the_change(self, vcs: VcsPort, office: PermitOffice) -> None:
        before = vcs.head()
        after = self.commit(vcs, office, CHANGED)
        changed = [
            line for line in vcs.diff(before, after).splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")
        ]
        assert changed == ['-  version: "1"  # set by releases', '+  version: "2"  # set by releases']
        assert vcs.diff(after, after) == ""

    def test_a_race_over_another_file_is_rebased(self, vcs: VcsPort, office: PermitOffice, outside: Outside) -> None:
        expected = vcs.head()
        outside(None)
        revision = self.commit(vcs, office, CHANGED, head=expected)
        assert vcs.head() == revision
        assert vcs.read() == CHANGED

    def test_a_race_over_the_same_file_is_a_conflict(
        self, vcs: VcsPort, office: PermitOffice, outside: Outside
    ) -> None:
        expected = vcs.head()
        theirs = outside(VALUES.replace("users: 10", "users: 99"))
        with pytest.raises(ConflictError):
            self.commit(vcs, office, CHANGED, head=expected)
        assert vcs.head() == theirs
        assert vcs.observe("k1").seen is Seen.ABSENT

    @pytest.mark.parametrize("text", ["a: [1, 2", "just words", "", "- a\n- list\n"])
    def test_nothing_that_does_not_parse_is_pushed(self, vcs: VcsPort, office: PermitOffice, text: str) -> None:
        head = vcs.head()
        with pytest.raises(InvalidInput, match="text"):
            self.commit(vcs, office, text)
        assert vcs.head() == head

    def test_a_revert_is_rehearsed_without_a_change(self, vcs: VcsPort, office: PermitOffice, outside: Outside) -> None:
        revision = self.commit(vcs, office, CHANGED)
        outside(CHANGED.replace("mode: balanced", "mode: fast"))
        head = vcs.head()
        assert vcs.rehearse_revert(revision) == VALUES.replace("mode: balanced", "mode: fast")
        assert vcs.head() == head

    def test_a_change_is_rehearsed_together_with_its_revert(self, vcs: VcsPort) -> None:
        head = vcs.head()
        assert vcs.rehearse_change(CHANGED + "more: 1\n") == VALUES
        assert vcs.head() == head
        with pytest.raises(ConflictError):
            vcs.rehearse_change(VALUES)
        with pytest.raises(InvalidInput):
            vcs.rehearse_change("a: [")

    def test_a_revert_undoes_one_commit_and_keeps_later_ones(
        self, vcs: VcsPort, office: PermitOffice, outside: Outside
    ) -> None:
        revision = self.commit(vcs, office, CHANGED)
        outside(CHANGED.replace("mode: balanced", "mode: fast"))
        rehearsed = vcs.rehearse_revert(revision)
        reverting = self.revert(vcs, office, revision)
        assert (vcs.head(), vcs.read()) == (reverting, rehearsed)
        assert vcs.history(1)[0].trailers["Evercrew-Reverts"] == revision

    def test_a_revert_that_does_not_apply_is_a_conflict(
        self, vcs: VcsPort, office: PermitOffice, outside: Outside
    ) -> None:
        revision = self.commit(vcs, office, CHANGED)
        theirs = outside(CHANGED.replace('version: "2"', 'version: "3"'))
        with pytest.raises(ConflictError):
            vcs.rehearse_revert(revision)
        with pytest.raises(ConflictError):
            self.revert(vcs, office, revision)
        assert vcs.head() == theirs

    def test_a_second_revert_of_the_same_commit_is_a_conflict(self, vcs: VcsPort, office: PermitOffice) -> None:
        revision = self.commit(vcs, office, CHANGED)
        self.revert(vcs, office, revision)
        with pytest.raises(ConflictError):
            self.revert(vcs, office, revision, key="k3")

    def test_a_commit_that_changed_nothing_has_nothing_to_revert(self, vcs: VcsPort, office: PermitOffice) -> None:
        revision = self.commit(vcs, office, vcs.read())
        with pytest.raises(NothingToRevert, match=f"{revision[:12]} changed nothing"):
            self.revert(vcs, office, revision, key="k3")
        with pytest.raises(NothingToRevert, match="changed nothing"):
            vcs.rehearse_revert(revision)
        assert vcs.head() == revision

    def test_a_revision_nobody_knows_is_named(self, vcs: VcsPort, office: PermitOffice) -> None:
        for unknown in ("f" * 40, "main", "--all"):
            with pytest.raises(InvalidInput):
                vcs.read(unknown)
            with pytest.raises(InvalidInput):
                vcs.rehearse_revert(unknown)

    def test_effects_are_found_by_their_key(self, vcs: VcsPort, office: PermitOffice) -> None:
        assert vcs.observe("k1").seen is Seen.ABSENT
        committed = self.commit(vcs, office, CHANGED)
        reverted = self.revert(vcs, office, committed)
        assert vcs.observe("k1").outcome == {"revision": committed}
        assert vcs.observe("k2").outcome == {"revision": reverted}
        assert vcs.observe("k").seen is Seen.ABSENT

    def withdraw(self, vcs: VcsPort, office: PermitOffice, proposal: str, key: str = "k9") -> bool:
        permit = permit_for(office, EFFECT_WITHDRAW, key)
        return vcs.withdraw(proposal=proposal, reason="it has ended", key=key, permit=permit)

    def test_what_was_never_proposed_or_is_there_already_cannot_be_withdrawn(
        self, vcs: VcsPort, office: PermitOffice
    ) -> None:
        revision = self.commit(vcs, office, CHANGED, key="k1")
        for proposal, seen in (("k1", Seen.DONE), ("never", Seen.ABSENT)):
            assert self.withdraw(vcs, office, proposal) is False
            assert vcs.observe(proposal).seen is seen
        assert (vcs.head(), vcs.observe("k9").seen) == (revision, Seen.ABSENT)

    def test_nothing_is_withdrawn_without_a_permit_for_it(self, vcs: VcsPort, office: PermitOffice) -> None:
        for permit in (None, permit_for(office, EFFECT_COMMIT, "k9"), permit_for(office, EFFECT_WITHDRAW, "k8")):
            with pytest.raises(PermitMissing):
                vcs.withdraw(proposal="k1", reason="it has ended", key="k9", permit=permit)

    def test_the_check_answers_in_one_line(self, vcs: VcsPort) -> None:
        assert vcs.check()
        assert "\n" not in vcs.check()
