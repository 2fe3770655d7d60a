"""The profile of a configuration; light, for commands that build nothing else."""

from __future__ import annotations

from domain.errors import ConfigurationError
from policies.packaged import packaged_profile
from policies.profiles import Profile, load_profile
from service.config import Config


def profile_of(config: Config) -> Profile:
    """Return the environment's profile: the packaged one, or the configuration's own.

    Raises:
        ConfigurationError: it cannot be read, or is of another environment.
    """
    if config.profile is None:
        return load_profile(packaged_profile(config.environment), file=f"{config.environment}.yaml")
    try:
        text = config.profile.read_text(encoding="utf-8")
    except OSError as problem:
        raise ConfigurationError("profile", f"cannot be read: {problem}", "Name a readable file") from problem
    return load_profile(text, file=config.profile.name)
