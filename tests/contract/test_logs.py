"""The sources of log lines hold to their contract; those of other vendors are in tests/integrations."""

from __future__ import annotations

import pytest

from adapters.logs.base import LEVELS, LogsPort, level_of, words_for
from adapters.logs.memory import MemoryLogs
from adapters.logs.platform import PlatformLogs
from adapters.platform.memory import MemoryPlatform
from domain.candidate import LiveState
from domain.clock import FrozenClock
from domain.permit import PermitOffice
from tests.contract.logs_contract import LINES, START, LogsContract


class TestMemoryLogs(LogsContract):
    @pytest.fixture
    def logs(self) -> LogsPort:
        return MemoryLogs(LINES)


class TestPlatformLogs(LogsContract):
    @pytest.fixture
    def logs(self) -> LogsPort:
        state = LiveState(digest="sha256:" + "a" * 64, revision="1" * 40)
        return PlatformLogs(MemoryPlatform(permits=PermitOffice(FrozenClock()), state=state, logs=LINES))


@pytest.mark.parametrize(
    ("word", "level"), [("WARN", "warning"), ("Fatal", "critical"), (" err ", "error"), ("x", "x")]
)
def test_what_programs_call_a_level_has_one_name(word: str, level: str) -> None:
    assert level_of(word) == level


def test_every_name_of_a_level_leads_back_to_it() -> None:
    assert all(level_of(word) == level for level in LEVELS for word in words_for(level))


def test_the_platforms_levels_are_named_as_the_port_names_them() -> None:
    state = LiveState(digest="sha256:" + "a" * 64, revision="1" * 40)
    lines = [LINES[0].model_copy(update={"level": "WARN"})]
    platform = MemoryPlatform(permits=PermitOffice(FrozenClock()), state=state, logs=lines)
    assert PlatformLogs(platform).search(START).lines[0].level == "warning"
