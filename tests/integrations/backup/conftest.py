"""The store of this folder's tests, and offices to lose."""

from tests.durability.conftest import folder, forks, start, template
from tests.integrations.stores import s3, store

__all__ = ["folder", "forks", "s3", "start", "store", "template"]
