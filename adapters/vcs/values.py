"""What every adapter refuses to commit: a values file that is none."""

from __future__ import annotations

import yaml

from domain.errors import InvalidInput


def check_values(text: str) -> None:
    """Check that every document of a values file is a mapping in YAML, and that there is one.

    Raises:
        InvalidInput: it is not.
    """
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        raise InvalidInput("text", f"is not YAML: {' '.join(str(error).split())[:200]}", "Mend the values") from error
    wrong = next((type(document).__name__ for document in documents if not isinstance(document, dict)), None)
    if wrong is not None or not documents:
        raise InvalidInput("text", f"is {wrong or 'empty'}, not a mapping", "Write values as `name: value` lines")
