"""GitLab's REST API (v4) as far as merge requests need it, with the documented field names and answers."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from tests.stubs.forge.repository import Style
from tests.stubs.forge.server import Answer, Asked, ForgeStub, Proposed

_STATES = {"open": "opened", "closed": "closed", "merged": "merged"}


class GitLabStub(ForgeStub):
    """Its rebase is a fast-forward where that is possible, which makes no commit of its own."""

    forwards = True
    requests_off = False

    @property
    def prefix(self) -> str:  # type: ignore[override]
        return f"/api/v4/projects/{quote(self.project, safe='')}"

    def merge_message(self, one: Proposed, style: Style) -> str:
        see = f"See merge request {self.project}!{one.number}"
        if style == "merge":
            return f"Merge branch '{one.branch}' into '{one.base}'\n\n{one.title}\n\n{see}"
        return one.title if self.blank else f"{one.title}\n\n{one.body}"

    def allows(self, headers: dict[str, str]) -> tuple[bool, bool]:
        said = headers.get("private-token", headers.get("authorization", "").removeprefix("Bearer "))
        return said in (self.token, self.reader), said == self.token

    def wrong(self, status: int) -> Any:
        words = {401: "401 Unauthorized", 403: "403 Forbidden", 404: "404 Project Not Found"}
        return {"message": words[status]}

    def answer(self, asked: Asked) -> Answer:
        match asked.method, asked.path.split("/")[1:]:
            case "GET", []:
                return 200, self._project()
            case "GET", ["repository", "branches", *name]:
                tip = self.bare.tip("/".join(name))
                found = {"name": "/".join(name), "commit": {"id": tip}}
                return (200, found) if tip else (404, {"message": "404 Branch Not Found"})
            case "GET", ["merge_requests"]:
                return 200, [self._request(one) for one in self._listed(asked.query)]
            case "POST", ["merge_requests"]:
                return self._open(asked.body)
            case "GET", ["pipelines", number, "jobs"]:
                checks = self.one(int(number)).checks
                return 200, [{"name": name, "status": end, "allow_failure": False} for name, end in checks.items()]
            case method, ["merge_requests", number, *rest] if re.fullmatch(r"\d+", number):
                one = next((one for one in self.proposed if one.number == int(number)), None)
                return (404, {"message": "404 Not found"}) if one is None else self._one(method, one, rest, asked)
        return 404, {"error": "404 Not Found"}

    def _one(self, method: str, one: Proposed, rest: list[str], asked: Asked) -> Answer:
        match method, rest:
            case "GET", []:
                self.looked(one)
                return 200, self._request(one)
            case "PUT", []:
                one.body = asked.body.get("description", one.body)
                if asked.body.get("state_event") == "close" and one.state == "open":
                    one.state = "closed"
                return 200, self._request(one)
            case "POST", ["notes"]:
                one.comments.append(("evercrew", asked.body["body"], self.minute()))
                return 201, self._notes(one)[0]
            case "GET", ["notes"]:
                return 200, self._notes(one)
            case "GET", ["pipelines"]:
                return 200, self._pipelines(one)
        return 404, {"error": "404 Not Found"}

    def _project(self) -> dict[str, Any]:
        level = 30 if self.seen[-1][2].get("authorization", "").endswith(self.token) else 20
        return {
            "id": 7,
            "path_with_namespace": self.project,
            "archived": self.archived,
            "merge_requests_access_level": "disabled" if self.requests_off else "enabled",
            "permissions": {"project_access": {"access_level": level}, "group_access": None},
        }

    def _listed(self, query: dict[str, str]) -> list[Proposed]:
        return [
            one
            for one in reversed(self.proposed)
            if query.get("source_branch", one.branch) == one.branch
            and query.get("target_branch", one.base) == one.base
            and query.get("state", "all") in ("all", _STATES[one.state])
        ]

    def _open(self, body: dict[str, Any]) -> Answer:
        branch = body["source_branch"]
        there = [one for one in self.proposed if one.branch == branch and one.state == "open" and not one.fork]
        if there:
            words = f"Another open merge request already exists for this source branch: !{there[0].number}"
            return 409, {"message": [words]}
        if not self.bare.tip(branch):
            return 400, {"message": {"source_branch": ["does not exist"]}}
        one = Proposed(
            len(self.proposed) + 1, branch, body["target_branch"], body["title"], body.get("description", "")
        )
        self.proposed.append(one)
        return 201, self._request(one)

    def _request(self, one: Proposed) -> dict[str, Any]:
        merged = one.state == "merged"
        return {
            "id": 100 + one.number,
            "iid": one.number,
            "project_id": 7,
            "source_project_id": 8 if one.fork else 7,
            "target_project_id": 7,
            "web_url": f"https://gitlab.test/{self.project}/-/merge_requests/{one.number}",
            "state": _STATES[one.state],
            "title": one.title,
            "description": one.body,
            "source_branch": one.branch,
            "target_branch": one.base,
            "sha": self.bare.tip(one.branch),
            "merge_commit_sha": one.made if merged and one.style == "merge" else None,
            "squash_commit_sha": one.made if merged and one.style == "squash" else None,
            "has_conflicts": one.state == "open" and self.conflicts(one),
            "detailed_merge_status": self._status(one),
        }

    def _status(self, one: Proposed) -> str:
        if one.state != "open":
            return "not_open"
        if one.asked < 2:
            return "checking"
        if self.conflicts(one):
            return "conflict"
        if self.behind(one):
            return "need_rebase"
        return "ci_must_pass" if one.checks else "mergeable"

    def _pipelines(self, one: Proposed) -> list[dict[str, Any]]:
        if not one.checks:
            return []
        results = set(one.checks.values())
        status = "running" if "running" in results else ("failed" if "failed" in results else "success")
        return [{"id": one.number, "sha": self.bare.tip(one.branch), "status": status}]

    def _notes(self, one: Proposed) -> list[dict[str, Any]]:
        """Newest first, with what the system notes by itself in front."""
        people = [
            {"body": words, "author": {"username": who}, "system": False, "created_at": at}
            for who, words, at in reversed(one.comments)
        ]
        return [{"body": one.state, "author": {"username": "root"}, "system": True, "created_at": ""}, *people]
