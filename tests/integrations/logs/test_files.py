"""Log files: JSON lines, plain text, rotated and compressed neighbours, and everything that can be wrong with them."""

from __future__ import annotations

import gzip
import json
import time
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.logs.base import LogLine, LogsPort
from adapters.logs.files import FileLogs
from domain.errors import ConfigurationError, DependencyLied, DependencyUnavailable
from tests.contract.logs_contract import LINES, NOW, SECOND, START, LogsContract


def as_json(line: LogLine) -> str:
    """Return a line as a program writes it."""
    head = {"ts": line.ts.timestamp(), "level": line.level, "event": line.event}
    return json.dumps({**head, **(json.loads(line.fields) if line.fields else {})}, ensure_ascii=False) + "\n"


def written(path: Path, lines: list[LogLine]) -> Path:
    """Write lines to a file, compressed where its name says so, and return it."""
    content = "".join(map(as_json, lines)).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.integration("logs", "works")
class TestOneFile(LogsContract):
    @pytest.fixture
    def logs(self, tmp_path: Path) -> LogsPort:
        return FileLogs(paths=[written(tmp_path / "platform.log", LINES)])


@pytest.mark.integration("logs", "works")
class TestRotatedFiles(LogsContract):
    @pytest.fixture
    def logs(self, tmp_path: Path) -> LogsPort:
        written(tmp_path / "platform.log.10.gz", LINES[:1])
        written(tmp_path / "platform.log.2.gz", LINES[1:2])
        written(tmp_path / "platform.log.1", LINES[2:4])
        return FileLogs(paths=[written(tmp_path / "platform.log", LINES[4:])])


@pytest.mark.integration("logs", "works")
class TestSeveralFiles(LogsContract):
    @pytest.fixture
    def logs(self, tmp_path: Path) -> LogsPort:
        parts = [written(tmp_path / f"{part}.log", LINES[part::2]) for part in (0, 1)]
        return FileLogs(paths=parts)


@pytest.mark.integration("logs", "works")
def test_plain_text_is_read_by_the_pattern_and_a_stack_trace_stays_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "plain.log"
    path.write_text(
        "2026-01-01 12:00:00,250 ERROR index read failed\nTraceback:\n  File x\n"
        "2026-01-01T12:00:01Z [WARN] slow\n2026-01-01T14:00:02+02:00 no level here\n"
    )
    found = FileLogs(paths=[path]).search(START).lines
    assert [(line.level, line.event) for line in found] == [
        ("error", "index read failed"),
        ("warning", "slow"),
        ("", "no level here"),
    ]
    assert found[0].ts == START + timedelta(milliseconds=250)
    assert found[0].fields == "Traceback:\n  File x"
    assert found[2].ts == START + 2 * SECOND


@pytest.mark.integration("logs", "works")
def test_files_older_than_the_span_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "platform.log.2.gz").write_bytes(b"nobody reads this")
    written(tmp_path / "platform.log.1", LINES[:2])
    logs = FileLogs(paths=[written(tmp_path / "platform.log", LINES[2:])])
    assert list(logs.search(LINES[1].ts).lines) == LINES[1:]


@pytest.mark.integration("logs", "refused")
def test_a_file_that_may_not_be_read_is_named_and_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    # A folder in a file's place is refused to every user, root included.
    (tmp_path / "platform.log").mkdir()
    with pytest.raises(DependencyUnavailable, match=r"platform\.log.*Let the user"):
        FileLogs(paths=[tmp_path / "platform.log"]).search(START)


@pytest.mark.integration("logs", "slow")
@pytest.mark.parametrize("name", ["big.log", "big.log.1.gz"])
def test_a_file_larger_than_allowed_is_read_from_its_end_and_said_to_be_more(tmp_path: Path, name: str) -> None:
    lines = [
        LogLine(ts=NOW - timedelta(milliseconds=n), level="info", event=f"e{n:06} {'x' * 100}")
        for n in range(40_000, 0, -1)
    ]
    written(tmp_path / name, lines)
    (tmp_path / "big.log").touch()
    logs = FileLogs(paths=[tmp_path / "big.log"], most_bytes=200_000)
    begun = time.perf_counter()
    found = logs.search(START - timedelta(days=1), limit=5)
    assert time.perf_counter() - begun < 20  # some tenths on a quiet machine; more than the end is not read
    assert list(found.lines) == lines[-5:]
    assert not found.complete
    assert not logs.search(START - timedelta(days=1), contains="e040000").complete


@pytest.mark.integration("logs", "lying")
def test_half_a_gzip_file_is_an_error_and_no_silence(tmp_path: Path) -> None:
    whole = written(tmp_path / "platform.log.1.gz", LINES * 50).read_bytes()
    (tmp_path / "platform.log.1.gz").write_bytes(whole[: len(whole) // 2])
    logs = FileLogs(paths=[written(tmp_path / "platform.log", [])])
    with pytest.raises(DependencyLied, match=r"platform\.log\.1\.gz"):
        logs.search(START)


@pytest.mark.integration("logs", "lying")
def test_lines_that_are_broken_do_not_hide_the_others(tmp_path: Path) -> None:
    path = tmp_path / "platform.log"
    good = as_json(LINES[1])
    path.write_bytes(b'{"ts": 1e999, "event": "x"}\n\xff\xfe{"half": \n[1, 2]\n\n' + good.encode() + good[:20].encode())
    (found,) = FileLogs(paths=[path]).search(START).lines
    assert (found.ts, found.event) == (LINES[1].ts, LINES[1].event)


@pytest.mark.integration("logs", "misconfigured")
def test_each_way_of_misconfiguring_it_has_its_own_remedy(tmp_path: Path) -> None:
    timeless = tmp_path / "timeless.log"
    timeless.write_text("no time at all\nnor here\n")
    with pytest.raises(ConfigurationError, match=r"logs\.files: there is no file absent\.log"):
        FileLogs(paths=[tmp_path / "absent.log"]).check()
    with pytest.raises(ConfigurationError, match=r"logs\.pattern: no line of timeless\.log has a time"):
        FileLogs(paths=[timeless]).check()
    with pytest.raises(ConfigurationError, match=r"logs\.pattern: has no group event"):
        FileLogs(paths=[timeless], pattern=r"(?P<ts>\d+)")
    with pytest.raises(ConfigurationError, match=r"logs\.pattern: is no regular expression"):
        FileLogs(paths=[timeless], pattern="(")
    with pytest.raises(ConfigurationError, match=r"logs\.files: names no file"):
        FileLogs(paths=[])
