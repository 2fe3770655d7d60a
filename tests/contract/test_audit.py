"""Audit chains, held to their contract."""

from __future__ import annotations

import pytest

from adapters.audit.base import ChainPort
from adapters.audit.memory import MemoryAudit
from domain.clock import FrozenClock
from tests.contract.audit_contract import AuditContract


class TestMemoryAudit(AuditContract):
    @pytest.fixture
    def audit(self) -> ChainPort:
        return MemoryAudit(FrozenClock())
