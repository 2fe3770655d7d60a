"""What pull request mode needs of a forge (GitHub, GitLab): to open a request, to see what became of it, to close it.

Contract: one request per branch of ours; branches of forks, which anybody may name as they like, are never taken for
ours. `PullRequestVcs` spends the permit before it opens or closes one. What people wrote is `Untrusted`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.rest import Endpoint, NotFound, Refused, RestClient
from domain.clock import Clock
from domain.errors import ConfigurationError, DependencyLied
from domain.untrusted import Untrusted

FIELD = "values.forge"
OURS = "evercrew/"
# How far back a request is looked for when only its key is known.
PAGES, PER_PAGE = 5, 100


class State(StrEnum):
    """What became of a request."""

    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


class PullRequest(BaseModel):
    """A request to merge `branch`. `revision` is its newest commit, `merged_as` the commit it is on the base.

    `conflicts`: it cannot be merged as it is; `behind`: the forge wants it on the newest base first; `blocked`: the
    forge holds it back, for a review or for a check.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    url: str
    branch: str
    state: State
    revision: str
    body: str
    merged_as: str = ""
    conflicts: bool = False
    behind: bool = False
    blocked: bool = False


class ForgePort(Protocol):
    """One project of a forge; every method raises `DependencyError` as the REST client does."""

    @property
    def name(self) -> str:
        """Its name in errors."""
        ...

    def by_branch(self, branch: str) -> PullRequest | None:
        """Return the newest request of a branch of the project itself, open or not."""
        ...

    def by_word(self, base: str, *words: str) -> PullRequest | None:
        """Return the newest request of ours to `base` whose body has one of `words` as a line of its own."""
        ...

    def get(self, number: int) -> PullRequest:
        """Return a request as it is now."""
        ...

    def open(self, *, branch: str, base: str, title: str, body: str) -> PullRequest:
        """Open a request, or return the one that is open for this branch."""
        ...

    def close(self, number: int, comment: str, body: str) -> None:
        """Say why, and close it without a merge, with another body. One that is closed or merged stays as it is."""
        ...

    def failed_checks(self, pull: PullRequest) -> tuple[str, ...]:
        """Return the names of checks that ended badly, none while others still run."""
        ...

    def last_word(self, number: int) -> Untrusted | None:
        """Return the newest comment a person wrote, or None."""
        ...

    def disconnect(self) -> None:
        """Close the connections."""
        ...

    def check(self, base: str) -> str:
        """Return one line for `doctor`, or raise what is wrong."""
        ...


class ForgeClient:
    """What both forges share: the client, and what its refusals mean."""

    def __init__(
        self, endpoint: Endpoint, *, name: str, project: str, clock: Clock, headers: Mapping[str, str]
    ) -> None:
        self.name = name
        self.project = project
        self.rest = RestClient(endpoint, name=name, field=FIELD, clock=clock, headers=headers)

    def description(self, path: str, sign: str) -> Mapping[str, Any]:
        """Return the project's own description, which has the field `sign`.

        Raises:
            Refused: the token is not taken, or may not do this. ConfigurationError: there is no such project.
            DependencyLied: another service answers.
        """
        try:
            answer = self.rest.get(path)
        except Refused as error:
            remedy = "Set EVERCREW_FORGE_TOKEN to a valid token"
            if "answered 403" in error.problem:
                remedy = "Give the token of EVERCREW_FORGE_TOKEN the right to read and write pull requests"
            raise Refused(self.name, error.problem, remedy) from error
        except NotFound as error:
            raise ConfigurationError(
                f"{FIELD}.project",
                f"{self.name} knows no project {self.project!r} for this token",
                "Check the name, that EVERCREW_FORGE_TOKEN may see it, and that the address is the one of the API",
            ) from error
        if not isinstance(answer, dict) or sign not in answer:
            raise DependencyLied(self.name, "what answers is not its API", f"Check {FIELD}.url and {FIELD}.kind")
        return answer

    def listed(self, path: str, params: Mapping[str, Any], pages: int = 1) -> Iterable[Mapping[str, Any]]:
        """Yield the entries of a list, page by page."""
        for page in range(1, pages + 1):
            answer = self.rest.get(path, params={**params, "per_page": PER_PAGE, "page": page})
            if not isinstance(answer, list):
                raise DependencyLied(self.name, f"{path} answered {type(answer).__name__}, not a list")
            for one in answer:
                if not isinstance(one, dict):
                    raise DependencyLied(self.name, f"{path} lists {type(one).__name__}, not objects")
                yield one
            if len(answer) < PER_PAGE:
                return

    def pull(self, fields: Mapping[str, Any]) -> PullRequest:
        """Return a request.

        Raises:
            DependencyLied: a field is missing or is something else.
        """
        try:
            return PullRequest.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise DependencyLied(
                self.name, f"a pull request's {where} is not what it should be: {first['msg']}"
            ) from error


def check_project(project: str, *, most: int, numbers: bool = False) -> str:
    """Return a project's path of two to `most` names, or its number where those are taken.

    Raises:
        ConfigurationError: it is neither.
    """
    parts = project.split("/")
    if (numbers and project.isdigit()) or (2 <= len(parts) <= most and all(parts)):
        return project
    form = "group/name, or as its number" if numbers else "owner/name"
    raise ConfigurationError(f"{FIELD}.project", f"{project!r} is no project", f"Give it as {form}")


def has_line(body: str, *words: str) -> bool:
    """Whether a text has one of `words` as a line of its own."""
    return any(line.strip() in words for line in body.splitlines())


def escaped(value: str) -> str:
    """Return a value as one part of a path."""
    return quote(value, safe="")
