"""The tool that takes the pictures of the documentation, on a console that is served."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from domain.errors import InvalidInput
from evals.screenshots import DESK, PAGES, Place, main, take
from tests.support.browsing import Console, chromium
from tests.support.serving import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.skipif(chromium() is None, reason="Chromium is missing: apt-get install chromium")


def _size(picture: Path) -> Sequence[int]:
    head = picture.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    return struct.unpack(">II", head[16:24])


def _run(served: Console, out: Path, password: str, *pages: str) -> int:
    secret = out.parent / "password"
    secret.write_text(f"{password}\n", encoding="utf-8")
    given = ["--out", str(out), "--url", served.url, "--user", "Ann", "--password-file", str(secret)]
    return main([*given, "--pages", *pages])


def test_pictures_have_the_names_and_the_size_that_documents_expect(served: Console, tmp_path: Path) -> None:
    out = tmp_path / "images"
    assert _run(served, out, PASSWORD, "approvals", "chat") == 0
    pictures = {picture.name: _size(picture) for picture in out.iterdir()}
    size = (DESK["width"], DESK["height"])
    assert pictures == {"console-approvals.png": size, "console-chat.png": size}


def test_whoever_is_not_let_in_gets_no_pictures_and_a_line_that_says_why(
    served: Console, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evals.screenshots.PATIENCE_MS", 1500)
    out = tmp_path / "images"
    assert _run(served, out, "not the password", "approvals") == 1
    assert list(out.iterdir()) == []
    assert "Ann was not let in" in capsys.readouterr().err


def test_a_page_there_is_none_of_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"Use: {', '.join(PAGES)}"):
        take(Place("http://127.0.0.1:9", "Ann", "x"), tmp_path, pages=["nothing"])
