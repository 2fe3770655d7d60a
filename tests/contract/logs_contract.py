"""What every source of log lines has to hold to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from adapters.logs.base import LogLine, LogsPort
from domain.errors import InvalidInput

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
NOW = START + timedelta(minutes=5)


def _line(number: int, level: str, event: str, fields: str = "") -> LogLine:
    return LogLine(ts=START + number * SECOND, level=level, event=event, fields=fields)


LINES = [
    _line(0, "info", "started"),
    _line(1, "error", "Shard 3 lost", '{"shard": 3}'),
    _line(2, "info", "mode changed to fast", '{"mode": "fast"}'),
    _line(3, "warning", 'asked for "} | drop .* {a="b"}'),
    _line(4, "error", "index read failed \u2028 twice"),
]


class LogsContract:
    """A vendor gives `logs` over LINES, asked at NOW."""

    @pytest.fixture
    def logs(self) -> LogsPort:
        raise NotImplementedError

    def test_lines_come_oldest_first_as_they_were_written(self, logs: LogsPort) -> None:
        found = logs.search(START)
        assert list(found.lines) == LINES
        assert found.complete

    def test_a_span_is_half_open(self, logs: LogsPort) -> None:
        assert list(logs.search(LINES[1].ts, LINES[3].ts).lines) == LINES[1:3]
        assert list(logs.search(START - 10 * SECOND, START).lines) == []

    def test_words_are_found_whatever_their_case(self, logs: LogsPort) -> None:
        assert list(logs.search(START, contains="SHARD 3").lines) == LINES[1:2]
        assert list(logs.search(START, contains="mode changed").lines) == LINES[2:3]

    def test_a_level_is_exactly_that_level(self, logs: LogsPort) -> None:
        assert list(logs.search(START, level="error").lines) == [LINES[1], LINES[4]]
        assert list(logs.search(START, level="critical").lines) == []

    def test_text_level_and_time_are_all_of_them(self, logs: LogsPort) -> None:
        assert list(logs.search(START, contains="failed", level="error").lines) == LINES[4:]
        assert list(logs.search(START, LINES[4].ts, contains="failed", level="error").lines) == []

    def test_what_is_searched_for_is_text_and_no_query(self, logs: LogsPort) -> None:
        assert list(logs.search(START, contains='"} | drop').lines) == LINES[3:4]
        for hostile in ("f.st", 'nothing" or "x', "lost` |= `x", "nothing\\", "nothing\nhere", "(?i)nothing"):
            assert list(logs.search(START, contains=hostile).lines) == [], hostile

    def test_a_limit_keeps_the_newest_and_says_that_there_are_more(self, logs: LogsPort) -> None:
        found = logs.search(START, limit=2)
        assert list(found.lines) == LINES[-2:]
        assert not found.complete
        assert logs.search(START, limit=len(LINES)).complete

    def test_nothing_found_is_an_answer(self, logs: LogsPort) -> None:
        found = logs.search(START, contains="quite another thing")
        assert found.lines == ()
        assert found.complete

    def test_a_search_that_cannot_be_is_refused(self, logs: LogsPort) -> None:
        with pytest.raises(InvalidInput, match="until"):
            logs.search(START, START)
        with pytest.raises(InvalidInput, match="level"):
            logs.search(START, level="loud")
        for limit in (0, -1, 5001):
            with pytest.raises(InvalidInput, match="limit"):
                logs.search(START, limit=limit)

    def test_the_check_answers_in_one_line(self, logs: LogsPort) -> None:
        assert logs.check()
        assert "\n" not in logs.check()
