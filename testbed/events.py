"""What users say about searches, event by event, and the part of it that the data team may read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from testbed.judged import SearchRecord, held_out

KEPT = 60_000


class FeedbackEvent(BaseModel):
    """One thing a user said about a search."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    request_id: str = Field(min_length=1, max_length=64)
    user_id: str = Field(min_length=1, max_length=128)
    kind: Literal["click", "thumb", "rating", "judgement"]
    doc_id: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    value: float | None = None

    @model_validator(mode="after")
    def _complete(self) -> FeedbackEvent:
        if self.kind in ("click", "judgement") and self.doc_id is None:
            raise ValueError(f"doc_id: a {self.kind} names its document")
        if self.kind == "rating" and (self.value is None or not 1 <= self.value <= 5):
            raise ValueError("value: a rating is 1 to 5")
        if self.kind == "thumb" and self.value not in (-1, 1):
            raise ValueError("value: a thumb is 1 or -1")
        if self.kind == "judgement" and self.value is not None and not 0 <= self.value <= 10:
            raise ValueError("value: the grade of a judgement is 0 to 10")
        return self


class Told:
    """The last events, as the data API tells them. Judgements are told apart, as judged sessions; what is said about
    queries of the sealed set is never told.
    """

    def __init__(self, most: int = KEPT) -> None:
        self._rows: deque[dict[str, Any]] = deque(maxlen=most)

    def keep(self, event: FeedbackEvent, record: SearchRecord, user_agent: str, ts: float) -> None:
        """Take in an event of a search, at `ts` (UNIX seconds)."""
        if event.kind == "judgement" or held_out(record.query):
            return
        row = {"ts": ts, "user_id": record.user_id, "query": record.query, "doc_id": event.doc_id, "kind": event.kind}
        self._rows.append({**row, "value": 1.0 if event.value is None else event.value, "user_agent": user_agent})

    def rows(self, since: float, until: float | None, limit: int | None) -> Iterator[dict[str, Any]]:
        """The events in `[since, until)`, oldest first; with `limit`, the latest ones."""
        inside = [row for row in self._rows if row["ts"] >= since and (until is None or row["ts"] < until)]
        yield from inside if limit is None else inside[-limit:]
