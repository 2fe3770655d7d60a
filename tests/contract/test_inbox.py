"""Inboxes, held to their contract."""

from __future__ import annotations

import pytest

from adapters.inbox.base import InboxPort
from adapters.inbox.memory import MemoryInbox
from adapters.store.base import StorePort
from adapters.store.memory import MemoryStore
from domain.clock import SystemClock
from tests.contract.inbox_contract import InboxContract


class TestMemoryInbox(InboxContract):
    @pytest.fixture
    def store(self) -> StorePort:
        return MemoryStore()

    @pytest.fixture
    def inbox(self, store: StorePort) -> InboxPort:
        return MemoryInbox(store, SystemClock(), limit=10_000)

    @pytest.fixture
    def small(self, store: StorePort) -> InboxPort:
        return MemoryInbox(store, SystemClock(), limit=10)
