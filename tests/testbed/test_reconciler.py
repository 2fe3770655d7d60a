"""Values, variants, and following the GitOps repository under traffic."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.gitops import change_values, create_repository
from testbed.layout import Layout
from testbed.reconciler import Applied, AppliedFile, GitError, GitOps, OverridesFile
from testbed.values import RuntimeOverrides, ValuesError, Variant, assign_variant, parse_values
from testbed.world import World
from tests.support.waiting import until
from tests.testbed.helpers import DIGEST, OTHER, labelled, metric, report, samples, version

GOOD = f"model: {{name: reranker, version: '1', digest: '{DIGEST}'}}\n"


def two(weights: tuple[int, int], names: tuple[str, str] = ("champion", "candidate")) -> str:
    lines = [
        f"  - {{name: {name}, digest: '{digest}', weight: {weight}}}"
        for name, digest, weight in zip(names, (DIGEST, OTHER), weights, strict=True)
    ]
    return GOOD + "variants:\n" + "\n".join(lines) + "\n"


def test_the_champion_serves_everybody_when_no_variants_are_named() -> None:
    values = parse_values(GOOD)
    assert [(variant.name, variant.weight) for variant in values.variants] == [("champion", 100)]
    assert values.digests == (DIGEST,)
    assert values.search.mode == "balanced"


def test_every_digest_is_served_once_and_the_champion_first() -> None:
    assert parse_values(two((80, 20))).digests == (DIGEST, OTHER)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "mapping"),
        ("model: [", "not YAML"),
        ("[]", "mapping"),
        ("search: {mode: fast}", "model"),
        ("model: {name: reranker, version: '1', digest: sha256:short}", "model.digest"),
        ("model: {name: reranker, version: 1, digest: x}", "model.version"),
        (GOOD + "search: {mode: turbo}", "search.mode"),
        (GOOD + "search: {tier: gold}", "search.tier"),
        (GOOD + "feedback: {window: 1}", "feedback.window"),
        (GOOD + "index: {generation: 0}", "index.generation"),
        (GOOD + "serach: {}", "serach"),
        (two((80, 30)), "sum to 100"),
        (two((80, 20), ("champion", "champion")), "differ"),
        (two((80, 20), ("first", "second")), "champion"),
        (two((80, 20), ("candidate", "champion")), "champion's digest"),
    ],
)
def test_values_that_are_wrong_are_refused_with_the_field(text: str, named: str) -> None:
    with pytest.raises(ValuesError, match=named):
        parse_values(text)


def test_users_are_split_by_weight_and_stay_where_they_are() -> None:
    arms = parse_values(two((80, 20))).variants
    users = [f"u{number:05d}" for number in range(20_000)]
    first = [assign_variant(user, "salt", arms).name for user in users]
    assert first == [assign_variant(user, "salt", arms).name for user in users]
    assert first.count("candidate") / len(users) == pytest.approx(0.2, abs=0.01)


def test_another_salt_draws_the_groups_anew() -> None:
    arms = (Variant(name="champion", digest=DIGEST, weight=50), Variant(name="candidate", digest=OTHER, weight=50))
    users = [f"u{number:05d}" for number in range(4000)]
    same = sum(assign_variant(user, "one", arms) == assign_variant(user, "two", arms) for user in users)
    assert same / len(users) == pytest.approx(0.5, abs=0.04)


def test_a_weight_of_zero_serves_nobody() -> None:
    arms = parse_values(two((100, 0))).variants
    assert {assign_variant(f"u{number}", "salt", arms).name for number in range(2000)} == {"champion"}


def test_a_change_keeps_the_comments_of_the_values(tmp_path: Path) -> None:
    create_repository(tmp_path / "gitops.git", "reranker", "1", DIGEST)
    git = GitOps(tmp_path / "gitops.git")
    first = git.head()
    commit = change_values(tmp_path / "gitops.git", _mode("fast"), "Answer faster")
    assert git.head() == commit != first
    assert git.values(commit).search.mode == "fast"
    assert git.values(first).search.mode == "balanced"
    text = git._git("show", f"{commit}:values.yaml")
    assert "# The champion serves the released model." in text
    assert "# fast | balanced | exhaustive" in text


def test_a_repository_without_main_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GitError, match="rev-parse"):
        GitOps(tmp_path).head()


def test_overrides_are_told_once_and_cleared(tmp_path: Path) -> None:
    file = OverridesFile(tmp_path / "runtime.json")
    assert file.changed() == RuntimeOverrides()
    assert file.changed() is None
    file.write(RuntimeOverrides(mode="exhaustive"))
    assert file.changed() == RuntimeOverrides(mode="exhaustive")
    assert file.clear()
    assert not file.clear()
    assert file.changed() is None
    (tmp_path / "runtime.json").write_text('{"mode": "warp"}', encoding="utf-8")
    with pytest.raises(ValuesError, match="mode"):
        file.changed()


def test_what_was_applied_is_remembered(tmp_path: Path) -> None:
    file = AppliedFile(tmp_path / "applied.json")
    assert file.read() is None
    file.write(Applied("rev", 12.5, "before"))
    assert file.read() == Applied("rev", 12.5, "before")


def test_a_split_and_a_promotion_under_traffic_fail_no_request(
    new_world: Callable[[], World], made: tuple[Layout, str, str]
) -> None:
    world, (_, second, digest) = new_world(), made
    url = world.start(rate=80)
    champion = version(url)["digest"]
    until(lambda: report(world.layout)["judged"] >= 50)

    split = change_values(world.layout.gitops, _split(digest, 20), "Try version 2 on a fifth of the users")
    until(lambda: version(url)["values_revision"] == split)
    assert [variant["weight"] for variant in version(url)["variants"]] == [80, 20]
    until(lambda: metric(url, "experiment_exposed_users") >= 350)
    assert labelled(world_metrics(url), "experiment_users").keys() == {"champion", "candidate"}
    users = labelled(world_metrics(url), "experiment_exposed_users")
    assert users["candidate"] / sum(users.values()) == pytest.approx(0.2, abs=0.07)

    promoted = change_values(world.layout.gitops, _promote(second, digest), "Release reranker version 2")
    until(lambda: version(url)["digest"] == digest)
    begun = report(world.layout)["sessions"]
    until(lambda: report(world.layout)["sessions"] >= begun + 60)
    now = version(url)
    assert (now["values_revision"], now["variants_since"], now["model_version"]) == (promoted, promoted, second)
    assert report(world.layout)["failed"] == 0
    found = samples(world_metrics(url))
    assert "search_errors_total" not in found
    assert champion != digest


def test_bad_values_are_reported_and_the_old_revision_stays_live(new_world: Callable[[], World]) -> None:
    world = new_world()
    url = world.start(traffic=False)
    before = version(url)
    bad = change_values(world.layout.gitops, _mode("warp"), "Answer at warp speed")
    until(lambda: version(url)["values_error"] is not None)
    now = version(url)
    assert "search.mode" in now["values_error"]
    assert now["values_revision"] == before["values_revision"] != bad
    assert metric(url, "search_values_valid") == 0
    assert metric(url, "search_values_rejected_total") == 1
    good = change_values(world.layout.gitops, _mode("fast"), "Answer fast")
    until(lambda: version(url)["values_revision"] == good)
    assert version(url)["values_error"] is None
    assert metric(url, "search_values_valid") == 1


def test_a_model_that_is_not_registered_is_reported(new_world: Callable[[], World]) -> None:
    world = new_world()
    url = world.start(traffic=False)
    change_values(world.layout.gitops, _promote("9", OTHER), "Release reranker version 9")
    until(lambda: version(url)["values_error"] is not None)
    assert OTHER in version(url)["values_error"]
    assert version(url)["model_version"] == "1"


def test_a_new_revision_clears_overrides_and_a_restart_does_not(new_world: Callable[[], World]) -> None:
    world = new_world()
    url = world.start(traffic=False)
    OverridesFile(world.layout.runtime).write(RuntimeOverrides(mode="exhaustive", tier="premium"))
    until(lambda: version(url)["mode"] == "exhaustive")
    before = version(url)
    assert (before["mode_source"], before["tier"]) == ("runtime", "premium")
    world.stop()
    url = world.start(traffic=False)
    assert version(url) == before
    commit = change_values(world.layout.gitops, _mode("balanced", window=500), "Look at more sessions")
    until(lambda: version(url)["values_revision"] == commit)
    now = version(url)
    assert (now["mode"], now["mode_source"], now["tier"]) == ("balanced", "values", "standard")
    assert now["variants_since"] == before["variants_since"]
    assert not world.layout.runtime.exists()
    events = [json.loads(line)["event"] for line in world.layout.log.read_text(encoding="utf-8").splitlines()]
    assert {"runtime_overrides_changed", "runtime_overrides_cleared", "service_stopped"} <= set(events)


def world_metrics(url: str) -> str:
    import httpx

    return httpx.get(f"{url}/metrics", trust_env=False, timeout=60).text


def _mode(mode: str, window: int = 400) -> Callable[[Any], None]:
    def edit(values: Any) -> None:
        values["search"]["mode"] = mode
        values["feedback"]["window"] = window

    return edit


def _split(digest: str, percent: int) -> Callable[[Any], None]:
    def edit(values: Any) -> None:
        values["variants"][0]["weight"] = 100 - percent
        values["variants"].append({"name": "candidate", "digest": digest, "weight": percent})

    return edit


def _promote(number: str, digest: str) -> Callable[[Any], None]:
    def edit(values: Any) -> None:
        values["model"]["version"] = number
        values["model"]["digest"] = digest
        values["variants"] = [{"name": "champion", "digest": digest, "weight": 100}]

    return edit
