"""The policy folder with real files: half-written, replaced, swapped, deleted, forbidden."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.audit.memory import MemoryAudit
from adapters.meter import exposition
from domain.clock import FrozenClock, SystemClock
from domain.errors import PolicySetBroken
from domain.events import Event, nobody
from policies.live import LivePolicies
from policies.packaged import packaged_policy_files
from policies.pdp import hash_of
from service.policyset import PackagedSet, PolicyFolder, live_policies

FILES = packaged_policy_files()
NOBODY = 65534
MORE = '@id("forbid-all") @reason("closed") forbid (principal, action, resource);'


class Watched:
    """A folder with the packaged set in it, and a live point that looks when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "policies"
        self.folder.mkdir()
        for name, content in FILES.items():
            (self.folder / name).write_bytes(content)
        self.audit = MemoryAudit(FrozenClock())
        self.events: list[Event] = []
        self.clock = FrozenClock()
        self.live = self.opened(self.folder)
        self.first = self.live.policy_hash

    def _note(self, event: Event) -> None:
        self.events.append(event)

    def opened(self, folder: Path) -> LivePolicies:
        """Return a live point on a folder."""
        return live_policies(folder, clock=self.clock, audit=self.audit, observer=self._note)

    def looked(self) -> str:
        """Look twice, as a second passes between the looks, and return the hash in force."""
        for _ in range(2):
            self.live.look()
        return self.live.policy_hash

    def statuses(self) -> list[str]:
        """Return what is on record."""
        return [record.entry.status for record in self.audit.records()]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_file_that_is_added_is_in_force_and_on_record(watched: Watched) -> None:
    assert watched.first == hash_of(FILES)
    (watched.folder / "more.cedar").write_text(MORE)
    assert watched.looked() == hash_of({**FILES, "more.cedar": MORE.encode()})
    assert watched.statuses() == ["policies_changed"]
    [record] = watched.audit.records()
    assert (record.entry.policy_hash, record.entry.body["before"]) == (watched.live.policy_hash, watched.first)
    assert "in force" in watched.events[0].what


def test_a_file_that_changes_nothing_but_its_time_or_is_no_policy_is_no_change(watched: Watched) -> None:
    os.utime(watched.folder / "permits.cedar")
    (watched.folder / "README.md").write_text("notes")
    assert watched.looked() == watched.first
    assert watched.statuses() == []


def test_a_file_cut_off_in_the_middle_is_kept_out_and_told_loudly(watched: Watched) -> None:
    text = FILES["permits.cedar"]
    (watched.folder / "permits.cedar").write_bytes(text[: len(text) // 2])
    assert watched.looked() == watched.first
    assert watched.statuses() == ["policies_kept"]
    assert "stays in force" in watched.events[0].what
    assert "evercrew_policy_stale 1.0" in exposition()
    with pytest.raises(PolicySetBroken, match="does not parse"):
        watched.live.check()
    (watched.folder / "permits.cedar").write_bytes(text)
    assert watched.looked() == watched.first
    assert "evercrew_policy_stale 0.0" in exposition()
    assert "in force" in watched.live.check()


def test_a_folder_whose_forbids_are_just_being_replaced_opens_nothing(watched: Watched) -> None:
    (watched.folder / "forbids.cedar").unlink()
    assert watched.looked() == watched.first
    assert "would allow" in watched.live.problem


def test_a_set_that_changes_between_two_looks_waits_until_it_rests(watched: Watched) -> None:
    for number in range(4):
        (watched.folder / "more.cedar").write_text(f"{MORE} //{number * 'x'}")  # no two of a size
        watched.live.look()
        assert watched.live.policy_hash == watched.first
    assert watched.looked() != watched.first


def test_a_set_that_has_rested_is_taken_at_the_first_look(watched: Watched) -> None:
    (watched.folder / "more.cedar").write_text(MORE)
    later = FrozenClock(SystemClock().now() + timedelta(minutes=5))
    stamp = PolicyFolder(watched.folder, later).stamp()
    assert stamp.age is not None
    assert timedelta(minutes=4) < stamp.age < timedelta(minutes=6)


def test_a_deleted_folder_leaves_the_set_in_force_and_comes_back(watched: Watched) -> None:
    shutil.move(watched.folder, watched.folder.with_name("away"))
    assert watched.looked() == watched.first
    assert "cannot be read" in watched.live.problem
    shutil.move(watched.folder.with_name("away"), watched.folder)
    assert watched.looked() == watched.first
    assert watched.live.problem == ""


def test_a_swapped_symbolic_link_is_a_change(watched: Watched) -> None:
    link = watched.folder.with_name("current")
    other = watched.folder.with_name("other")
    shutil.copytree(watched.folder, other)
    (other / "more.cedar").write_text(MORE)
    link.symlink_to(watched.folder)
    live = watched.opened(link)
    assert live.policy_hash == watched.first
    fresh = link.with_suffix(".new")
    fresh.symlink_to(other)
    fresh.replace(link)
    for _ in range(2):
        live.look()
    assert live.policy_hash == hash_of({**FILES, "more.cedar": MORE.encode()})
    link.unlink()
    link.symlink_to(link)
    live.look()
    assert "cannot be read" in live.problem


def test_what_is_no_plain_file_or_too_large_is_kept_out(watched: Watched) -> None:
    os.mkfifo(watched.folder / "pipe.cedar")
    assert watched.looked() == watched.first
    assert "no regular file" in watched.live.problem
    (watched.folder / "pipe.cedar").unlink()
    (watched.folder / "large.cedar").write_bytes(b"/" * (2 << 20))
    assert watched.looked() == watched.first
    assert "at most" in watched.live.problem


def test_a_folder_this_user_may_not_read_leaves_the_set_in_force(tmp_path: Path, watched: Watched) -> None:
    watched.folder.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        assert watched.looked() == watched.first
    finally:
        if root:
            os.seteuid(0)
        watched.folder.chmod(0o755)
    assert "Permission denied" in watched.live.problem
    assert watched.looked() == watched.first
    assert watched.live.problem == ""


def test_without_any_set_everything_is_denied_and_the_packaged_one_is_always_there(tmp_path: Path) -> None:
    audit, clock = MemoryAudit(FrozenClock()), FrozenClock()
    live = live_policies(tmp_path / "none", clock=clock, audit=audit, observer=nobody)
    assert live.policy_hash == ""
    [record] = audit.records()
    assert record.entry.status == "policies_kept"
    packaged = live_policies(None, clock=clock, audit=audit, observer=nobody)
    assert packaged.policy_hash == hash_of(PackagedSet().read()) == hash_of(FILES)
