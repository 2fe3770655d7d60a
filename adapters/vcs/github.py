"""GitHub's REST API (github.com, or Enterprise Server under /api/v3): pull requests of one repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.rest import Endpoint, NotFound, Refused
from adapters.vcs.forge import (
    FIELD,
    OURS,
    PAGES,
    PER_PAGE,
    ForgeClient,
    PullRequest,
    State,
    check_project,
    escaped,
    has_line,
)
from domain.clock import Clock
from domain.errors import DependencyLied, InvalidInput
from domain.untrusted import Untrusted

NAME = "github"
_VERSION = "2022-11-28"
_BAD = frozenset({"failure", "timed_out", "cancelled", "action_required", "startup_failure", "stale", "error"})
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": _VERSION}


class GitHubForge:
    """`ForgePort` on GitHub. `project` is owner/name; the token needs contents and pull requests, read and write."""

    name = NAME

    def __init__(self, *, endpoint: Endpoint, project: str, clock: Clock) -> None:
        check_project(project, most=2)
        self._client = ForgeClient(endpoint, name=NAME, project=project, clock=clock, headers=_HEADERS)
        self._owner = project.split("/")[0]
        self._root = "/repos/" + "/".join(escaped(part) for part in project.split("/"))

    def by_branch(self, branch: str) -> PullRequest | None:
        """See `ForgePort.by_branch`."""
        query = {"head": f"{self._owner}:{branch}", "state": "all", "sort": "created", "direction": "desc"}
        listed = self._client.listed(f"{self._root}/pulls", query)
        number = next((one.get("number") for one in listed if self._branch_of(one) == branch), None)
        return self.get(number) if number is not None else None

    def by_word(self, base: str, *words: str) -> PullRequest | None:
        """See `ForgePort.by_word`."""
        query = {"base": base, "state": "all", "sort": "created", "direction": "desc"}
        for one in self._client.listed(f"{self._root}/pulls", query, PAGES):
            if self._branch_of(one) and has_line(one.get("body") or "", *words):
                return self.get(one.get("number", 0))
        return None

    def get(self, number: int) -> PullRequest:
        """See `ForgePort.get`."""
        return self._pull(self._client.rest.get(f"{self._root}/pulls/{number}"))

    def open(self, *, branch: str, base: str, title: str, body: str) -> PullRequest:
        """See `ForgePort.open`. 422 is also the answer for a branch that has a request."""
        fields = {"head": branch, "base": base, "title": title, "body": body, "maintainer_can_modify": False}
        try:
            return self._pull(self._client.rest.request("POST", f"{self._root}/pulls", json=fields))
        except InvalidInput as error:
            there = self.by_branch(branch) if "already exists" in error.problem else None
            if there is None:
                raise
            return there

    def close(self, number: int, comment: str, body: str) -> None:
        """See `ForgePort.close`. Comments of a pull request are those of its issue."""
        if self.get(number).state is not State.OPEN:
            return
        self._client.rest.request("POST", f"{self._root}/issues/{number}/comments", json={"body": comment})
        fields = {"state": "closed", "body": body}
        self._client.rest.request("PATCH", f"{self._root}/pulls/{number}", json=fields, repeatable=True)

    def failed_checks(self, pull: PullRequest) -> tuple[str, ...]:
        """See `ForgePort.failed_checks`: check runs, and the older commit statuses. What the token may not see is not
        held against the request.
        """
        runs = self._reported(f"{self._root}/commits/{pull.revision}/check-runs", "check_runs")
        statuses = self._reported(f"{self._root}/commits/{pull.revision}/status", "statuses")
        ended = [(run.get("name"), run.get("status"), run.get("conclusion")) for run in runs]
        ended += [(one.get("context"), "completed", one.get("state")) for one in statuses]
        if any(status != "completed" or result == "pending" for _, status, result in ended):
            return ()
        return tuple(str(name) for name, _, result in ended if result in _BAD)

    def _reported(self, path: str, field: str) -> Sequence[Mapping[str, Any]]:
        try:
            answer = self._client.rest.get(path, {"per_page": PER_PAGE})
        except (Refused, NotFound):
            return ()
        if not isinstance(answer, dict) or not isinstance(answer.get(field), list):
            raise DependencyLied(NAME, f"{path} answered without {field}")
        return [one for one in answer[field] if isinstance(one, dict)]

    def last_word(self, number: int) -> Untrusted | None:
        """See `ForgePort.last_word`: reviews and comments, the newest of both."""
        reviews = self._client.listed(f"{self._root}/pulls/{number}/reviews", {}, PAGES)
        comments = self._client.listed(f"{self._root}/issues/{number}/comments", {}, PAGES)
        said = [(one.get("submitted_at") or "", one) for one in reviews]
        said += [(one.get("created_at") or "", one) for one in comments]
        written = [(at, one) for at, one in said if (one.get("body") or "").strip()]
        if not written:
            return None
        _, newest = max(written, key=lambda each: each[0])
        who = (newest.get("user") or {}).get("login", "somebody")
        return Untrusted(text=newest["body"], source=f"{NAME} pull request {number}, {who}")

    def disconnect(self) -> None:
        """See `ForgePort.disconnect`."""
        self._client.rest.close()

    def check(self, base: str) -> str:
        """See `ForgePort.check`."""
        seen = self._client.description(self._root, "full_name")
        if seen.get("archived"):
            raise Refused(NAME, f"{seen['full_name']} is archived: nothing can be merged", f"Check {FIELD}.project")
        rights = seen.get("permissions") or {}
        if "push" in rights and not rights["push"]:
            raise Refused(
                NAME,
                f"the token may not write to {seen['full_name']}",
                "Give the token of EVERCREW_FORGE_TOKEN the rights contents: write and pull requests: write",
            )
        try:
            self._client.rest.get(f"{self._root}/branches/{escaped(base)}")
        except NotFound as error:
            raise Refused(NAME, f"{seen['full_name']} has no branch {base!r}", "Check values.branch") from error
        return f"{NAME}: {seen['full_name']} takes pull requests to {base}"

    def _branch_of(self, one: Mapping[str, Any]) -> str:
        """The request's branch when it is one of ours. A fork may have a branch of any name."""
        head = one.get("head") or {}
        home = (head.get("repo") or {}).get("full_name", "")
        branch = str(head.get("ref", ""))
        return branch if branch.startswith(OURS) and home.lower() == self._client.project.lower() else ""

    def _pull(self, one: Mapping[str, Any]) -> PullRequest:
        if not isinstance(one, dict) or not isinstance(one.get("head"), dict):
            raise DependencyLied(NAME, "what answers is no pull request", f"Check {FIELD}.url")
        merged = bool(one.get("merged") or one.get("merged_at"))
        state = State.MERGED if merged else (State.OPEN if one.get("state") == "open" else State.CLOSED)
        found = one.get("mergeable_state") or ""
        return self._client.pull(
            {
                "number": one.get("number"),
                "url": one.get("html_url"),
                "branch": one["head"].get("ref"),
                "state": state,
                "revision": one["head"].get("sha"),
                "body": one.get("body") or "",
                # Before the merge this field names a commit that only tries it.
                "merged_as": (one.get("merge_commit_sha") or "") if merged else "",
                "conflicts": found == "dirty" or one.get("mergeable") is False,
                "behind": found == "behind",
                "blocked": found == "blocked",
            }
        )
