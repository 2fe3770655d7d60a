"""Where a section of the configuration meets its secrets."""

from __future__ import annotations

from datetime import timedelta

from pydantic import SecretStr

from adapters.rest import Endpoint
from adapters.s3 import S3Location, s3_location
from domain.errors import ConfigurationError
from service.sections import Reached, S3Config
from service.settings import Settings


def endpoint_of(section: Reached, settings: Settings, name: str, url: str = "") -> Endpoint:
    """Return how the system of section `name` is spoken to; its secrets are ``<name>_token`` and ``<name>_password``.

    Raises:
        ConfigurationError: there is no address, or a user without a password.
    """
    address = url or getattr(section, "url", "")
    if not address:
        raise ConfigurationError(f"{name}.url", "is missing", "Say where it answers")
    password = str(getattr(settings, f"{name}_password", ""))
    if section.username and not password:
        variable = f"EVERCREW_{name.upper()}_PASSWORD"
        raise ConfigurationError(f"{name}.username", f"{variable} is not set", f"Set {variable}, or leave the user out")
    token = str(getattr(settings, f"{name}_token", ""))
    return Endpoint(
        url=address,
        token=SecretStr(token) if token else None,
        username=section.username,
        password=SecretStr(password) if password else None,
        ca=section.ca,
        cert=section.cert,
        key=section.key,
        verify=section.verify,
        timeout=timedelta(seconds=section.timeout_s),
        attempts=section.attempts,
    )


def location_of(url: str, section: S3Config | None, *, address: str, field: str) -> S3Location:
    """Return the place ``s3://bucket/prefix`` in the store that the section names.

    Raises:
        ConfigurationError: a part of it cannot be; names `address`, which the url comes from, or a field of `field`.
    """
    given = section or S3Config()
    return s3_location(
        field,
        address=address,
        url=url,
        endpoint_url=given.endpoint_url or None,
        region=given.region or None,
        profile=given.profile or None,
    )
