"""The tools by name. An unknown name is an error, never ignored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from domain.errors import InvalidInput
from tools.tool import Tool


class Registry:
    """Holds the tools of one wiring.

    Raises:
        InvalidInput: two tools have the same name.
    """

    def __init__(self, tools: Iterable[Tool[Any, Any]]) -> None:
        self._tools: dict[str, Tool[Any, Any]] = {}
        for tool in tools:
            if tool.spec.name in self._tools:
                raise InvalidInput(
                    "tools", f"two tools are named {tool.spec.name!r}", "Give each tool a name of its own"
                )
            self._tools[tool.spec.name] = tool

    def __iter__(self) -> Iterator[Tool[Any, Any]]:
        return iter(self._tools.values())

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def get(self, name: str) -> Tool[Any, Any]:
        """Return the tool.

        Raises:
            InvalidInput: there is none of that name; the message lists those there are.
        """
        try:
            return self._tools[name]
        except KeyError:
            known = ", ".join(sorted(self._tools))
            raise InvalidInput("tool", f"{name!r} is not a tool", f"Use one of: {known}") from None
