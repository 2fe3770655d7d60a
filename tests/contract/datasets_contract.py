"""What every dataset store has to hold to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.datasets.base import (
    EFFECT_COLLECT,
    EFFECT_PIPELINE,
    EFFECT_POINT,
    EFFECT_TAG,
    EFFECT_VERSION,
    Collectable,
    DatasetsPort,
    Pipeline,
)
from domain.dataset import DatasetRef
from domain.errors import ConflictError, DependencyUnavailable, DigestMismatch, InvalidInput, PermitMissing
from domain.observation import Seen
from domain.permit import Permit, PermitOffice
from tests.contract.permits import Effect, EffectContract, permit_for

FILES = {"documents.jsonl": '{"id": "a"}\n', "judgements.jsonl": '{"query": "q"}\n', "more/notes.txt": "ü\n"}
Damage = Callable[[str, bytes | None], None]


def folder_of(place: Path, files: dict[str, str]) -> Path:
    """Write the files below `place` and return it."""
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text, encoding="utf-8")
    return place


def contents(folder: Path) -> dict[str, str]:
    """Return relative path -> text of every file."""
    return {p.relative_to(folder).as_posix(): p.read_text("utf-8") for p in folder.rglob("*") if p.is_file()}


def pipeline_of(ref: DatasetRef, place: Path) -> Pipeline:
    """Return the pipeline of a model that is one file."""
    (place / "bundle").mkdir(exist_ok=True)
    (place / "bundle" / "model.json").write_text("{}")
    output = {"digest": "sha256:0", "metrics": {"ndcg": 0.5}, "examples": 1}
    return Pipeline(
        dataset=ref,
        train="evals.simulated_jobs:train",
        spec={"seed": 1, "params": {"leaves": 7}},
        model=place / "bundle",
        output=output,
    )


class DatasetsContract(EffectContract):
    """A vendor gives `datasets`, `damage(address, bytes | None)` on the remote and `count_versions`."""

    @pytest.fixture
    def datasets(self, office: PermitOffice) -> DatasetsPort:
        raise NotImplementedError

    @pytest.fixture
    def damage(self, datasets: DatasetsPort) -> Damage:
        raise NotImplementedError

    @pytest.fixture
    def effects(self, datasets: DatasetsPort, tmp_path: Path, office: PermitOffice) -> list[Effect]:
        known: set[str] = set()
        tags: set[str] = set()
        tagged = self.version(datasets, office, folder_of(tmp_path / "tagged", {"a.txt": "a"}), key="tagged")

        def version(key: str, permit: Permit | None) -> DatasetRef:
            known.add(key)
            source = folder_of(tmp_path / "effects" / key, {"rows.txt": f"{key}\n"})
            return datasets.version(source=source, name="rows", message="rows", key=key, permit=permit)

        def count() -> int:
            return sum(datasets.observe(key).seen is Seen.DONE for key in known)

        def tag(key: str, permit: Permit | None) -> None:
            tags.add(f"gold/{key}")
            datasets.tag(ref=tagged, tag=f"gold/{key}", key=key, permit=permit)

        def count_tags() -> int:
            return sum(datasets.tagged(tag) is not None for tag in tags)

        pointed: set[str] = set()

        def point(key: str, permit: Permit | None) -> None:
            pointed.add(key)
            datasets.point(pointer=f"p-{key}", ref=tagged, key=key, permit=permit)

        def count_pointers() -> int:
            return sum(datasets.pointed(f"p-{key}") is not None for key in pointed)

        return [
            Effect(EFFECT_VERSION, version, count),
            Effect(EFFECT_TAG, tag, count_tags),
            Effect(EFFECT_POINT, point, count_pointers),
        ]

    def version(
        self,
        datasets: DatasetsPort,
        office: PermitOffice,
        source: Path,
        *,
        name: str = "train",
        key: str = "k1",
    ) -> DatasetRef:
        permit = permit_for(office, EFFECT_VERSION, key)
        return datasets.version(source=source, name=name, message="training data", key=key, permit=permit)

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        return folder_of(tmp_path / "source", FILES)

    def test_what_was_stored_comes_back(
        self, datasets: DatasetsPort, office: PermitOffice, source: Path, tmp_path: Path
    ) -> None:
        ref = self.version(datasets, office, source)
        assert contents(datasets.materialise(ref, tmp_path / "out")) == FILES
        datasets.verify(ref)

    def test_an_older_version_comes_back_too(
        self, datasets: DatasetsPort, office: PermitOffice, source: Path, tmp_path: Path
    ) -> None:
        old = self.version(datasets, office, source)
        newer = {**FILES, "judgements.jsonl": '{"query": "r"}\n'}
        new = self.version(datasets, office, folder_of(tmp_path / "newer", newer), key="k2")
        assert old.md5 != new.md5
        assert contents(datasets.materialise(old, tmp_path / "old")) == FILES
        assert contents(datasets.materialise(new, tmp_path / "new")) == newer

    def test_the_hash_is_the_one_of_the_content_alone(
        self, datasets: DatasetsPort, office: PermitOffice, source: Path
    ) -> None:
        first = self.version(datasets, office, source)
        second = self.version(datasets, office, source, name="again", key="k2")
        assert first.md5 == second.md5
        assert first.md5.endswith(".dir")
        assert len(first.md5) == 36

    def test_the_same_content_under_the_same_name_is_the_same_version(
        self, datasets: DatasetsPort, office: PermitOffice, source: Path
    ) -> None:
        first = self.version(datasets, office, source)
        second = self.version(datasets, office, source, key="k2")
        assert second == first
        assert datasets.observe("k2").outcome == first.model_dump()

    def test_a_dataset_is_found_by_its_hash(self, datasets: DatasetsPort, office: PermitOffice, source: Path) -> None:
        assert datasets.find("0" * 32 + ".dir") is None
        ref = self.version(datasets, office, source)
        assert datasets.find(ref.md5) == ref

    def test_an_effect_is_found_by_its_key(self, datasets: DatasetsPort, office: PermitOffice, source: Path) -> None:
        assert datasets.observe("k1").seen is Seen.ABSENT
        ref = self.version(datasets, office, source)
        assert datasets.observe("k1").outcome == ref.model_dump()
        assert datasets.observe("k").seen is Seen.ABSENT

    def test_a_tag_names_its_version_for_ever(
        self, datasets: DatasetsPort, office: PermitOffice, source: Path, tmp_path: Path
    ) -> None:
        first = self.version(datasets, office, source)
        second = self.version(datasets, office, folder_of(tmp_path / "other", {"a.txt": "b"}), key="k2")
        for _ in range(2):
            datasets.tag(ref=first, tag="gold/2026-01-31-1", key="k3", permit=permit_for(office, EFFECT_TAG, "k3"))
        with pytest.raises(ConflictError, match="never moved"):
            datasets.tag(ref=second, tag="gold/2026-01-31-1", key="k4", permit=permit_for(office, EFFECT_TAG, "k4"))
        assert datasets.tagged("gold/2026-01-31-1") == first
        assert datasets.tagged("gold/2026-01-31") is None
        assert datasets.tagged("gold/2026-01-31-2") is None

    def test_a_pointer_moves_and_can_name_nothing(
        self, datasets: DatasetsPort, office: PermitOffice, source: Path, tmp_path: Path
    ) -> None:
        first = self.version(datasets, office, source)
        second = self.version(datasets, office, folder_of(tmp_path / "other", {"a.txt": "b"}), key="k2")
        assert datasets.pointed("live") is None
        for number, ref in enumerate((first, second, first, None, second)):
            key = f"p{number}"
            for _ in range(2):
                datasets.point(pointer="live", ref=ref, key=key, permit=permit_for(office, EFFECT_POINT, key))
            assert datasets.pointed("live") == ref
            assert datasets.observe(key).seen is Seen.DONE
        assert datasets.pointed("liv") is None
        stranger = first.model_copy(update={"md5": "0" * 32 + ".dir"})
        with pytest.raises(DigestMismatch):
            datasets.point(pointer="live", ref=stranger, key="p9", permit=permit_for(office, EFFECT_POINT, "p9"))
        assert datasets.pointed("live") == second

    def test_how_a_model_was_made_is_recorded_once(
        self, datasets: DatasetsPort, office: PermitOffice, source: Path, tmp_path: Path
    ) -> None:
        ref = self.version(datasets, office, source)
        pipeline = pipeline_of(ref, tmp_path)

        def record(key: str, permit: Permit | None) -> str:
            return datasets.record(pipeline, message="how it was made", key=key, permit=permit)

        with pytest.raises(PermitMissing):
            record("k2", None)
        first = record("k2", permit_for(office, EFFECT_PIPELINE, "k2"))
        assert record("k2", permit_for(office, EFFECT_PIPELINE, "k2")) == first
        assert datasets.observe("k2").outcome == ref.model_dump()
        assert datasets.find(ref.md5) == ref
        datasets.verify(ref)

    def test_a_pipeline_of_a_dataset_that_is_none_is_refused(
        self, datasets: DatasetsPort, office: PermitOffice, source: Path, tmp_path: Path
    ) -> None:
        ref = self.version(datasets, office, source).model_copy(update={"md5": "0" * 32 + ".dir"})
        with pytest.raises(DigestMismatch):
            datasets.record(
                pipeline_of(ref, tmp_path), message="m", key="k2", permit=permit_for(office, EFFECT_PIPELINE, "k2")
            )
        assert datasets.observe("k2").seen is Seen.ABSENT

    def test_only_what_nothing_needs_is_collected(
        self, datasets: DatasetsPort, office: PermitOffice, tmp_path: Path
    ) -> None:
        shared = {"documents.jsonl": "shared by all\n"}
        gold, kept, old, new = (
            self.version(datasets, office, folder_of(tmp_path / n, {**shared, "rows.txt": n}), name=n, key=n)
            for n in ("gold", "kept", "old", "new")
        )
        datasets.tag(ref=gold, tag="gold/1", key="t1", permit=permit_for(office, EFFECT_TAG, "t1"))
        told = datasets.collectable([kept.md5])
        assert told.datasets == (old,)
        assert (told.kept, told.objects >= 1, told.size >= len("old")) == (3, True, True)
        datasets.verify(old)
        with pytest.raises(PermitMissing):
            datasets.collect(keep=[kept.md5], key="c1", permit=None)
        for _ in range(2):
            permit = permit_for(office, EFFECT_COLLECT, "c1")
            assert datasets.collect(keep=[kept.md5], key="c1", permit=permit) == told
        for ref in (gold, kept, new):
            datasets.verify(ref)
        with pytest.raises(DependencyUnavailable):
            datasets.verify(old)
        assert Collectable.model_validate_json(str(datasets.observe("c1").outcome["collected"])) == told
        assert datasets.collectable([kept.md5]).datasets == ()

    def test_nothing_is_collected_while_what_is_kept_cannot_be_read(
        self, datasets: DatasetsPort, office: PermitOffice, damage: Damage, tmp_path: Path
    ) -> None:
        first = self.version(datasets, office, folder_of(tmp_path / "a", {"a.txt": "a"}), key="k1")
        second = self.version(datasets, office, folder_of(tmp_path / "b", {"b.txt": "b"}), key="k2")
        damage(second.md5, None)
        damage(_md5("b"), None)
        with pytest.raises(DependencyUnavailable):
            datasets.collect(keep=[], key="c1", permit=permit_for(office, EFFECT_COLLECT, "c1"))
        datasets.verify(first)

    def test_a_damaged_object_in_the_remote_is_an_error_and_never_data(
        self, datasets: DatasetsPort, office: PermitOffice, source: Path, damage: Damage, tmp_path: Path
    ) -> None:
        ref = self.version(datasets, office, source)
        damage("d41d8cd98f00b204e9800998ecf8427e", None)  # an object nobody asks for may well be missing
        damage(_md5(FILES["documents.jsonl"]), b'{"id": "b"}\n')
        with pytest.raises(DigestMismatch, match=r"documents\.jsonl"):
            datasets.materialise(ref, tmp_path / "out")
        with pytest.raises(DigestMismatch):
            datasets.verify(ref)
        assert not (tmp_path / "out" / ref.name).exists()

    def test_a_missing_object_in_the_remote_is_named(
        self, datasets: DatasetsPort, office: PermitOffice, source: Path, damage: Damage, tmp_path: Path
    ) -> None:
        ref = self.version(datasets, office, source)
        damage(_md5(FILES["documents.jsonl"]), None)
        with pytest.raises(DependencyUnavailable, match=r"documents\.jsonl"):
            datasets.materialise(ref, tmp_path / "out")

    def test_a_reference_with_another_hash_does_not_verify(
        self, datasets: DatasetsPort, office: PermitOffice, source: Path
    ) -> None:
        ref = self.version(datasets, office, source)
        with pytest.raises(DigestMismatch, match="instead of"):
            datasets.verify(ref.model_copy(update={"md5": "0" * 32 + ".dir"}))
        with pytest.raises(DigestMismatch):
            datasets.verify(ref.model_copy(update={"revision": "0" * 40}))

    @pytest.mark.parametrize("name", ["../up", "", "a b", "-x", "a/b"])
    def test_a_name_that_is_no_name_is_refused(
        self, datasets: DatasetsPort, office: PermitOffice, source: Path, name: str
    ) -> None:
        with pytest.raises(InvalidInput, match="name"):
            self.version(datasets, office, source, name=name)
        assert datasets.observe("k1").seen is Seen.ABSENT

    def test_an_empty_folder_is_no_dataset(self, datasets: DatasetsPort, office: PermitOffice, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(InvalidInput, match="source"):
            self.version(datasets, office, tmp_path / "empty")

    def test_the_check_answers_in_one_line(self, datasets: DatasetsPort) -> None:
        assert datasets.check()
        assert "\n" not in datasets.check()


def _md5(text: str) -> str:
    import hashlib

    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
