"""The clients of the platform hold to their contract."""

from __future__ import annotations

import pytest

from adapters.platform.base import PlatformPort
from adapters.platform.memory import MemoryPlatform
from domain.permit import PermitOffice
from tests.contract.platform_contract import DOCUMENTS, JUDGEMENTS, LOGS, STATE, PlatformContract


def _memory(office: PermitOffice) -> MemoryPlatform:
    return MemoryPlatform(permits=office, state=STATE, documents=DOCUMENTS, judgements=JUDGEMENTS, logs=LOGS)


class TestMemoryPlatform(PlatformContract):
    @pytest.fixture
    def platform(self, office: PermitOffice) -> PlatformPort:
        return _memory(office)
