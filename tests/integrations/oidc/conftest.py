"""A real provider, where npm can have it, and one of our own that lies, dawdles and signs with keys we know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.servers.base import ServerError
from testbed.servers.oidc import OidcServer, installed

REDIRECT = "http://testserver/login/callback"


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder the package is in; skips, and says why, where it cannot be had."""
    try:
        return installed(tmp_path_factory.mktemp("npm"))
    except ServerError as problem:
        pytest.skip(str(problem))


@pytest.fixture(scope="session")
def provider(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcServer]:
    """Return a real provider that runs."""
    try:
        server = OidcServer(package, tmp_path_factory.mktemp("oidc"), redirect=REDIRECT)
    except ServerError as problem:
        pytest.skip(str(problem))
    with server:
        yield server
