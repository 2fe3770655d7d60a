"""What every adapter refuses to commit: a values file that is none."""

from __future__ import annotations

import yaml

from domain.errors import InvalidInput


def check_values(text: str) -> None:
    """Check that a values file is a mapping in YAML.

    Raises:
        InvalidInput: it is not.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInput("text", f"is not YAML: {' '.join(str(error).split())[:200]}", "Mend the values") from error
    if not isinstance(values, dict):
        raise InvalidInput("text", f"is {type(values).__name__}, not a mapping", "Write values as `name: value` lines")
