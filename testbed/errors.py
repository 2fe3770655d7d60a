"""Errors of the testbed's data and models.

TestbedError
  DataError      a file, line or field is not what the format asks for
  BundleError    a released model is incomplete or damaged
"""

from __future__ import annotations

__all__ = ["BundleError", "DataError", "TestbedError"]


class TestbedError(ValueError):
    """Anything the testbed refuses; the message names the file and field and says what to do."""

    __test__ = False


class DataError(TestbedError):
    """A file, line or field is not what the format asks for."""


class BundleError(TestbedError):
    """A released model is incomplete or damaged."""
