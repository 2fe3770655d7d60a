"""The files of a cycle over HTTP: its report, its artifacts, and nothing else of the machine."""

from __future__ import annotations

import io
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.api.serving import Serving
from service.api.streamed import PART_BYTES
from tests.api.conftest import Clients, good, problem

PLACE = "/api/v1/cycles/si_2026_01_01_004"


def folder_of(app: FastAPI) -> Path:
    serving: Serving = app.state.serving
    return serving.app.office.artifacts.root / "si_2026_01_01_004"


@pytest.fixture(scope="module")
def littered(read_only: FastAPI) -> Path:
    """The folder, with things in it that are no files of the cycle."""
    folder, serving = folder_of(read_only), read_only.state.serving
    (folder / ".hidden").write_text("hidden")
    (folder / "folder").mkdir()
    (folder / "secret-link.json").symlink_to(serving.app.config.state / "audit.key")
    return folder


def test_every_file_is_listed_and_comes_as_it_is(viewer: TestClient, read_only: FastAPI) -> None:
    rows = good(viewer.get(f"{PLACE}/artifacts"))["artifacts"]
    assert "outcome.json" in [row["name"] for row in rows]
    for row in rows:
        answer = viewer.get(row["href"])
        kept = (folder_of(read_only) / row["name"]).read_bytes()
        assert (answer.status_code, answer.content, len(kept)) == (200, kept, row["size"])
        assert answer.headers["content-type"] == row["media_type"]
        assert answer.headers["content-disposition"].startswith("attachment")
        assert viewer.get(row["href"], headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert json.loads(viewer.get(f"{PLACE}/artifacts/outcome.json").content)["outcome"] == "improved"


def test_a_file_is_sent_in_parts_and_its_size_is_said_first(
    served: Serving, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = b"".join(b"%07d\n" % number for number in range(3 * PART_BYTES // 8))
    (served.app.office.artifacts.root / "si_2026_01_01_004" / "large.txt").write_bytes(large)
    most = list[int]()

    class Watching(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            found = super().read(size)
            most.append(len(found))
            return found

    monkeypatch.setattr(Path, "open", lambda _path, _mode: Watching(large))
    with clients("viewer").stream("GET", f"{PLACE}/artifacts/large.txt") as answer:
        parts = list(answer.iter_raw())
    monkeypatch.undo()
    assert b"".join(parts) == large
    assert (max(most), sum(most)) == (PART_BYTES, 2 * len(large))
    assert answer.headers["content-length"] == str(len(large))
    assert len(parts) == 3


def test_a_part_of_a_file_is_sent_of_the_state_that_the_client_knows(viewer: TestClient) -> None:
    place = f"{PLACE}/artifacts/outcome.json"
    whole = viewer.get(place)
    size, tag = len(whole.content), whole.headers["etag"]
    for wanted, first, last in (("bytes=0-9", 0, 9), ("bytes=10-", 10, size - 1), ("bytes=-5", size - 5, size - 1)):
        answer = viewer.get(place, headers={"Range": wanted, "If-Range": tag})
        assert (answer.status_code, answer.content) == (206, whole.content[first : last + 1])
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{size}"
        assert (answer.headers["etag"], answer.headers["content-length"]) == (tag, str(last + 1 - first))
    assert viewer.get(place, headers={"Range": f"bytes=5-{size * 9}"}).content == whole.content[5:]
    for header in ("bytes=9-1", "bytes=0-1,4-5", "bytes=-", "lines=1-2", "bytes=a-b"):
        answer = viewer.get(place, headers={"Range": header})
        assert (answer.status_code, answer.content) == (200, whole.content)
    assert viewer.get(place, headers={"Range": "bytes=0-9", "If-Range": '"another"'}).content == whole.content
    told = viewer.get(place, headers={"Range": f"bytes={size}-"})
    assert problem(told, 416)["field"] == "Range"
    assert told.headers["content-range"] == f"bytes */{size}"
    assert viewer.get(place, headers={"Range": "bytes=-0"}).status_code == 416


def test_the_report_is_a_page_in_which_nothing_runs(viewer: TestClient) -> None:
    page = viewer.get(f"{PLACE}/report")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "sandbox" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    text = viewer.get(f"{PLACE}/report?format=md")
    assert text.headers["content-type"].startswith("text/markdown")
    assert text.text.startswith("# si_2026_01_01_004: improved")
    assert viewer.get(f"{PLACE}/report", headers={"If-None-Match": page.headers["etag"]}).status_code == 304
    assert problem(viewer.get(f"{PLACE}/report?format=pdf"), 422)["field"] == "format"


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2faudit.key",
        "%2e%2e%2faudit.key",
        "....//audit.key",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "..\\audit.key",
        ".hidden",
        "outcome.json%00.txt",
        "outcome.json/",
        "secret-link.json",
        "folder",
        "nothing.json",
        "a" * 200,
        quote("\u2024\u2024/audit.key"),
    ],
)
def test_no_name_leads_out_of_the_folder_of_the_cycle(littered: Path, viewer: TestClient, name: str) -> None:
    assert (littered / "secret-link.json").read_text().startswith("-----BEGIN")
    answer = viewer.get(f"{PLACE}/artifacts/{name}")
    assert answer.status_code in (404, 405, 422), answer.text
    problem(answer, answer.status_code)
    listed = [row["name"] for row in good(viewer.get(f"{PLACE}/artifacts"))["artifacts"]]
    assert not {".hidden", "folder", "secret-link.json"} & set(listed)


@pytest.mark.parametrize(
    "cycle", ["..", "si_2026_01_01_004%2f..", "%2e%2e", "si_2026_01_01_004/../..", "SI_2026_01_01_004"]
)
def test_no_name_of_a_cycle_leads_elsewhere_either(viewer: TestClient, cycle: str) -> None:
    answer = viewer.get(f"/api/v1/cycles/{cycle}/artifacts/outcome.json")
    problem(answer, answer.status_code)
    assert answer.status_code in (404, 422)


def test_a_cycle_that_left_nothing_has_no_files(viewer: TestClient) -> None:
    assert good(viewer.get("/api/v1/cycles/si_2026_01_01_006/artifacts"))["artifacts"] == []


def test_a_file_that_cannot_be_read_is_told_without_its_place(
    served: Serving, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_named: object) -> object:
        raise PermissionError(13, "Permission denied", str(served.app.config.state))

    viewer = clients("viewer")
    monkeypatch.setattr(Path, "open", broken)
    answer = viewer.get(f"{PLACE}/artifacts/outcome.json")
    monkeypatch.undo()
    assert problem(answer, 503)["detail"].startswith("artifacts: cannot be read")
    assert str(served.app.config.state) not in answer.text
