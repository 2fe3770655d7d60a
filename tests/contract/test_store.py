"""Stores, held to their contract."""

from __future__ import annotations

import pytest

from adapters.store.base import StorePort
from adapters.store.memory import MemoryStore
from tests.contract.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> StorePort:
        return MemoryStore()
