"""What every object store has to hold to."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from adapters.backup.base import ObjectsPort, file_sha256
from domain.errors import DigestMismatch, InvalidInput


def sha256(data: bytes) -> str:
    """Return the hash an object with these bytes is known by."""
    return hashlib.sha256(data).hexdigest()


class ObjectsContract:
    """A vendor gives `objects`, empty."""

    @pytest.fixture
    def objects(self) -> ObjectsPort:
        raise NotImplementedError

    def put(self, objects: ObjectsPort, folder: Path, name: str, data: bytes) -> None:
        source = folder / "source"
        source.write_bytes(data)
        objects.put(name, source)

    def test_what_was_put_comes_back(self, objects: ObjectsPort, tmp_path: Path) -> None:
        data = bytes(range(256)) * 100
        self.put(objects, tmp_path, "objects/one", data)
        objects.get("objects/one", tmp_path / "back", sha256=sha256(data))
        assert (tmp_path / "back").read_bytes() == data == objects.read("objects/one")
        assert file_sha256(tmp_path / "back") == sha256(data)

    def test_an_empty_object_is_an_object(self, objects: ObjectsPort, tmp_path: Path) -> None:
        self.put(objects, tmp_path, "empty", b"")
        assert objects.read("empty") == b""
        assert objects.names() == {"empty": 0}

    def test_putting_a_name_again_replaces_it(self, objects: ObjectsPort, tmp_path: Path) -> None:
        self.put(objects, tmp_path, "a", b"first")
        self.put(objects, tmp_path, "a", b"second")
        assert objects.read("a") == b"second"

    def test_names_are_found_by_their_start_with_their_sizes(self, objects: ObjectsPort, tmp_path: Path) -> None:
        for name in ("backups/1/manifest.json", "backups/2/manifest.json", "objects/ff"):
            self.put(objects, tmp_path, name, b"four")
        assert dict(objects.names("backups/")) == {"backups/1/manifest.json": 4, "backups/2/manifest.json": 4}
        assert list(objects.names()) == ["backups/1/manifest.json", "backups/2/manifest.json", "objects/ff"]
        assert objects.names("nothing/") == {}

    def test_what_is_not_what_it_is_known_by_is_not_handed_out(self, objects: ObjectsPort, tmp_path: Path) -> None:
        self.put(objects, tmp_path, "a", b"altered")
        with pytest.raises(DigestMismatch, match="instead of"):
            objects.get("a", tmp_path / "back", sha256=sha256(b"the original"))
        assert [path.name for path in tmp_path.iterdir()] == ["source"]

    def test_what_is_not_there_is_named(self, objects: ObjectsPort, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match="objects/none"):
            objects.read("objects/none")
        with pytest.raises(InvalidInput, match="objects/none"):
            objects.get("objects/none", tmp_path / "back", sha256="0" * 64)
        assert list(tmp_path.iterdir()) == []

    def test_what_was_deleted_is_gone_and_deleting_again_is_no_error(
        self, objects: ObjectsPort, tmp_path: Path
    ) -> None:
        self.put(objects, tmp_path, "a", b"1")
        self.put(objects, tmp_path, "b", b"2")
        objects.delete(["a", "never-there"])
        objects.delete(["a"])
        assert list(objects.names()) == ["b"]

    @pytest.mark.parametrize("name", ["", "/a", "../a", "a/../b", "a//b", "a b", ".hidden", "a/"])
    def test_a_name_that_leads_elsewhere_is_refused(self, objects: ObjectsPort, tmp_path: Path, name: str) -> None:
        with pytest.raises(InvalidInput, match="name"):
            self.put(objects, tmp_path, name, b"x")
        with pytest.raises(InvalidInput, match="name"):
            objects.read(name)

    def test_the_check_answers_in_one_line_and_leaves_nothing(self, objects: ObjectsPort) -> None:
        assert objects.check()
        assert "\n" not in objects.check()
        assert objects.names() == {}
