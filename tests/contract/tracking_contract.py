"""What every experiment tracker and model registry has to hold to."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.tracking.base import (
    EFFECT_ALIAS,
    EFFECT_DESCRIBE,
    EFFECT_LOG_RUN,
    EFFECT_REGISTER,
    EFFECT_RETIRE,
    EFFECT_TAG,
    CardGate,
    CardMetric,
    ModelCard,
    Retirable,
    TrackingPort,
)
from domain.candidate import ModelRef
from domain.errors import ConflictError, DependencyLied, DigestMismatch, InvalidInput, PermitMissing
from domain.observation import Seen
from domain.permit import Permit, PermitOffice
from domain.verdict import Verdict
from tests.contract.permits import Effect, EffectContract, permit_for

MODEL = "reranker"
LATER = datetime(2100, 1, 1, tzinfo=UTC)
EARLIER = datetime(2000, 1, 1, tzinfo=UTC)


def digest_of(bundle: Path) -> str:
    """The digest of a test bundle: a folder with a `config.json`."""
    if not (bundle / "config.json").is_file():
        raise ValueError("there is no config.json")
    hasher = hashlib.sha256()
    for path in sorted(p for p in bundle.rglob("*") if p.is_file()):
        hasher.update(path.relative_to(bundle).as_posix().encode() + b"\0" + path.read_bytes())
    return f"sha256:{hasher.hexdigest()}"


def bundle_of(place: Path, content: str) -> Path:
    """Write a test bundle and return its folder."""
    (place / "parts").mkdir(parents=True, exist_ok=True)
    (place / "config.json").write_text("{}")
    (place / "parts" / "model.txt").write_text(content)
    return place


class TrackingContract(EffectContract):
    """A vendor gives `tracking`, built with `digest_of`."""

    @pytest.fixture
    def tracking(self, office: PermitOffice) -> TrackingPort:
        raise NotImplementedError

    @pytest.fixture
    def effects(self, tracking: TrackingPort, office: PermitOffice, tmp_path: Path) -> list[Effect]:
        bundle = bundle_of(tmp_path / "effects", "model")
        run_id = self.log_run(tracking, office, key="before")
        version = self.register(tracking, office, bundle, run_id, key="before").version
        seen: set[str] = set()

        def log_run(key: str, permit: Permit | None) -> str:
            seen.add(key)
            return tracking.log_run(name="r", params={}, metrics={}, tags={}, artifacts=[], key=key, permit=permit)

        def register(key: str, permit: Permit | None) -> ModelRef:
            return tracking.register(
                model=MODEL, bundle=bundle, digest=digest_of(bundle), run_id=run_id, tags={}, key=key, permit=permit
            )

        def set_alias(key: str, permit: Permit | None) -> None:
            seen.add(key)
            tracking.set_alias(model=MODEL, alias="candidate", version=version, key=key, permit=permit)

        def done(word: str) -> int:
            return len({tracking.observe(key).outcome.get(word) for key in seen} - {None})

        return [
            Effect(EFFECT_LOG_RUN, log_run, lambda: done("run_id")),
            Effect(EFFECT_REGISTER, register, lambda: len(tracking.versions(MODEL))),
            Effect(EFFECT_ALIAS, set_alias, lambda: done("alias")),
        ]

    def log_run(
        self, tracking: TrackingPort, office: PermitOffice, *, key: str = "k1", artifacts: tuple[Path, ...] = ()
    ) -> str:
        return tracking.log_run(
            name="training",
            params={"rounds": 120, "rate": 0.1, "kind": "ranker"},
            metrics={"ndcg_at_10": 0.5},
            tags={"cycle": "si_2026_01_01_001"},
            artifacts=artifacts,
            key=key,
            permit=permit_for(office, EFFECT_LOG_RUN, key),
        )

    def register(
        self, tracking: TrackingPort, office: PermitOffice, bundle: Path, run_id: str, *, key: str = "k2"
    ) -> ModelRef:
        return tracking.register(
            model=MODEL,
            bundle=bundle,
            digest=digest_of(bundle),
            run_id=run_id,
            tags={"dataset_revision": "abc"},
            key=key,
            permit=permit_for(office, EFFECT_REGISTER, key),
        )

    def alias(self, tracking: TrackingPort, office: PermitOffice, version: str, key: str, alias: str) -> None:
        permit = permit_for(office, EFFECT_ALIAS, key)
        tracking.set_alias(model=MODEL, alias=alias, version=version, key=key, permit=permit)

    def test_a_run_is_read_back(self, tracking: TrackingPort, office: PermitOffice, tmp_path: Path) -> None:
        report = tmp_path / "report.json"
        report.write_text("{}")
        run_id = self.log_run(tracking, office, artifacts=(report, bundle_of(tmp_path / "folder", "x")))
        run = tracking.run(run_id)
        assert run is not None
        assert run["params"] == {"rounds": "120", "rate": "0.1", "kind": "ranker"}
        assert run["metrics"] == {"ndcg_at_10": 0.5}
        assert run["tags"]["cycle"] == "si_2026_01_01_001"
        assert run["tags"]["evercrew.key"] == "k1"

    def test_a_tag_stays_on_its_version_for_ever(
        self, tracking: TrackingPort, office: PermitOffice, tmp_path: Path
    ) -> None:
        run_id = self.log_run(tracking, office)
        ref = self.register(tracking, office, bundle_of(tmp_path / "b", "x"), run_id)
        tag = "gold/2026-01-31-1"

        def mark(key: str, value: str, permit: Permit | None, version: str = ref.version) -> None:
            tracking.tag(model=MODEL, version=version, tag=tag, value=value, key=key, permit=permit)

        with pytest.raises(PermitMissing):
            mark("k3", "one", None)
        for _ in range(2):
            mark("k3", "one", permit_for(office, EFFECT_TAG, "k3"))
        with pytest.raises(ConflictError, match="another value"):
            mark("k4", "two", permit_for(office, EFFECT_TAG, "k4"))
        with pytest.raises(InvalidInput):
            mark("k5", "one", permit_for(office, EFFECT_TAG, "k5"), "99")
        found = tracking.by_digest(MODEL, ref.digest)
        assert found is not None
        assert found.tags[tag] == "one"

    def test_a_run_nobody_knows_is_none(self, tracking: TrackingPort) -> None:
        assert tracking.run("0" * 32) is None

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_metric_that_is_not_a_number_is_refused(
        self, tracking: TrackingPort, office: PermitOffice, value: float
    ) -> None:
        with pytest.raises(InvalidInput, match=r"metrics\.ndcg"):
            tracking.log_run(
                name="r",
                params={},
                metrics={"ndcg": value},
                tags={},
                artifacts=[],
                key="k1",
                permit=permit_for(office, EFFECT_LOG_RUN, "k1"),
            )
        assert tracking.observe("k1").seen is Seen.ABSENT

    def test_a_registered_bundle_is_found_and_downloaded(
        self, tracking: TrackingPort, office: PermitOffice, tmp_path: Path
    ) -> None:
        bundle = bundle_of(tmp_path / "bundle", "model")
        run_id = self.log_run(tracking, office)
        ref = self.register(tracking, office, bundle, run_id)
        assert (ref.name, ref.version, ref.digest, ref.run_id) == (MODEL, "1", digest_of(bundle), run_id)
        assert ref.dataset_revision == "abc"
        assert tracking.by_digest(MODEL, ref.digest) == ref
        folder = tracking.download(ref, tmp_path / "into")
        assert digest_of(folder) == ref.digest
        assert tracking.download(ref, tmp_path / "into") == folder

    def test_versions_come_oldest_first_and_the_newest_has_the_digest(
        self, tracking: TrackingPort, office: PermitOffice, tmp_path: Path
    ) -> None:
        run_id = self.log_run(tracking, office)
        bundle = bundle_of(tmp_path / "a", "one")
        other = bundle_of(tmp_path / "b", "two")
        folders = [bundle, other, bundle]
        for number, folder in enumerate(folders):
            self.register(tracking, office, folder, run_id, key=f"v{number}")
        assert [ref.version for ref in tracking.versions(MODEL)] == ["1", "2", "3"]
        found = tracking.by_digest(MODEL, digest_of(bundle))
        assert found is not None
        assert found.version == "3"
        assert tracking.by_digest(MODEL, "sha256:" + "0" * 64) is None
        assert list(tracking.versions("another")) == []

    def test_a_bundle_with_another_digest_is_not_registered(
        self, tracking: TrackingPort, office: PermitOffice, tmp_path: Path
    ) -> None:
        bundle = bundle_of(tmp_path / "bundle", "model")
        run_id = self.log_run(tracking, office)
        with pytest.raises(DigestMismatch):
            tracking.register(
                model=MODEL,
                bundle=bundle,
                digest="sha256:" + "0" * 64,
                run_id=run_id,
                tags={},
                key="k2",
                permit=permit_for(office, EFFECT_REGISTER, "k2"),
            )
        assert list(tracking.versions(MODEL)) == []

    def test_a_folder_that_is_no_bundle_is_not_registered(
        self, tracking: TrackingPort, office: PermitOffice, tmp_path: Path
    ) -> None:
        (tmp_path / "empty").mkdir()
        run_id = self.log_run(tracking, office)
        with pytest.raises(DependencyLied):
            tracking.register(
                model=MODEL,
                bundle=tmp_path / "empty",
                digest="sha256:x",
                run_id=run_id,
                tags={},
                key="k2",
                permit=permit_for(office, EFFECT_REGISTER, "k2"),
            )

    def test_a_download_that_is_not_the_digest_is_an_error(
        self, tracking: TrackingPort, office: PermitOffice, tmp_path: Path
    ) -> None:
        run_id = self.log_run(tracking, office)
        ref = self.register(tracking, office, bundle_of(tmp_path / "bundle", "model"), run_id)
        with pytest.raises(DigestMismatch):
            tracking.download(ref.model_copy(update={"digest": "sha256:" + "0" * 64}), tmp_path / "into")

    def test_an_alias_moves(self, tracking: TrackingPort, office: PermitOffice, tmp_path: Path) -> None:
        assert tracking.by_alias(MODEL, "champion") is None
        run_id = self.log_run(tracking, office)
        first = self.register(tracking, office, bundle_of(tmp_path / "a", "one"), run_id, key="v1")
        second = self.register(tracking, office, bundle_of(tmp_path / "b", "two"), run_id, key="v2")
        self.alias(tracking, office, first.version, "a1", "champion")
        assert tracking.by_alias(MODEL, "champion") == first
        self.alias(tracking, office, second.version, "a2", "champion")
        assert _identity(tracking.by_alias(MODEL, "champion")) == _identity(second)
        assert tracking.by_alias(MODEL, "gold") is None

    def test_an_alias_moved_on_is_not_moved_back_by_the_old_key(
        self, tracking: TrackingPort, office: PermitOffice, tmp_path: Path
    ) -> None:
        run_id = self.log_run(tracking, office)
        first = self.register(tracking, office, bundle_of(tmp_path / "a", "one"), run_id, key="v1")
        second = self.register(tracking, office, bundle_of(tmp_path / "b", "two"), run_id, key="v2")
        self.alias(tracking, office, first.version, "a1", "champion")
        self.alias(tracking, office, second.version, "a2", "champion")
        self.alias(tracking, office, first.version, "a1", "champion")
        assert _identity(tracking.by_alias(MODEL, "champion")) == _identity(second)

    def test_an_alias_for_a_version_that_is_not_there_is_refused(
        self, tracking: TrackingPort, office: PermitOffice
    ) -> None:
        with pytest.raises(InvalidInput):
            self.alias(tracking, office, "99", "a1", "champion")
        assert tracking.observe("a1").seen is Seen.ABSENT

    def test_effects_are_found_by_their_keys(
        self, tracking: TrackingPort, office: PermitOffice, tmp_path: Path
    ) -> None:
        assert tracking.observe("k1").seen is Seen.ABSENT
        run_id = self.log_run(tracking, office)
        ref = self.register(tracking, office, bundle_of(tmp_path / "a", "one"), run_id)
        self.alias(tracking, office, ref.version, "k3", "gold")
        assert tracking.observe("k1").outcome == {"run_id": run_id}
        assert tracking.observe("k2").outcome == {"version": ref.version, "digest": ref.digest}
        assert tracking.observe("k3").outcome == {"alias": "gold", "alias_version": ref.version}
        assert tracking.observe("k").seen is Seen.ABSENT

    def test_one_key_may_stand_for_several_effects(
        self, tracking: TrackingPort, office: PermitOffice, tmp_path: Path
    ) -> None:
        run_id = self.log_run(tracking, office, key="both")
        ref = self.register(tracking, office, bundle_of(tmp_path / "a", "one"), run_id, key="both")
        expected = {"run_id": run_id, "version": ref.version, "digest": ref.digest}
        assert tracking.observe("both").outcome == expected

    def test_the_dataset_is_an_input_of_its_run(self, tracking: TrackingPort, office: PermitOffice) -> None:
        md5 = "0" * 32 + ".dir"
        run_id = tracking.log_run(
            name="training",
            params={},
            metrics={},
            tags={"dataset_path": "aug_1", "dataset_md5": md5, "dataset_rev": "abc"},
            artifacts=[],
            key="k1",
            permit=permit_for(office, EFFECT_LOG_RUN, "k1"),
        )
        run, without = tracking.run(run_id), tracking.run(self.log_run(tracking, office, key="k2"))
        assert run is not None
        assert without is not None
        assert (run["datasets"], without["datasets"]) == ({"aug_1": md5}, {})

    def test_a_version_has_a_card_from_the_first_and_a_fuller_one_when_it_was_judged(
        self, tracking: TrackingPort, office: PermitOffice, tmp_path: Path
    ) -> None:
        run_id = self.log_run(tracking, office)
        ref = self.register(tracking, office, bundle_of(tmp_path / "b", "x"), run_id)
        first = tracking.card(MODEL, ref.version)
        for word in ("## Data", "## Metrics", "ndcg_at_10 | 0.5 | -", "No gate", "## Limits", ref.digest, run_id):
            assert word in first, word
        card = ModelCard(
            title=MODEL,
            what="Ranks documents | of <b>users</b>\n# not a heading",
            metrics=(CardMetric(name="ndcg_at_10", value=0.61, low=0.6, high=0.62, n=800, baseline=0.55),),
            gates=(CardGate(name="offline", verdict=Verdict.PASS, reason="better on 800 queries"),),
        )
        with pytest.raises(PermitMissing):
            tracking.describe(model=MODEL, version=ref.version, card=card, key="k3", permit=None)
        for _ in range(2):
            permit = permit_for(office, EFFECT_DESCRIBE, "k3")
            tracking.describe(model=MODEL, version=ref.version, card=card, key="k3", permit=permit)
        assert tracking.observe("k3").outcome == {"described": ref.version}
        text = tracking.card(MODEL, ref.version)
        assert "| 0.61 | 0.6 to 0.62 | 800 | 0.55 |" in text
        assert "**pass**. better on 800 queries" in text
        assert "<b>" not in text
        assert "\n# not" not in text
        with pytest.raises(InvalidInput):
            tracking.card(MODEL, "99")

    def test_only_old_versions_that_nothing_needs_are_retired(
        self, tracking: TrackingPort, office: PermitOffice, tmp_path: Path
    ) -> None:
        refs = []
        for name in ("champion", "candidate", "gold", "needed", "old", "newest"):
            run_id = self.log_run(tracking, office, key=f"r-{name}")
            bundle = bundle_of(tmp_path / name, name)
            refs.append(self.register(tracking, office, bundle, run_id, key=f"v-{name}"))
        champion, candidate, gold, needed, old, _ = refs
        self.alias(tracking, office, champion.version, "a1", "champion")
        self.alias(tracking, office, candidate.version, "a2", "candidate")
        tracking.tag(
            model=MODEL,
            version=gold.version,
            tag="gold/2026-01-31-1",
            value="kept",
            key="t",
            permit=permit_for(office, EFFECT_TAG, "t"),
        )
        none = tracking.retirable(MODEL, keep_last=1, before=EARLIER, keep=[needed.digest])
        assert (none.versions, none.runs, none.kept) == ((), (), 6)
        told = tracking.retirable(MODEL, keep_last=1, before=LATER, keep=[needed.digest])
        assert told.versions == (old.version,)
        assert (told.runs, told.kept) == ((old.run_id,), 5)
        assert len(tracking.versions(MODEL)) == 6

        def retire(key: str, permit: Permit | None) -> object:
            return tracking.retire(MODEL, keep_last=1, before=LATER, keep=[needed.digest], key=key, permit=permit)

        with pytest.raises(PermitMissing):
            retire("d1", None)
        assert tracking.observe("d1").seen is Seen.ABSENT
        for _ in range(2):
            assert retire("d1", permit_for(office, EFFECT_RETIRE, "d1")) == told
        assert Retirable.model_validate_json(str(tracking.observe("d1").outcome["retired"])) == told
        assert [ref.version for ref in tracking.versions(MODEL)] == ["1", "2", "3", "4", "6"]
        assert tracking.by_digest(MODEL, old.digest) is None
        assert digest_of(tracking.download(gold, tmp_path / "into")) == gold.digest

    def test_a_version_of_a_cycle_that_is_kept_is_not_retired(
        self, tracking: TrackingPort, office: PermitOffice, tmp_path: Path
    ) -> None:
        for number in range(2):
            bundle = bundle_of(tmp_path / str(number), str(number))
            tracking.register(
                model=MODEL,
                bundle=bundle,
                digest=digest_of(bundle),
                run_id=self.log_run(tracking, office, key=f"r{number}"),
                tags={"cycle_id": f"si_2026_01_01_00{number}"},
                key=f"v{number}",
                permit=permit_for(office, EFFECT_REGISTER, f"v{number}"),
            )
        told = tracking.retirable(MODEL, keep_last=0, before=LATER, keep=["si_2026_01_01_000"])
        assert told.versions == ("2",)
        assert tracking.retirable("another", keep_last=0, before=LATER, keep=["si_2026_01_01_001"]).versions == ()

    def test_the_check_answers_in_one_line(self, tracking: TrackingPort) -> None:
        assert tracking.check()
        assert "\n" not in tracking.check()


def _identity(ref: ModelRef | None) -> tuple[str, str, str] | None:
    return (ref.name, ref.version, ref.digest) if ref is not None else None
