"""The store of this folder's tests."""

from tests.integrations.stores import s3, store

__all__ = ["s3", "store"]
