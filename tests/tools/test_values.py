"""The values file is patched where it is asked to be, and nowhere else."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.candidate import VariantState
from domain.errors import InvalidInput
from evals.simulated_rows import VALUES
from tools.deliver.paths import Index, Key, PathExpression, parse_path
from tools.deliver.values import ValuesLayout, only, parse_values, patch_values, release_of, split, weights
from tools.deliver.yamltext import YamlText

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
TEXT = VALUES.format(version="1", digest=OLD) + "\nreplicas: 3  # somebody else's\n"


def changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True))
    return [line for line in lines if line[0] in "+-"]


def test_comments_order_and_foreign_sections_stay() -> None:
    patched = patch_values(TEXT, {"model_digest": NEW, "model_version": "2", "variants": only(NEW)})
    assert parse_values(patched).model.digest == NEW
    assert "# by content" in patched
    assert "replicas: 3  # somebody else's" in patched
    assert patched.startswith("# Values of the search platform.\n")
    unchanged = [line for line in TEXT.splitlines() if OLD not in line and "version" not in line]
    assert [line for line in patched.splitlines() if NEW not in line and "version" not in line] == unchanged


def test_a_section_that_is_not_there_is_made() -> None:
    bare = f"model:\n  name: m\n  version: '1'\n  digest: {OLD}\n"
    patched = patch_values(bare, {"search.mode": "fast"})
    assert patched == f"{bare}search:\n  mode: fast\n"
    assert parse_values(patched).search.mode == "fast"
    assert parse_values(bare).search.mode == "balanced"


def test_a_test_and_its_end_leave_the_file_as_it_was() -> None:
    tested = patch_values(TEXT, {"variants": split(OLD, NEW, 0.2)})
    assert weights(parse_values(tested).variants) == {"champion": 80, "candidate": 20}
    assert len(changed_lines(TEXT, tested)) == 5
    assert patch_values(tested, {"variants": only(OLD)}) == TEXT


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("model: [", "not YAML"),
        ("- a", "values.yaml"),
        ("model: {name: m, version: '1'}", "model.digest"),
        (f"model: {{name: m, version: '1', digest: {OLD}}}\nvariants: 3", "variants"),
        (f"model: {{name: m, version: '1', digest: {OLD}, digest: {NEW}}}", "stands twice"),
        (f"model: &m {{name: m, version: '1', digest: {OLD}, self: *m}}", "refers to itself"),
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


def test_a_value_that_others_share_is_not_changed_behind_their_backs() -> None:
    shared = f"base: &d {OLD}\nmodel: {{name: m, version: '1', digest: *d}}\n"
    with pytest.raises(InvalidInput, match="anchor"):
        patch_values(shared, {"model_digest": NEW})
    copied = f"base: &m\n  name: m\n  version: '1'\n  digest: {OLD}\nmodel: *m\n"
    with pytest.raises(InvalidInput, match=r"base\.digest: would change too"):
        patch_values(copied, {"model_digest": NEW})


def test_a_role_without_a_place_is_refused_when_it_is_needed_and_left_out_of_a_release() -> None:
    layout = ValuesLayout(variants=None, model_name=None, model_version=None, file="prod.yaml")
    text = f"model:\n  digest: {OLD}\n"
    assert patch_values(text, release_of(NEW, "m", "2", layout), layout) == text.replace(OLD, NEW)
    with pytest.raises(InvalidInput, match=r"values\.layout\.variants: prod\.yaml has no place"):
        patch_values(text, {"variants": only(NEW)}, layout)


def test_a_layout_with_a_path_that_is_none_is_no_layout() -> None:
    with pytest.raises(ValidationError, match=r"model_digest.*character 6"):
        ValuesLayout(model_digest="model..digest")


@pytest.mark.parametrize(("share", "percent"), [(0.2, 20), (0.5, 50), (0.01, 1)])
def test_the_weights_of_a_test_are_whole_and_add_up(share: float, percent: int) -> None:
    variants = [VariantState.model_validate(row) for row in split(OLD, NEW, share)]
    assert weights(variants) == {"champion": 100 - percent, "candidate": percent}


@pytest.mark.parametrize("share", [0.0, 0.004, 0.125, 0.996, 1.0, -0.2, float("nan")])
def test_a_share_that_cannot_be_served_as_it_is_meant_is_refused(share: float) -> None:
    with pytest.raises(InvalidInput, match="whole percents"):
        split(OLD, NEW, share)


# -- whatever stands in the file --------------------------------------------------------------------------------------

words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=12)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False), words
)
trees = st.dictionaries(
    words,
    st.recursive(scalars, lambda t: st.lists(t, max_size=3) | st.dictionaries(words, t, max_size=3), max_leaves=12),
    min_size=1,
    max_size=5,
)


class _Written(yaml.SafeDumper):
    """Writes values out twice rather than by anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _DoublyQuoted(_Written):
    """Puts text into quotes."""


class _SinglyQuoted(_Written):
    """Puts text into the other quotes."""


def _in(quotes: str) -> Callable[[yaml.SafeDumper, str], yaml.ScalarNode]:
    return lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style=quotes)


_DoublyQuoted.add_representer(str, _in('"'))
_SinglyQuoted.add_representer(str, _in("'"))


def _paths(tree: Any, steps: tuple[Key | Index, ...] = ()) -> list[tuple[Key | Index, ...]]:
    match tree:
        case dict():
            return [p for name, item in tree.items() for p in _paths(item, (*steps, Key(name)))] or [steps]
        case list():
            return [p for n, item in enumerate(tree) for p in _paths(item, (*steps, Index(n)))] or [steps]
        case _:
            return [steps]


def _with(tree: Any, steps: tuple[Key | Index, ...], value: Any) -> Any:
    changed = copy.deepcopy(tree)
    node = changed
    for step in steps[:-1]:
        node = node[step.name if isinstance(step, Key) else step.place]
    last = steps[-1]
    node[last.name if isinstance(last, Key) else last.place] = value
    return changed


@given(trees, scalars, st.data())
def test_whatever_stands_in_a_file_only_the_named_value_changes(
    tree: dict[str, Any], new: Any, data: st.DataObject
) -> None:
    flow = data.draw(st.sampled_from([True, False, None]))
    dumper = data.draw(st.sampled_from([_Written, _SinglyQuoted, _DoublyQuoted]))
    indent = data.draw(st.sampled_from([2, 4]))
    options: dict[str, Any] = {"allow_unicode": True, "width": 100_000, "sort_keys": False}
    text = yaml.dump(tree, Dumper=dumper, default_flow_style=flow, indent=indent, **options)
    if flow is False:
        text = "".join(f"{line}# line {n}\n" for n, line in enumerate(text.splitlines(keepends=True)))
    steps = data.draw(st.sampled_from([p for p in _paths(tree) if p]))
    path = PathExpression(None, steps)
    expected = _with(yaml.safe_load(text), steps, new)
    patched = YamlText(text).changed({path: new}).text
    assert yaml.safe_load(patched) == expected
    assert [line for line in patched.splitlines() if line.startswith("# line")] == [
        line for line in text.splitlines() if line.startswith("# line")
    ]
    assert len(changed_lines(text, patched)) <= 2


@given(trees, scalars, st.lists(words.filter(bool), min_size=1, max_size=3))
def test_a_key_that_is_not_there_is_put_in_and_nothing_else(tree: dict[str, Any], new: Any, names: list[str]) -> None:
    text = yaml.dump(tree, Dumper=_Written, allow_unicode=True, width=100_000, sort_keys=False)
    whole = yaml.safe_load(text)
    if names[0] in whole:
        return
    patched = YamlText(text).changed({PathExpression(None, tuple(Key(name) for name in names)): new}).text
    expected = new
    for name in reversed(names):
        expected = {name: expected}
    assert yaml.safe_load(patched) == {**whole, **expected}
    assert patched.startswith(text.rstrip("\n"))


def test_two_keys_of_a_section_that_is_not_there_make_one_section() -> None:
    bare = f"model: {{name: m, version: '1', digest: {OLD}}}\n"
    patched = patch_values(bare, {"mode": "fast", "tier": "premium"})
    assert sorted(patched.removeprefix(bare).splitlines()) == ["  mode: fast", "  tier: premium", "search:"]


def test_windows_line_ends_stay() -> None:
    text = TEXT.replace("\n", "\r\n")
    patched = patch_values(text, {"variants": split(OLD, NEW, 0.2), "mode": "fast"})
    assert "\n" not in patched.replace("\r\n", "")
    assert parse_values(patched).search.mode == "fast"


def test_a_path_names_a_document_where_there_are_several() -> None:
    two = "kind: A\nmetadata: {name: x}\nv: 1\n---\nkind: A\nmetadata: {name: y}\nv: 1\n"
    assert YamlText(two).changed({parse_path("A/y#v"): 2}).text == two[:-2] + "2\n"
    with pytest.raises(InvalidInput, match="there are: A/x, A/y"):
        YamlText(two).changed({parse_path("A/z#v"): 2})
    with pytest.raises(InvalidInput, match="holds 2 documents"):
        YamlText(two).changed({parse_path("v"): 2})


def test_a_number_that_python_writes_otherwise_than_yaml_stays_a_number() -> None:
    assert YamlText("a: 1\n").changed({parse_path("a"): 1e-05}).text == "a: 1.0e-05\n"
