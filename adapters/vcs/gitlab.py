"""GitLab's REST API, version 4: merge requests of one project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.rest import Endpoint, NotFound, Refused
from adapters.vcs.forge import FIELD, OURS, PAGES, ForgeClient, PullRequest, State, check_project, escaped, has_line
from domain.clock import Clock
from domain.errors import ConflictError, DependencyLied
from domain.untrusted import Untrusted

NAME = "gitlab"
# https://docs.gitlab.com/api/access_requests/: roles as numbers.
_DEVELOPER = 30
_DEEPEST = 22  # a project below twenty nested groups
_STATES = {"opened": State.OPEN, "locked": State.OPEN, "closed": State.CLOSED, "merged": State.MERGED}
_BLOCKED = frozenset(
    {"ci_must_pass", "ci_still_running", "not_approved", "discussions_not_resolved", "requested_changes"}
)


class GitLabForge:
    """`ForgePort` on GitLab.

    `project` is group/name or its number; the token has the scope api and the role Developer or more.
    """

    name = NAME

    def __init__(self, *, endpoint: Endpoint, project: str, clock: Clock) -> None:
        check_project(project, most=_DEEPEST, numbers=True)
        self._client = ForgeClient(endpoint, name=NAME, project=project, clock=clock, headers={})
        self._root = f"/api/v4/projects/{escaped(project)}"
        self._requests = f"{self._root}/merge_requests"

    def by_branch(self, branch: str) -> PullRequest | None:
        """See `ForgePort.by_branch`."""
        query = {"source_branch": branch, "state": "all", "order_by": "created_at", "sort": "desc"}
        number = next((one.get("iid") for one in self._client.listed(self._requests, query) if _is_ours(one)), None)
        return self.get(number) if number is not None else None

    def by_word(self, base: str, *words: str) -> PullRequest | None:
        """See `ForgePort.by_word`."""
        query = {"target_branch": base, "state": "all", "order_by": "created_at", "sort": "desc"}
        for one in self._client.listed(self._requests, query, PAGES):
            if _is_ours(one) and has_line(one.get("description") or "", *words):
                return self.get(one.get("iid", 0))
        return None

    def get(self, number: int) -> PullRequest:
        """See `ForgePort.get`."""
        return self._pull(self._client.rest.get(f"{self._requests}/{number}"))

    def open(self, *, branch: str, base: str, title: str, body: str) -> PullRequest:
        """See `ForgePort.open`. 409 is the answer for a branch that has a request."""
        fields = {
            "source_branch": branch,
            "target_branch": base,
            "title": title,
            "description": body,
            "remove_source_branch": True,
        }
        try:
            return self._pull(self._client.rest.request("POST", self._requests, json=fields))
        except ConflictError:
            there = self.by_branch(branch)
            if there is None:
                raise
            return there

    def close(self, number: int, comment: str, body: str) -> None:
        """See `ForgePort.close`."""
        if self.get(number).state is not State.OPEN:
            return
        self._client.rest.request("POST", f"{self._requests}/{number}/notes", json={"body": comment})
        fields = {"state_event": "close", "description": body}
        self._client.rest.request("PUT", f"{self._requests}/{number}", json=fields, repeatable=True)

    def failed_checks(self, pull: PullRequest) -> tuple[str, ...]:
        """See `ForgePort.failed_checks`: the jobs of the newest pipeline that may not fail."""
        pipelines = list(self._client.listed(f"{self._requests}/{pull.number}/pipelines", {}))
        mine = [one for one in pipelines if one.get("sha") == pull.revision]
        newest = max(mine, key=lambda one: int(one.get("id", 0)), default={})
        if newest.get("status") not in ("failed", "canceled"):
            return ()
        jobs = self._client.listed(f"{self._root}/pipelines/{newest.get('id')}/jobs", {})
        failed = tuple(
            str(job.get("name"))
            for job in jobs
            if job.get("status") in ("failed", "canceled") and not job.get("allow_failure")
        )
        return failed or (f"pipeline {newest.get('id')}",)

    def last_word(self, number: int) -> Untrusted | None:
        """See `ForgePort.last_word`: notes that people wrote, not those of the system."""
        query = {"sort": "desc", "order_by": "created_at"}
        for note in self._client.listed(f"{self._requests}/{number}/notes", query, PAGES):
            if not note.get("system") and (note.get("body") or "").strip():
                who = (note.get("author") or {}).get("username", "somebody")
                return Untrusted(text=note["body"], source=f"{NAME} merge request {number}, {who}")
        return None

    def disconnect(self) -> None:
        """See `ForgePort.disconnect`."""
        self._client.rest.close()

    def check(self, base: str) -> str:
        """See `ForgePort.check`."""
        seen = self._client.description(self._root, "path_with_namespace")
        path = seen["path_with_namespace"]
        if seen.get("archived"):
            raise Refused(NAME, f"{path} is archived: nothing can be merged", f"Check {FIELD}.project")
        if seen.get("merge_requests_access_level") == "disabled":
            raise Refused(NAME, f"{path} takes no merge requests", "Switch merge requests on for the project")
        rights = seen.get("permissions") or {}
        held = [rights.get(kind) for kind in ("project_access", "group_access")]
        levels = [one["access_level"] for one in held if isinstance(one, dict) and "access_level" in one]
        if rights and max(levels, default=0) < _DEVELOPER:
            raise Refused(
                NAME,
                f"the token may not write to {path}",
                "Give the token of EVERCREW_FORGE_TOKEN the scope api and its user the role Developer",
            )
        try:
            self._client.rest.get(f"{self._root}/repository/branches/{escaped(base)}")
        except NotFound as error:
            raise Refused(NAME, f"{path} has no branch {base!r}", "Check values.branch") from error
        return f"{NAME}: {path} takes merge requests to {base}"

    def _pull(self, one: Mapping[str, Any]) -> PullRequest:
        if not isinstance(one, dict) or one.get("state") not in _STATES:
            raise DependencyLied(NAME, "what answers is no merge request", f"Check {FIELD}.url")
        state = _STATES[one["state"]]
        found = one.get("detailed_merge_status") or ""
        # A fast-forward merge makes no commit: the branch's own is the one that lands.
        landed = one.get("merge_commit_sha") or one.get("squash_commit_sha") or one.get("sha") or ""
        return self._client.pull(
            {
                "number": one.get("iid"),
                "url": one.get("web_url"),
                "branch": one.get("source_branch"),
                "state": state,
                "revision": one.get("sha"),
                "body": one.get("description") or "",
                "merged_as": landed if state is State.MERGED else "",
                "conflicts": found == "conflict" or bool(one.get("has_conflicts")),
                "behind": found == "need_rebase",
                "blocked": found in _BLOCKED,
            }
        )


def _is_ours(one: Mapping[str, Any]) -> bool:
    """A fork may have a branch of any name: only the project's own count."""
    mine = one.get("source_project_id") == one.get("target_project_id")
    return mine and str(one.get("source_branch", "")).startswith(OURS)
