"""The names by which tests that were there first know the server of the stubs."""

from __future__ import annotations

from tests.stubs.small_server import Asked as Request
from tests.stubs.small_server import Said as Answer
from tests.stubs.small_server import SmallServer as Stub

__all__ = ["Answer", "Request", "Stub"]
