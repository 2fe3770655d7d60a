"""Artifacts fit their schemas, are written whole, and what cannot be read any more is said so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cycles import artifacts as room
from cycles.artifacts import SCHEMAS, Artifacts
from domain.diagnosis import Action
from domain.errors import IntegrityError
from tests.support.story import given

CYCLE = "si_2026_01_01_001"
SCHEMA_FOLDER = Path(room.__file__).parent / "schemas"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Every artifact as a real cycle wrote it; what goes back is written by one whose model turned out worse."""
    kept = given(tmp_path_factory.mktemp("kept"), Action.RETRAIN).runs()
    worse = given(tmp_path_factory.mktemp("worse"), Action.RETRAIN).when(after_promotion=0.3).runs()
    found = {name: kept.rig.office.artifacts.read(kept.cycle.id, name) for name in SCHEMAS}
    found["undo.json"] = worse.rig.office.artifacts.read(worse.cycle.id, "undo.json")
    return {name: content for name, content in found.items() if content is not None}


# What came later: cycles that ended before are still read.
ADDED = {
    "ab_test_results.json": {"overrides"},
    "dataset_manifest.yaml": {"provenance"},
    "evaluation.json": {"overrides"},
    "outcome.json": {"reaction", "budget", "overrides", "pathology"},
    "watch.json": {"overrides"},
}


def test_every_schema_is_a_schema_and_belongs_to_an_artifact() -> None:
    assert sorted(p.name for p in SCHEMA_FOLDER.glob("*.json")) == sorted(SCHEMAS.values())
    for file in SCHEMA_FOLDER.glob("*.json"):
        Draft202012Validator.check_schema(json.loads(file.read_text()))


def test_a_retraining_writes_every_artifact(written: dict[str, dict[str, Any]]) -> None:
    assert sorted(written) == sorted(SCHEMAS)
    assert all(content["cycle_id"] == CYCLE for content in written.values())


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_content_that_lacks_or_garbles_a_field_is_not_written(
    written: dict[str, dict[str, Any]], tmp_path: Path, name: str
) -> None:
    files = Artifacts(tmp_path)
    files.write(CYCLE, name, written[name])
    for field in set(written[name]) - ADDED.get(name, set()):
        with pytest.raises(IntegrityError, match=name):
            files.write(CYCLE, name, {k: v for k, v in written[name].items() if k != field})
    with pytest.raises(IntegrityError, match="cycle_id"):
        files.write(CYCLE, name, {**written[name], "cycle_id": "another form"})
    with pytest.raises(IntegrityError):
        files.write(CYCLE, name, {**written[name], "surprise": 1})
    assert files.read(CYCLE, name) == written[name]


def test_a_number_that_is_not_finite_is_never_written(written: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    files = Artifacts(tmp_path)
    with pytest.raises((IntegrityError, ValueError)):
        files.write(CYCLE, "diagnostic_report.json", {**written["diagnostic_report.json"], "delta": float("nan")})
    assert files.read(CYCLE, "diagnostic_report.json") is None


def test_an_artifact_nobody_knows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        Artifacts(tmp_path).write(CYCLE, "poem.json", {})


def test_what_is_written_again_replaces_the_whole_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    files = Artifacts(tmp_path)
    files.write_text(CYCLE, "report.md", "a long first text")
    files.write_text(CYCLE, "report.md", "short")
    assert [p.name for p in files.folder(CYCLE).iterdir()] == ["report.md"]
    assert (files.folder(CYCLE) / "report.md").read_text() == "short"


def test_a_write_that_dies_half_way_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Artifacts(tmp_path)
    files.write_text(CYCLE, "report.md", "old")

    def dies(self: Path, target: Path) -> Path:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(OSError, match="no space"):
        files.write_text(CYCLE, "report.md", "new")
    assert (files.folder(CYCLE) / "report.md").read_text() == "old"


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert Artifacts(tmp_path).read(CYCLE, "outcome.json") is None


@pytest.mark.parametrize(
    ("name", "text"), [("outcome.json", "{"), ("outcome.json", "3"), ("dataset_manifest.yaml", "a: [")]
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    files = Artifacts(tmp_path)
    files.write_text(CYCLE, name, text)
    with pytest.raises(IntegrityError, match=name):
        files.read(CYCLE, name)
