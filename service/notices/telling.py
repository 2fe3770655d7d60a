"""One thing people are told, before it is known on which channels; and what of it never leaves.

Secrets and what leads to a person are masked here, for every channel at once.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from adapters.traces.redact import redacted_text
from domain.untrusted import one_line
from service.notify_sections import NoticeKind, Severity
from service.wording import visible

LONGEST_TITLE, LONGEST_BODY, LONGEST_FACT = 200, 4000, 300


class Telling(BaseModel):
    """What is told. `page` is the path of the console where to look and act; the same key is told once a channel."""

    model_config = ConfigDict(frozen=True)

    key: str
    kind: NoticeKind
    severity: Severity
    environment: str = ""
    cycle_id: str = ""
    title: str
    body: str
    page: str = ""
    facts: tuple[tuple[str, str], ...] = ()

    def fit(self) -> Telling:
        """Return it as it may leave: masked, without what cannot be seen, the title on one line, all of it cut."""
        return self.model_copy(
            update={
                "title": one_line(redacted_text(self.title), LONGEST_TITLE)[:LONGEST_TITLE] or self.kind.value,
                "body": "\n".join(visible(line) for line in redacted_text(self.body).splitlines())[:LONGEST_BODY],
                "facts": tuple(
                    (one_line(name, 60), one_line(redacted_text(value), LONGEST_FACT))
                    for name, value in self.facts
                    if value
                ),
            }
        )
