"""Models of the serving process: bundles by digest from a local cache, from the registry on a miss."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.registry import RegistryError, fetch

if TYPE_CHECKING:
    from testbed.bundle import Bundle


class ModelCache:
    """Bundles on local disk, one folder a digest; every load verifies the content."""

    def __init__(self, world: Path, cache: Path) -> None:
        self._world = world
        self._cache = cache

    def path(self, digest: str) -> Path:
        """The folder of a digest."""
        return self._cache / digest.removeprefix("sha256:")

    def load(self, digest: str) -> Bundle:
        """The bundle with this digest; raises `RegistryError` when it is absent or its content differs."""
        from testbed.bundle import Bundle
        from testbed.errors import BundleError

        home = self.path(digest)
        if not home.exists():
            fetch(self._world, digest, home)
        try:
            bundle = Bundle.load(home)
        except BundleError as error:
            shutil.rmtree(home)
            raise RegistryError(f"the model {digest} cannot be loaded: {error}") from error
        if bundle.digest != digest:
            shutil.rmtree(home)
            raise RegistryError(
                f"the registry's content for {digest} has the digest {bundle.digest}; register it again"
            )
        return bundle
