"""What tapes are told of their surroundings: policy sets, the versions that decide, and what must not stand there."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING

from cycles.shelf import Taping
from service.settings import Settings

if TYPE_CHECKING:
    from policies.live import LivePolicies

# What a stage's verdicts are computed with, besides our own code.
DECIDES = ("evercrew", "cedarpy", "crewai", "numpy", "pydantic", "scipy")
_SECRET = ("token", "password", "key", "secret")
# A shorter one cannot be told from a word.
_LEAST = 6


def taping_of(policies: LivePolicies, settings: Settings) -> Taping:
    """Return it, for the policies in force and the settings of this process."""
    return Taping(policy_files=policies.files, versions=versions(), secrets=secrets_of(settings))


def versions() -> dict[str, str]:
    """Return the versions of what decides."""
    found = {"python": platform.python_version()}
    for name in DECIDES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Return every secret of the settings that is set."""
    fields = [name for name in type(settings).model_fields if name.endswith(_SECRET)]
    values = dict.fromkeys(str(getattr(each, name)) for each in settings.each() for name in fields)
    return tuple(value for value in values if len(value) >= _LEAST)
