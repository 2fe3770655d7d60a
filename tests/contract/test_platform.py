"""The clients of the platform hold to their contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.platform.base import PlatformPort
from adapters.platform.http import HttpPlatform
from adapters.platform.memory import MemoryPlatform
from domain.clock import FrozenClock
from domain.permit import PermitOffice
from tests.contract.platform_contract import DOCUMENTS, JUDGEMENTS, LOGS, STATE, PlatformContract
from tests.contract.platform_stub import PlatformApi
from tests.stubs.small_server import SmallServer


def _memory(office: PermitOffice) -> MemoryPlatform:
    return MemoryPlatform(permits=office, state=STATE, documents=DOCUMENTS, judgements=JUDGEMENTS, logs=LOGS)


class TestMemoryPlatform(PlatformContract):
    @pytest.fixture
    def platform(self, office: PermitOffice) -> PlatformPort:
        return _memory(office)


class TestHttpPlatform(PlatformContract):
    @pytest.fixture
    def platform(self, office: PermitOffice) -> Iterator[PlatformPort]:
        service = PermitOffice(FrozenClock())
        with SmallServer(PlatformApi(_memory(service), service)) as stub:
            client = HttpPlatform(url=stub.url, permits=office, clock=FrozenClock())
            yield client
            client.close()
