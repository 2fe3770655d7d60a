"""A world that is kept is found again only where it is the same one."""

from __future__ import annotations

from pathlib import Path

from testbed.bootstrap import world_key


def test_an_empty_folder_is_not_taken_for_no_collection(tmp_path: Path) -> None:
    assert world_key(1, None, tmp_path) != world_key(1, None, None)


def test_the_key_is_that_of_seed_size_history_and_content(tmp_path: Path) -> None:
    (tmp_path / "docs.jsonl").write_text("one", encoding="utf-8")
    first = world_key(1, None, tmp_path)
    assert world_key(1, None, tmp_path) == first
    (tmp_path / "docs.jsonl").write_text("two", encoding="utf-8")
    keys = {first, world_key(1, None, tmp_path), world_key(2, None, None), world_key(1, 500, None)}
    assert len(keys | {world_key(1, None, None), world_key(1, None, None, 9)}) == 6
