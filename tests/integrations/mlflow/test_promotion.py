"""What is promoted is what was evaluated: a bundle that somebody changed in MLflow meanwhile stays out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.request import url2pathname

import pytest

from adapters.tracking.mlflow import MlflowTracking
from domain.clock import FrozenClock
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.permit import PermitOffice
from domain.receipt import AuditRecord, RecordKind
from evals.simulated_jobs import bundle_of, digest_of
from evals.simulated_rows import MODEL, register
from service.toolbox import Ports
from tests.support.meddling import when_stage
from tests.support.story import Story, given
from tools.deliver.values import parse_values

pytestmark = pytest.mark.xdist_group("mlflow")


@pytest.fixture
def story(uri: str, tmp_path: Path) -> Story:
    """A cycle that learns, with its models in MLflow."""

    clock = FrozenClock()
    permits = PermitOffice(clock)

    def in_mlflow(ports: Ports) -> Ports:
        tracking = MlflowTracking(
            uri=uri,
            experiment="reranker",
            permits=permits,
            digest_of=digest_of,
            artifacts=(tmp_path / "runs").as_uri(),
        )
        register(tracking, permits, bundle_of(tmp_path / "good", "good", 0.6), "good", "2026-01-01T00:00:00+00:00")
        return replace(ports, tracking=tracking)

    return given(tmp_path, Action.RETRAIN, change=in_mlflow, clock=clock, permits=permits)


def meddled(story: Story, uri: str, change: Callable[[Path], object]) -> Story:
    """Change the candidate's bundle, where MLflow keeps it, once the test with users is over; then run to the end."""

    def meddle() -> None:
        from mlflow import MlflowClient

        newest = story.rig.ports.tracking.versions(MODEL)[-1]
        source = str(MlflowClient(tracking_uri=uri).get_model_version(MODEL, newest.version).source)
        change(Path(url2pathname(source.removeprefix("file://"))))

    when_stage(story.rig, "ab", meddle, what="end")
    return story.runs()


def promotions(story: Story, kind: RecordKind) -> list[AuditRecord]:
    """Return what the chain says of promotions."""
    records = story.rig.audit.records(story.cycle.id)
    return [record for record in records if record.entry.tool == "promote" and record.entry.kind is kind]


def stayed_out(story: Story) -> None:
    """Assert that the candidate was taken out, and that nothing but the champion is released or served."""
    assert "promote" not in story.effects
    assert story.effects[-4:] == ["ab_start", "ab_stop", "describe_model", "notify"]
    champion = story.rig.ports.tracking.versions(MODEL)[0].digest
    values = parse_values(story.rig.ports.vcs.read())
    assert values.model.digest == champion
    assert [variant.digest for variant in values.variants if variant.weight] == [champion]
    assert story.rig.ports.delivery.live().digest == champion
    assert story.rig.audit.open_intents(story.cycle.id) == []


@pytest.mark.integration("mlflow", "works")
def test_the_bundle_that_was_evaluated_is_promoted(story: Story) -> None:
    story.runs().expect_end(OutcomeKind.IMPROVED).is_proven()
    assert len(promotions(story, RecordKind.OUTCOME)) == 1


@pytest.mark.integration("mlflow", "lying")
def test_a_bundle_that_was_changed_after_its_evaluation_is_not_promoted(story: Story, uri: str) -> None:
    meddled(story, uri, lambda place: bundle_of(place, "another", 0.99)).expect_end(OutcomeKind.HANDED_OFF)
    story.said("nothing was promoted").said("DigestMismatch")
    stayed_out(story)
    (failed,) = promotions(story, RecordKind.OUTCOME)
    assert (failed.entry.status, failed.entry.body["error"]) == ("failed", "DigestMismatch")


@pytest.mark.integration("mlflow", "refused")
def test_a_bundle_that_cannot_be_read_any_more_is_not_promoted(story: Story, uri: str) -> None:
    meddled(story, uri, lambda place: (place / "model.json").unlink()).expect_end(OutcomeKind.HANDED_OFF)
    story.said("promote failed 3 times")
    stayed_out(story)
    assert {record.entry.status for record in promotions(story, RecordKind.OUTCOME)} == {"failed"}
