"""Notifiers, held to their contract."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from adapters.notify.base import EFFECT_SEND, NotifyPort
from adapters.notify.log import LogNotify
from adapters.notify.memory import MemoryNotify
from domain.clock import FrozenClock
from domain.errors import DependencyUnavailable
from domain.observation import Seen
from domain.permit import PermitOffice
from tests.contract.notify_contract import MESSAGE, NotifyContract
from tests.contract.permits import permit_for


class TestMemoryNotify(NotifyContract):
    @pytest.fixture
    def notify(self, office: PermitOffice) -> NotifyPort:
        return MemoryNotify(office)

    @pytest.fixture
    def sent(self, notify: NotifyPort) -> Callable[[], list[str]]:
        return lambda: [message.title for message in cast(MemoryNotify, notify).sent.values()]


class TestLogNotify(NotifyContract):
    @pytest.fixture
    def log(self, tmp_path: Path) -> Path:
        return tmp_path / "logs" / "notify.jsonl"

    @pytest.fixture
    def notify(self, office: PermitOffice, log: Path) -> NotifyPort:
        return LogNotify(log, FrozenClock(), office)

    @pytest.fixture
    def sent(self, notify: NotifyPort, log: Path) -> Callable[[], list[str]]:
        return lambda: [json.loads(line)["title"] for line in log.read_text().splitlines()] if log.exists() else []

    def test_a_line_torn_by_a_dying_process_spoils_nothing(
        self, notify: NotifyPort, office: PermitOffice, log: Path
    ) -> None:
        log.parent.mkdir()
        log.write_text('{"key": "k1", "tit')
        assert notify.observe("k1").seen is Seen.ABSENT
        notify.send(MESSAGE, key="k1", permit=permit_for(office, EFFECT_SEND, "k1"))
        assert notify.observe("k1").seen is Seen.DONE
        assert json.loads(log.read_text().splitlines()[-1])["title"] == MESSAGE.title

    def test_a_file_that_cannot_be_written_is_a_dependency_that_failed(
        self, notify: NotifyPort, office: PermitOffice, log: Path
    ) -> None:
        log.mkdir(parents=True)
        with pytest.raises(DependencyUnavailable, match="notify"):
            notify.send(MESSAGE, key="k1", permit=permit_for(office, EFFECT_SEND, "k1"))
        assert notify.observe("k1").seen is Seen.UNKNOWN
