"""Releases to values files of every form: Helm values, a Kustomize overlay, manifests of several documents."""

from __future__ import annotations

import difflib
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from adapters.tracking.memory import MemoryTracking
from adapters.vcs.base import EFFECT_COMMIT
from adapters.vcs.memory import MemoryVcs
from domain.actor import Actor, Role
from domain.candidate import ModelRef
from domain.clock import FrozenClock
from domain.errors import InvalidInput
from domain.permit import PermitOffice
from tests.integrations.values.files import ALL, HELM, HELM_LAYOUT, KUSTOMIZE, KUSTOMIZE_LAYOUT, MANIFESTS, NEW, OLD
from tools.deliver.release import AbArgs, AbStart, ApplyTuning, Promote, PromoteArgs, RehearseRollback, TuningArgs
from tools.deliver.values import ValuesLayout, parse_values, patch_values, release_of
from tools.tool import Call, Scope

BOMB = [("a", "x"), ("b", "*a"), ("c", "*b"), ("d", "*c"), ("e", "*d"), ("f", "*e")]
AT = datetime(2026, 1, 1, tzinfo=UTC)
SCOPE = Scope("si_2026_01_01_001", "promote", "search", "dev", AT, AT)


class Registered(MemoryTracking):
    """A registry in which every version holds the bundle it is known by."""

    def __init__(self) -> None:
        super().__init__(PermitOffice(FrozenClock()), lambda bundle: NEW)

    def download(self, ref: ModelRef, into: Path) -> Path:
        """See `TrackingPort.download`."""
        return into


class Repository:
    """A values repository with one file, and calls that carry a permit for one commit each."""

    def __init__(self, text: str) -> None:
        clock = FrozenClock()
        self.office = PermitOffice(clock)
        self.vcs = MemoryVcs(text=text, permits=self.office, clock=clock)
        self.registry = Registered()
        self.calls = 0

    def call(self) -> Call:
        self.calls += 1
        key = f"{self.calls:032d}"
        permit = self.office.mint(
            tool="promote", effects=(EFFECT_COMMIT,), args_hash="", actor="test", cycle_id=SCOPE.cycle_id, key=key
        )
        return Call(SCOPE, Actor(role=Role.DEVOPS_ENGINEER), key, "here", permit)


def differing(before: str, after: str) -> list[str]:
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line for line in lines if line[0] in "+-"]


@pytest.mark.integration("values", "works")
@pytest.mark.parametrize("form", sorted(ALL))
def test_a_promotion_changes_the_named_lines_of_the_file_and_its_revert_takes_them_back(form: str) -> None:
    text, layout = ALL[form]
    repository = Repository(text)
    args = PromoteArgs(name="reranker", version="8", digest=NEW)
    rehearsed = RehearseRollback(repository.vcs, layout).run(args, repository.call())
    assert rehearsed.restores == OLD
    Promote(repository.vcs, repository.registry, layout).run(args, repository.call())
    released = repository.vcs.read()
    assert parse_values(released, layout).model.digest == NEW
    assert parse_values(released, layout).model.version == "8"
    named = differing(text, released)
    assert all(OLD in line or NEW in line or "7" in line or "8" in line for line in named)
    assert [line for line in released.splitlines() if "#" in line and OLD not in line] != []
    assert released.count("#") == text.count("#")


@pytest.mark.integration("values", "works")
def test_a_test_is_started_in_a_helm_file_with_the_indentation_of_its_list() -> None:
    repository = Repository(HELM)
    AbStart(repository.vcs, HELM_LAYOUT).run(AbArgs(candidate=NEW, share=0.2), repository.call())
    assert differing(HELM, repository.vcs.read()) == [
        "-     weight: 100   # per cent",
        "+     weight: 80   # per cent",
        "+ -   name: candidate",
        f"+     digest: {NEW}",
        "+     weight: 20",
    ]


@pytest.mark.integration("values", "works")
def test_a_setting_is_made_where_the_layout_says_and_read_back() -> None:
    text, layout = ALL["manifests"]
    repository = Repository(text)
    ApplyTuning(repository.vcs, layout).run(TuningArgs(mode="fast"), repository.call())
    assert differing(text, repository.vcs.read()) == [
        "-               value: balanced",
        "+               value: fast",
    ]


@pytest.mark.integration("values", "refused")
def test_a_change_that_would_move_something_else_too_is_refused() -> None:
    text = f"stable: &now\n  digest: {OLD}\ncanary: *now\n"
    layout = ValuesLayout(
        model_digest="canary.digest", model_name=None, model_version=None, variants=None, file="prod.yaml"
    )
    repository = Repository(text)
    with pytest.raises(InvalidInput, match=r"prod\.yaml stable\.digest: would change too"):
        Promote(repository.vcs, repository.registry, layout).run(
            PromoteArgs(name="m", version="8", digest=NEW), repository.call()
        )
    assert repository.vcs.read() == text


@pytest.mark.integration("values", "refused")
def test_a_test_is_refused_where_the_file_has_no_place_for_two_models() -> None:
    repository = Repository(KUSTOMIZE)
    with pytest.raises(InvalidInput, match=r"values\.layout\.variants: overlays/.* has no place for it"):
        AbStart(repository.vcs, KUSTOMIZE_LAYOUT).run(AbArgs(candidate=NEW, share=0.2), repository.call())


@pytest.mark.integration("values", "slow")
def test_a_file_of_four_thousand_lines_is_patched_in_a_few_seconds() -> None:
    rest = "".join(f"service-{n}:\n  replicas: {n}  # of team {n % 7}\n" for n in range(2000))
    text = f"model: {{name: m, version: '1', digest: {OLD}}}\n{rest}"
    begun = perf_counter()
    patched = patch_values(text, release_of(NEW, "m", "2", ValuesLayout(variants=None)), ValuesLayout(variants=None))
    assert perf_counter() - begun < 20
    assert patched.splitlines()[1:] == text.splitlines()[1:]


@pytest.mark.integration("values", "lying")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"model: {{digest: {OLD}}}\nmodel: {{digest: {NEW}}}\n", "the key 'model' stands twice"),
        (
            "".join(f"{name}: &{name} [{', '.join([inner] * 8)}]\n" for name, inner in BOMB),
            "holds too much",
        ),
        ("model: {digest: 7}\nvariants: {a: 1}\n", "variants"),
        ("model: [\n", "not YAML"),
        ("plain text\n", "document 1 is not a mapping"),
        ("", "holds 0 documents"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_left_alone(text: str, problem: str) -> None:
    layout = ValuesLayout(model_name=None, model_version=None)
    with pytest.raises(InvalidInput, match=problem):
        patch_values(text, {"model_digest": NEW}, layout)


@pytest.mark.integration("values", "misconfigured")
@pytest.mark.parametrize(
    ("form", "changes", "problem"),
    [
        (
            "kustomize",
            {"model_digest": "images[name=serach].digest"},
            r"stops at `images` \(line 6 of overlays/production/kustomization\.yaml\): 0 of its 2 items have "
            r"name=serach \(there are: registry\.example/gateway, registry\.example/search\)",
        ),
        (
            "kustomize",
            {"model_digest": "images.digest"},
            r"stops at `images` .*: it is a list, not a mapping",
        ),
        ("kustomize", {"model_digest": "images[5].digest"}, "it has 2 items"),
        ("kustomize", {"model_digest": "resources[0].digest"}, r"it is the plain value '\.\./\.\./base'"),
        (
            "manifests",
            {"model_digest": "Deployment/serach#spec.template"},
            "0 documents of manifests/search.yaml are Deployment/serach; there are: Service/search, Deployment/search",
        ),
        ("manifests", {"model_digest": "spec.template"}, "holds 2 documents and `spec.template` does not say which"),
        ("helm", {"model_digest": "image.digest"}, "image.digest: is not there, and a release needs it"),
        ("helm", {"model_digest": "image"}, "digest"),
    ],
)
def test_a_layout_that_does_not_fit_the_file_says_where_it_stopped(
    form: str, changes: dict[str, Any], problem: str
) -> None:
    text, layout = ALL[form]
    wrong = layout.model_copy(update=changes)
    with pytest.raises(InvalidInput, match=problem):
        parse_values(text, wrong)


@pytest.mark.integration("values", "misconfigured")
def test_two_items_of_one_name_are_no_place_for_a_value() -> None:
    twice = MANIFESTS.replace("- name: MODEL_NAME", "- name: MODEL_DIGEST")
    with pytest.raises(InvalidInput, match="2 of its 4 items have name=MODEL_DIGEST"):
        parse_values(twice, ALL["manifests"][1])
