"""What comes from outside reads in Markdown as it was written: a parser of the real language finds text and no more."""

from __future__ import annotations

from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from domain.markdown import literal

# Pieces that mean something to Markdown, HTML or GitHub, to be put together anyhow.
PIECES = st.sampled_from(
    [
        *"\\`*_[]()|~#!<>&=+-.:;'\"1 \n\té",
        "word",
        "http://evil.example",
        "&lt;",
        "<b>",
        "```",
        "---",
        "1.",
        "![x](y)",
        "~~",
    ]
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)


def drawn(markdown: str) -> str:
    """The HTML that GitHub's Markdown makes of it."""
    parser = MarkdownIt("gfm-like", {"html": True, "linkify": True})
    # The parser would take every word with a dot for a link; GitHub asks for a scheme, or for the `www.` seen to below.
    assert parser.linkify is not None
    parser.linkify.set({"fuzzy_link": False, "fuzzy_email": False})
    return str(parser.render(markdown)).strip()


def words(text: str) -> str:
    """The text on one line, as HTML."""
    return escape(" ".join(text.split()), quote=False).replace('"', "&quot;")


@given(TEXTS)
def test_any_text_is_one_paragraph_of_just_that_text(text: str) -> None:
    assert drawn(literal(text)) == (f"<p>{words(text)}</p>" if words(text) else "")


@given(TEXTS)
def test_any_text_fills_one_cell_of_a_table(text: str) -> None:
    row = drawn(f"| a | b |\n|---|---|\n| {literal(text)} | last |").split("<tbody>")[1]
    assert row.split("\n")[2:4] == [f"<td>{words(text)}</td>", "<td>last</td>"]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain words, 3.5 of 4", "plain words, 3.5 of 4"),
        ("ndcg_at_10", "ndcg_at_10"),
        ("-0.5 to +0.5", "-0.5 to +0.5"),
        ("see [this](http://evil.example)", "see \\[this\\](http\\://evil.example)"),
        ("WWW.evil.example", "WWW\\.evil.example"),
        ("<img src=x> & co", "&lt;img src=x> &amp; co"),
        ("- not a list", "\\- not a list"),
        ("12. not the twelfth", "12\\. not the twelfth"),
        ("===", "\\==="),
        ("> not said by others", "\\> not said by others"),
        ("two\n\nlines", "two lines"),
        # What is no markup is left to the words, and the module says so.
        ("a@b.co, @name and $x$", "a@b.co, @name and $x$"),
    ],
)
def test_only_what_would_act_is_marked(text: str, written: str) -> None:
    assert literal(text) == written
