"""The values file is patched where it is asked to be, and nowhere else."""

from __future__ import annotations

import pytest

from domain.candidate import VariantState
from domain.errors import InvalidInput
from tests.support.office import VALUES
from tools.deliver.values import only, parse_values, patch_values, split, weights

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
TEXT = VALUES.format(version="1", digest=OLD) + "\nreplicas: 3  # somebody else's\n"


def test_comments_order_and_foreign_sections_stay() -> None:
    patched = patch_values(TEXT, {"model.digest": NEW, "model.version": "2", "variants": only(NEW)})
    assert parse_values(patched).model.digest == NEW
    assert "# by content" in patched
    assert "replicas: 3  # somebody else's" in patched
    assert patched.startswith("# Values of the search platform.\n")
    unchanged = [line for line in TEXT.splitlines() if OLD not in line and "version" not in line]
    assert [line for line in patched.splitlines() if NEW not in line and "version" not in line] == unchanged


def test_a_section_that_is_not_there_is_made() -> None:
    bare = f"model:\n  name: m\n  version: '1'\n  digest: {OLD}\n"
    patched = patch_values(bare, {"search.mode": "fast"})
    assert parse_values(patched).search.mode == "fast"
    assert parse_values(bare).search.mode == "balanced"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("model: [", "not YAML"),
        ("- a", "values.yaml"),
        ("model: {name: m, version: '1'}", "model.digest"),
        (f"model: {{name: m, version: '1', digest: {OLD}}}\nvariants: 3", "variants"),
    ],
)
def test_a_file_that_lacks_what_a_release_needs_is_left_alone_and_named(text: str, field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        patch_values(text, {"search.mode": "fast"})


def test_a_path_through_a_plain_value_leads_nowhere() -> None:
    with pytest.raises(InvalidInput, match=r"replicas\.count"):
        patch_values(TEXT, {"replicas.count": 4})


def test_a_patch_that_would_break_the_file_is_refused() -> None:
    with pytest.raises(InvalidInput, match="variants"):
        patch_values(TEXT, {"variants": "everybody"})


@pytest.mark.parametrize(("share", "percent"), [(0.2, 20), (0.5, 50), (0.01, 1)])
def test_the_weights_of_a_test_are_whole_and_add_up(share: float, percent: int) -> None:
    variants = [VariantState.model_validate(row) for row in split(OLD, NEW, share)]
    assert weights(variants) == {"champion": 100 - percent, "candidate": percent}
