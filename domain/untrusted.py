"""Text that came from outside has a type of its own until a parser has looked at it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Untrusted(BaseModel):
    """Text from outside (alert annotations, log lines, documents, commit messages) with where it came from.

    It never becomes a tool name, path, branch, query or template without a parser in between.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    source: str

    def block(self, limit: int = 2000) -> str:
        """Return the text as a marked block for a prompt, cut at `limit` characters, its own markers defused."""
        body = self.text[:limit].replace("<<", "< <").replace(">>", "> >")
        return f"<<untrusted source={self.source!r}\n{body}\nuntrusted>>"
