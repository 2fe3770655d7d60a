"""Feedback the platform serves: `GET /data/feedback`, one JSON object a line.

Each has ``ts`` (UNIX seconds), ``user_id``, ``query``, ``doc_id`` (or null), ``kind``, ``value``, ``user_agent``, and
perhaps ``event_id``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import ValidationError

from adapters.feedback.base import FeedbackEvent, checked
from adapters.rest import Endpoint, NotFound, RestClient
from domain.clock import Clock
from domain.errors import ConfigurationError, DependencyLied, InvalidInput

NAME = "feedback"


class PlatformFeedback:
    """`FeedbackPort` on the platform's data API at `endpoint`; `path` is the address of the list."""

    def __init__(self, *, endpoint: Endpoint, clock: Clock, path: str = "/data/feedback") -> None:
        if not path.startswith("/"):
            raise ConfigurationError("feedback.path", f"{path!r} is not a path", "Begin it with /")
        self._rest = RestClient(endpoint, name=NAME, field="platform", clock=clock)
        self._clock = clock
        self._path = path

    def close(self) -> None:
        """Close the connections."""
        self._rest.close()

    def events(self, since: datetime, until: datetime, limit: int = 50_000) -> list[FeedbackEvent]:
        """See `FeedbackPort.events`."""
        checked(since, until, limit)
        params = {"since": since.timestamp(), "until": until.timestamp(), "limit": limit}
        try:
            body = self._rest.text("GET", self._path, params=params)
        except NotFound as error:
            remedy = "Check feedback.path, or use kind table"
            raise ConfigurationError("feedback.path", f"the platform has no {self._path}", remedy) from error
        except InvalidInput as error:
            raise DependencyLied(NAME, f"it refuses a span and a limit: {error.problem}") from error
        found = sorted(_parsed(body), key=lambda event: event.ts)
        for event in found:
            if not since <= event.ts < until:
                raise DependencyLied(NAME, f"an event of {event.ts.isoformat()} was not asked for")
        if len(found) > limit:
            raise DependencyLied(NAME, f"{len(found)} events came, {limit} were asked for")
        return found

    def check(self) -> str:
        """See `FeedbackPort.check`."""
        now = self._clock.now()
        found = self.events(now - timedelta(days=1), now, 1000)
        return f"{NAME}: of the platform, {len(found)} of the newest events of the last day"


def _parsed(body: str) -> Iterator[FeedbackEvent]:
    # Other characters that Python takes for line ends may stand in queries.
    for number, line in enumerate(body.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield FeedbackEvent.model_validate_json(line)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, problem["loc"])) or "(all)"
            raise DependencyLied(
                NAME, f"line {number}, field {where}: {problem['msg']}", "Check platform.url and feedback.path"
            ) from error
