"""A small reader of the Kubernetes API: custom objects by name or list, and merge patches (RFC 7386).

Every answer outside 2xx is a `Status` object; its message is kept. A merge patch that carries the resource version it
was made for is refused with 409 when the object has changed since.
"""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from adapters.rest import Endpoint, NotFound, Refused, RestClient
from domain.clock import Clock
from domain.errors import ConfigurationError, DependencyLied

Json = dict[str, Any]
_MERGE = {"Content-Type": "application/merge-patch+json"}
_JSON = {"Content-Type": "application/json"}


class KubernetesApi:
    """Asks one API server.

    Args:
        token_file: a file with the bearer token, read anew for every request (a service account's token is replaced
            every hour); used where the endpoint has no token.
        field: its section of the configuration, for errors.
    """

    def __init__(
        self, endpoint: Endpoint, *, clock: Clock, name: str, field: str, token_file: Path | None = None
    ) -> None:
        self.name = name
        self.field = field
        self._token_file = token_file if endpoint.token is None else None
        self._rest = RestClient(endpoint, name=name, field=field, clock=clock)

    def close(self) -> None:
        """Close the connections."""
        self._rest.close()

    def version(self) -> str:
        """Return the version of the server; raises DependencyLied where something else answers."""
        problem, remedy = "what answers there is not the Kubernetes API", f"Check {self.field}.url"
        try:
            found = json_format.loads(self._rest.text("GET", "/version", headers=self._headers({})))
        except (NotFound, ValueError) as error:
            raise DependencyLied(self.name, problem, remedy) from error
        except Refused as error:
            raise self._refused(error) from error
        version = found.get("gitVersion") if isinstance(found, dict) else None
        if not isinstance(version, str):
            raise DependencyLied(self.name, problem, remedy)
        return version

    def get(self, group: str, namespace: str, plural: str, name: str) -> Json:
        """Return one object; `group` with its version, e.g. ``argoproj.io/v1alpha1``. Raises NotFound."""
        return self._ask("GET", self._path(group, namespace, plural, name))

    def list(self, group: str, namespace: str, plural: str, *, labels: str = "") -> list[Json]:
        """Return the objects of a namespace that `labels` selects."""
        params = {"labelSelector": labels} if labels else None
        answer = self._ask("GET", self._path(group, namespace, plural), params=params)
        items = answer.get("items")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise DependencyLied(self.name, f"the list of {plural} has no items")
        return items

    def patch(
        self, group: str, namespace: str, plural: str, name: str, change: Mapping[str, Any], *, subresource: str = ""
    ) -> Json:
        """Merge a change into an object, or into its `subresource`, and return it.

        Raises:
            ConflictError: the object is not at the change's resource version any more.
        """
        path = self._path(group, namespace, plural, name) + (f"/{subresource}" if subresource else "")
        return self._ask("PATCH", path, content=json_format.dumps(change).encode(), headers=_MERGE)

    def may(self, verb: str, group: str, namespace: str, plural: str, *, subresource: str = "") -> bool:
        """Return whether who asks may do this, by the server's own word."""
        wanted = {"verb": verb, "group": group.split("/")[0], "namespace": namespace, "resource": plural}
        if subresource:
            wanted["subresource"] = subresource
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": wanted},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = self._ask("POST", path, content=json_format.dumps(review).encode(), headers=_JSON, repeatable=True)
        status = answer.get("status")
        return isinstance(status, dict) and status.get("allowed") is True

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
    ) -> Json:
        sent = self._headers(headers or {})
        try:
            body = self._rest.text(method, path, params=params, content=content, headers=sent, repeatable=repeatable)
        except Refused as error:
            raise self._refused(error) from error
        try:
            answer = json_format.loads(body)
        except ValueError as error:
            raise DependencyLied(self.name, f"{path} answered with something that is not JSON") from error
        if not isinstance(answer, dict):
            raise DependencyLied(self.name, f"{path} answered with something that is no object")
        return answer

    def _refused(self, error: Refused) -> Refused:
        if " answered 401:" in error.problem:
            return Refused(self.name, error.problem, f"Give {self.field} a token the API server knows")
        return Refused(self.name, error.problem, "Bind a role with this verb and resource to the service account")

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        if self._token_file is None:
            return dict(headers)
        try:
            token = self._token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            problem = f"cannot be read: {error}"
            raise ConfigurationError(f"{self.field}.token_file", problem, "Name the service account's file") from error
        return {**headers, "Authorization": f"Bearer {token}"}

    @staticmethod
    def _path(group: str, namespace: str, plural: str, name: str = "") -> str:
        path = f"/apis/{group}/namespaces/{quote(namespace, safe='')}/{plural}"
        return f"{path}/{quote(name, safe='')}" if name else path
