"""Whole cycles on the simulated platform: the right thing is done, and it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from evals.simulated import DEGRADED, HEALTHY
from tests.support.story import given
from tools.deliver.values import parse_values

ALL = (
    "diagnostic_report.json",
    "dataset_manifest.yaml",
    "evaluation.json",
    "ab_test_results.json",
    "helm_values_patch.yaml",
    "watch.json",
    "outcome.json",
)


def test_new_subjects_are_learnt_tested_promoted_and_watched(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).runs().expect_end(OutcomeKind.IMPROVED).wrote(*ALL).is_proven()
    story.did(
        "dataset_version",
        "train_model",
        "register_candidate",
        "record_pipeline",
        "offline_evaluation",
        "ab_start",
        "promote",
        "point_dataset",
        "set_alias",
        "mark_gold",
        "describe_model",
        "notify",
    )
    assert story.path == [
        *("observe", "diagnose", "plan", "augment", "train", "evaluate", "ab", "promote", "watch", "learn", "done")
    ]
    live = story.rig.ports.delivery.live()
    assert live.digest == story.cycle.facts["candidate"]["model"]["digest"]
    champion = story.rig.ports.tracking.by_alias("reranker", "champion")
    assert champion is not None
    assert champion.digest == live.digest
    assert "# by content" in story.rig.ports.vcs.read()


def test_a_bad_release_is_reverted_and_its_model_never_proposed_again(tmp_path: Path) -> None:
    story = given(tmp_path, Action.ROLLBACK).runs().expect_end(OutcomeKind.RESTORED).is_proven()
    story.did("roll_back", "set_alias", "notify")
    story.wrote("diagnostic_report.json", "helm_values_patch.yaml", "undo.json", "watch.json", "outcome.json")
    bad = story.cycle.facts["suspect"]["digest"]
    assert story.rig.store.tombstone(bad) is not None
    assert story.rig.ports.delivery.live().digest != bad


def test_damaged_judgements_are_set_aside_and_nothing_is_trained(tmp_path: Path) -> None:
    story = given(tmp_path, Action.DATA_FIX).runs().expect_end(OutcomeKind.REPAIRED).is_proven()
    story.did("quarantine_feedback", "dataset_version", "notify")
    story.wrote("diagnostic_report.json", "dataset_manifest.yaml", "watch.json", "outcome.json")
    assert story.cycle.facts["quarantined"] == 240


def test_an_expensive_mode_is_tuned_away_through_git(tmp_path: Path) -> None:
    story = given(tmp_path, Action.TUNE).runs().expect_end(OutcomeKind.TUNED).is_proven()
    story.did("apply_tuning", "notify")
    assert story.rig.ports.delivery.live().mode == parse_values(story.rig.ports.vcs.read()).search.mode == "balanced"


@pytest.mark.parametrize("action", [Action.NOISE, Action.MONITOR])
def test_what_heals_by_itself_is_left_alone(tmp_path: Path, action: Action) -> None:
    story = given(tmp_path, action).runs().expect_end(OutcomeKind.LEFT_ALONE).did("notify").is_proven()
    story.wrote("diagnostic_report.json", "outcome.json")
    assert story.path == ["observe", "diagnose", "learn", "done"]


def test_a_promoted_model_that_turns_out_worse_is_taken_back_and_stays_dead(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).when(after_promotion=0.30).runs().expect_end(OutcomeKind.ROLLED_BACK)
    story.is_proven().said("degraded")
    undone = ["promote", "point_dataset", "roll_back", "point_dataset", "ab_stop"]
    assert story.effects[-7:] == [*undone, "describe_model", "notify"]
    candidate = story.cycle.facts["candidate"]["model"]["digest"]
    assert story.rig.store.tombstone(candidate) is not None
    served = {variant.digest for variant in parse_values(story.rig.ports.vcs.read()).variants if variant.weight}
    assert served == {story.rig.ports.delivery.live().digest}
    assert candidate not in served
    assert story.path[-4:] == ["watch", "roll_back", "learn", "done"]


def test_a_promoted_model_that_is_no_better_is_kept_and_claims_nothing(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).when(after_promotion=DEGRADED - 0.004).runs()
    story.expect_end(OutcomeKind.UNVERIFIED).said("no gain was measured").is_proven()


def test_a_candidate_that_users_do_not_prefer_is_taken_out(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).when(candidate=DEGRADED * 0.9).runs()
    story.expect_end(OutcomeKind.NOT_PROMOTED).is_proven()
    assert story.effects[-4:] == ["ab_start", "ab_stop", "describe_model", "notify"]
    assert [v.name for v in story.rig.ports.delivery.live().variants] == ["champion"]


def test_a_test_that_cannot_be_decided_ends_with_its_window(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).when(arms=(60, 15)).runs().expect_end(OutcomeKind.NOT_PROMOTED)
    story.said("insufficient").is_proven()
    assert len(story.cycle.facts["ab"]["looks"]) == 20


def test_a_split_that_is_not_what_was_asked_for_is_not_read(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).when(arms=(1000, 1000)).runs()
    story.expect_end(OutcomeKind.NOT_PROMOTED).said("50.00%").is_proven()


def test_damage_that_is_still_to_be_seen_after_the_repair_is_not_called_repaired(tmp_path: Path) -> None:
    story = given(tmp_path, Action.DATA_FIX).when(quarantined=lambda: False).runs()
    story.expect_end(OutcomeKind.UNVERIFIED).said("has not shown")


def test_the_second_cycle_finds_the_first_among_the_similar_ones(tmp_path: Path) -> None:
    story = given(tmp_path, Action.ROLLBACK).runs()
    [passage] = story.rig.ports.retrieval.similar("ndcg_at_10 on search: rollback", 1)
    assert passage.id == story.cycle.id
    assert passage.facts["outcome"] == "restored"


def test_what_a_cycle_kept_for_people_tells_the_numbers(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).runs()
    kept = story.rig.office.artifacts
    outcome = kept.read(story.cycle.id, "outcome.json")
    report = kept.read(story.cycle.id, "diagnostic_report.json")
    tested = kept.read(story.cycle.id, "ab_test_results.json")
    assert outcome is not None
    assert report is not None
    assert tested is not None
    assert outcome["trigger"]["value"] == pytest.approx(DEGRADED, abs=0.01)
    assert outcome["trigger"]["baseline"] == pytest.approx(HEALTHY, abs=0.01)
    assert report["delta"] == pytest.approx(DEGRADED - HEALTHY, abs=0.02)
    assert report["unsupported_claims"] == 0
    assert (tested["passed_gate"], tested["recommendation"]) == (True, "promote")
    assert [a["type"] for a in outcome["actions"]] == story.effects[:-1]
    assert outcome["tokens"] == 50
    assert outcome["verified"]
