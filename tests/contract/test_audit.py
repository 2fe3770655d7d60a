"""Audit chains, held to their contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.audit.base import AuditPort
from adapters.audit.memory import MemoryAudit
from adapters.audit.sqlite import SqliteAudit
from domain.clock import FrozenClock
from tests.contract.audit_contract import AuditContract


class TestMemoryAudit(AuditContract):
    @pytest.fixture
    def audit(self) -> AuditPort:
        return MemoryAudit(FrozenClock())


class TestSqliteAudit(AuditContract):
    @pytest.fixture
    def audit(self, tmp_path: Path) -> Iterator[AuditPort]:
        audit = SqliteAudit(tmp_path / "audit.db", FrozenClock())
        yield audit
        audit.close()
