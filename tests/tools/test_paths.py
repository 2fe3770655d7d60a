"""A path expression says where it stops being one, and is written back as it was read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from tools.deliver.paths import Choice, Index, Key, PathExpression, parse_path

EXAMPLES = [
    "model.digest",
    "images[name=search].newTag",
    "images[name=registry.example/search].digest",
    "spec.template.spec.containers[name=app].env[name=MODEL_DIGEST].value",
    'metadata.annotations."search.example/digest"',
    "Deployment/search#spec.replicas",
    "list[0][12].key",
    'list[name="a]b"].key',
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_expression_is_written_back_as_it_was_read(text: str) -> None:
    assert str(parse_path(text)) == text


def test_the_parts_are_what_they_look_like() -> None:
    path = parse_path('Deployment/search#a."b.c"[name=d e][3]')
    assert path.document == ("Deployment", "search")
    assert path.steps == (Key("a"), Key("b.c"), Choice("name", "d e"), Index(3))
    assert path.upto(2) == 'Deployment/search#a."b.c"'


@pytest.mark.parametrize(
    ("text", "character"),
    [
        ("a..b", 2),
        ("a.", 2),
        ("a[", 2),
        ("a[name].b", 2),
        ("a[name=].b", 2),
        ("a[-1]", 2),
        ("a b", 2),
        ("[0]", 1),
        (".a", 1),
        ("a.$(rm)", 2),
        ("a[?(@.name=='x')]", 2),
    ],
)
def test_what_is_no_expression_is_refused_at_the_character(text: str, character: int) -> None:
    with pytest.raises(InvalidInput, match=f"character {character}\\b") as caught:
        parse_path(text, "values.layout.model_digest")
    assert caught.value.field == "values.layout.model_digest"


@pytest.mark.parametrize("text", ["", "Deployment/search#"])
def test_an_expression_without_a_key_is_none(text: str) -> None:
    with pytest.raises(InvalidInput, match="begin with a key"):
        parse_path(text)


names = st.text(min_size=1, max_size=8)
steps = st.one_of(
    names.map(Key),
    st.integers(0, 999).map(Index),
    st.builds(Choice, st.from_regex(r"[\w-]{1,5}", fullmatch=True), names),
)


@given(names.map(Key), st.lists(steps, max_size=5))
def test_every_expression_that_can_be_written_is_read_as_itself(first: Key, rest: list[Key | Index | Choice]) -> None:
    path = PathExpression(None, (first, *rest))
    assert parse_path(str(path)) == path
