"""GitHub's REST API as far as pull requests need it, with the documented field names and answers."""

from __future__ import annotations

import re
from typing import Any

from tests.stubs.forge.repository import Style
from tests.stubs.forge.server import Answer, Asked, ForgeStub, Proposed

_DOCS = "https://docs.github.com/rest"


class GitHubStub(ForgeStub):
    """`prefix` is the repository's own part of the API."""

    @property
    def prefix(self) -> str:  # type: ignore[override]
        return f"/repos/{self.project}"

    def merge_message(self, one: Proposed, style: Style) -> str:
        """The default messages: a squash of one commit takes that commit's, a merge says which branch it was."""
        owner = self.project.split("/")[0]
        if style == "merge":
            return f"Merge pull request #{one.number} from {owner}/{one.branch}\n\n{one.title}"
        if self.blank:
            return f"{one.title} (#{one.number})"
        title, _, rest = self.bare.git("log", "-1", "--format=%B", self.bare.tip(one.branch)).partition("\n")
        return f"{title} (#{one.number})\n{rest}"

    def allows(self, headers: dict[str, str]) -> tuple[bool, bool]:
        said = headers.get("authorization", "").removeprefix("Bearer ")
        return said in (self.token, self.reader), said == self.token

    def wrong(self, status: int) -> Any:
        words = {401: "Bad credentials", 403: "Resource not accessible by personal access token", 404: "Not Found"}
        return {"message": words[status], "documentation_url": _DOCS, "status": str(status)}

    def answer(self, asked: Asked) -> Answer:
        match asked.method, asked.path.split("/")[1:]:
            case "GET", []:
                return 200, self._repository()
            case "GET", ["branches", *name]:
                tip = self.bare.tip("/".join(name))
                return (200, {"name": "/".join(name), "commit": {"sha": tip}}) if tip else (404, self.wrong(404))
            case "GET", ["pulls"]:
                return 200, [self._pull(one, single=False) for one in self._listed(asked.query)]
            case "POST", ["pulls"]:
                return self._open(asked.body)
            case "GET", ["commits", sha, ("check-runs" | "status") as kind]:
                return (403, self.wrong(403)) if self.hides_checks else (200, self._checks(sha, kind))
            case method, ["pulls" | "issues" as kind, number, *rest] if re.fullmatch(r"\d+", number):
                one = next((one for one in self.proposed if one.number == int(number)), None)
                return (404, self.wrong(404)) if one is None else self._one(method, kind, one, rest, asked)
        return 404, self.wrong(404)

    def _one(self, method: str, kind: str, one: Proposed, rest: list[str], asked: Asked) -> Answer:
        match method, kind, rest:
            case "GET", "pulls", []:
                self.looked(one)
                return 200, self._pull(one, single=True)
            case "PATCH", "pulls", []:
                one.body = asked.body.get("body", one.body)
                one.state = asked.body.get("state", one.state) if one.state != "merged" else one.state
                return 200, self._pull(one, single=True)
            case "POST", "issues", ["comments"]:
                one.comments.append(("evercrew", asked.body["body"], self.minute()))
                return 201, self._comment(*one.comments[-1], "created_at")
            case "GET", "issues", ["comments"]:
                return 200, [self._comment(*said, "created_at") for said in one.comments if said[0] != "reviewer"]
            case "GET", "pulls", ["reviews"]:
                return 200, [self._comment(*said, "submitted_at") for said in one.comments if said[0] == "reviewer"]
        return 404, self.wrong(404)

    def _repository(self) -> dict[str, Any]:
        writes = self.seen[-1][2].get("authorization", "").endswith(self.token)
        return {
            "id": 1,
            "full_name": self.project,
            "archived": self.archived,
            "default_branch": "main",
            "permissions": {"admin": False, "push": writes, "pull": True},
        }

    def _listed(self, query: dict[str, str]) -> list[Proposed]:
        head = query.get("head", ":").split(":", 1)[1]
        return [
            one
            for one in reversed(self.proposed)
            if (not head or one.branch == head)
            and query.get("base", one.base) == one.base
            and (query.get("state", "open") == "all" or one.state == "open")
        ]

    def _open(self, body: dict[str, Any]) -> Answer:
        owner = self.project.split("/")[0]
        if not self.bare.tip(body["head"]):
            problem = {"resource": "PullRequest", "field": "head", "code": "invalid"}
            return 422, {"message": "Validation Failed", "errors": [problem], "documentation_url": _DOCS}
        if any(one.branch == body["head"] and one.state == "open" and not one.fork for one in self.proposed):
            words = f"A pull request already exists for {owner}:{body['head']}."
            problem = {"resource": "PullRequest", "code": "custom", "message": words}
            return 422, {"message": "Validation Failed", "errors": [problem], "documentation_url": _DOCS}
        one = Proposed(len(self.proposed) + 1, body["head"], body["base"], body["title"], body.get("body", ""))
        self.proposed.append(one)
        return 201, self._pull(one, single=True)

    def _pull(self, one: Proposed, *, single: bool) -> dict[str, Any]:
        owner = "stranger" if one.fork else self.project.split("/")[0]
        name = f"{owner}/{self.project.split('/')[1]}"
        merged = one.state == "merged"
        fields = {
            "number": one.number,
            "html_url": f"https://github.test/{self.project}/pull/{one.number}",
            "state": "open" if one.state == "open" else "closed",
            "title": one.title,
            "body": one.body,
            "merged_at": "2026-01-01T00:00:00Z" if merged else None,
            # An open one names the commit that tries the merge; it is on no branch.
            "merge_commit_sha": one.made if merged else "f" * 40,
            "head": {"ref": one.branch, "sha": self.bare.tip(one.branch) or "0" * 40, "repo": {"full_name": name}},
            "base": {"ref": one.base, "sha": self.bare.tip(one.base), "repo": {"full_name": self.project}},
        }
        return {**fields, "merged": merged, **self._mergeable(one)} if single else fields

    def _mergeable(self, one: Proposed) -> dict[str, Any]:
        """Worked out in the background: the first answer does not know yet."""
        if one.state != "open" or one.asked < 2:
            return {"mergeable": None, "mergeable_state": "unknown"}
        if self.conflicts(one):
            return {"mergeable": False, "mergeable_state": "dirty"}
        if self.behind(one):
            return {"mergeable": True, "mergeable_state": "behind"}
        return {"mergeable": True, "mergeable_state": "blocked" if one.checks else "clean"}

    def _checks(self, sha: str, kind: str) -> dict[str, Any]:
        checks = next((one.checks for one in self.proposed if self.bare.tip(one.branch) == sha), {})
        if kind == "status":
            return {"state": "success", "statuses": [], "total_count": 0}
        runs = [
            {
                "name": name,
                "status": "in_progress" if result == "running" else "completed",
                "conclusion": None if result == "running" else result,
            }
            for name, result in checks.items()
        ]
        return {"total_count": len(runs), "check_runs": runs}

    def _comment(self, who: str, words: str, at: str, time: str) -> dict[str, Any]:
        return {"user": {"login": who}, "body": words, time: at}
