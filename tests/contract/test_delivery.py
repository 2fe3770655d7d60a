"""The looks at what is live hold to their contract."""

from __future__ import annotations

import pytest

from adapters.delivery.base import DeliveryPort
from adapters.delivery.local import LocalDelivery
from adapters.delivery.memory import MemoryDelivery
from domain.clock import FrozenClock
from tests.contract.delivery_contract import OLD, Becomes, DeliveryContract


class TestMemoryDelivery(DeliveryContract):
    @pytest.fixture
    def delivery(self, clock: FrozenClock) -> DeliveryPort:
        return MemoryDelivery(state=OLD, clock=clock)

    @pytest.fixture
    def becomes(self, delivery: DeliveryPort) -> Becomes:
        assert isinstance(delivery, MemoryDelivery)
        return delivery.becomes


class TestLocalDelivery(DeliveryContract):
    @pytest.fixture
    def source(self, clock: FrozenClock) -> MemoryDelivery:
        return MemoryDelivery(state=OLD, clock=clock)

    @pytest.fixture
    def delivery(self, clock: FrozenClock, source: MemoryDelivery) -> DeliveryPort:
        return LocalDelivery(source=source, clock=clock)

    @pytest.fixture
    def becomes(self, source: MemoryDelivery) -> Becomes:
        return source.becomes
