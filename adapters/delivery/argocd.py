"""Delivery by Argo CD, over its REST API (``/api/v1``): it applies what git says, and is never believed that it did.

Desired state changes by git only. With automated sync Argo CD applies a commit by itself: it is refreshed and waited
for. Without, `sync` asks it to apply exactly the newest commit. There is no rollback here, for Argo CD refuses one
while automated sync is on, and otherwise leaves git and cluster apart: what is taken back is reverted in git.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from adapters.delivery.argocd_client import FIELD, NAME, ArgoClient, PermissionDenied
from adapters.delivery.argocd_state import KEY_INFO, Application, Resource, RevisionMetadata, Tree, parsed, same
from adapters.delivery.argocd_watch import Watch
from adapters.delivery.base import EFFECT_SYNC, OperationFailed, RolloutPort, Superseded, Tell, silent
from adapters.delivery.local import LiveSource
from adapters.delivery.waiting import until
from adapters.rest import Endpoint, NotFound
from domain.candidate import LiveState
from domain.clock import Clock
from domain.errors import ConfigurationError, ConflictError, DependencyLied, InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

_BUSY = "operation is already in progress"
# Argo CD's names for the newest commit of the default branch.
_DEFAULT_BRANCH = frozenset({"", "HEAD"})


class ArgoCdDelivery:
    """`DeliveryPort` and `SyncPort` on one application.

    Args:
        endpoint: Argo CD's address with a token, or with username and password of an account that may log in.
        platform: the platform's own word, without which nothing is live.
        application: its name; `app_namespace` where it is not Argo CD's own, `project` for clear answers when it is
            missing (without it Argo CD answers 403 to hide what is there).
        repository, branch, path: what the application is expected to follow; empty is not compared.
        rollout: where the application has one; it is asked too while something is waited for.
        grace: how long Argo CD may say Degraded or ComparisonError before it is believed.
        refresh: how often it is made to look at the repository while something is waited for.
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        platform: LiveSource,
        permits: PermitVerifier,
        clock: Clock,
        application: str,
        app_namespace: str = "",
        project: str = "",
        repository: str = "",
        branch: str = "",
        path: str = "",
        rollout: RolloutPort | None = None,
        grace: timedelta = timedelta(seconds=20),
        refresh: timedelta = timedelta(seconds=5),
    ) -> None:
        self._client = ArgoClient(endpoint, clock=clock)
        self._platform = platform
        self._permits = permits
        self._clock = clock
        self._name = application
        self._namespace = app_namespace
        self._project = project
        self._repository = repository
        self._branch = branch
        self._path = path
        self._rollout = rollout
        self._grace = grace
        self._refresh = refresh

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def live(self) -> LiveState:
        """See `DeliveryPort.live`."""
        return self._platform.live()

    def wait_until(
        self, revision: str, *, digest: str | None, timeout: timedelta, poll: timedelta, tell: Tell = silent
    ) -> LiveState:
        """See `DeliveryPort.wait_until`. Live is what Argo CD says is Synced and Healthy, and the platform serves.

        Raises:
            Degraded, OperationFailed, ComparisonFailed: it was tried and did not work.
            StillProgressing, NotSynced, NotLive: it did not come in time, and why.
            Superseded: the application moved on to another commit.
            PermissionDenied, Unauthenticated, ConfigurationError: nobody can tell.
        """
        watch = Watch(
            self,
            self._platform,
            self._clock,
            revision,
            digest,
            timeout,
            grace=self._grace,
            refresh=self._refresh,
            rollout=self._rollout,
        )
        return until(watch.look, watch.late, clock=self._clock, timeout=timeout, poll=poll, tell=tell)

    # -- reads -----------------------------------------------------------------------------------------------------

    def application(self, *, refresh: bool = False) -> Application:
        """Return sync status, health, operation and history; `refresh` looks at the repository first.

        Raises:
            ConfigurationError: there is no such application. Otherwise as `RestClient.request`.
        """
        answer = self._get("", {"refresh": "normal"} if refresh else {})
        found = parsed(Application, answer, f"application {self._name}")
        if found.metadata.name != self._name:
            raise DependencyLied(NAME, f"asked for application {self._name!r}, it told of {found.metadata.name!r}")
        return found

    def resources(self) -> tuple[Resource, ...]:
        """Return the resource tree."""
        return parsed(Tree, self._get("/resource-tree", {}), "the resource tree").nodes

    def metadata(self, revision: str) -> RevisionMetadata:
        """Return author and date of a commit, as Argo CD sees it."""
        answer = self._get(f"/revisions/{quote(revision, safe='')}/metadata", {})
        return parsed(RevisionMetadata, answer, f"revision {revision[:12]}")

    def place(self, app: Application) -> int:
        """Return which source of the application holds the values."""
        return app.place(self._repository)

    # -- the effect ------------------------------------------------------------------------------------------------

    def sync(self, revision: str, *, key: str, permit: Permit | None) -> bool:
        """See `SyncPort.sync`."""
        self._permits.spend(permit, effect=EFFECT_SYNC, key=key)
        if self._asked_with(key, self.application()) is not None:
            return True
        app = self.application(refresh=True)
        if app.automated:
            return False
        newest, synced = app.status.sync.at(self.place(app)), app.status.sync.status == "Synced"
        if newest != revision and (synced or not newest):
            # In sync with something else: more likely an old copy of the repository than somebody's later commit.
            raise ConflictError(
                f"{NAME}: it is at {newest[:12] or 'no revision'}, and has not seen {revision[:12]} yet"
            )
        if newest != revision:
            raise Superseded(f"{NAME}: {revision[:12]} is superseded by {newest[:12]}; only the newest is applied")
        if synced:
            return False
        self._ask_sync(app, revision, key)
        return True

    def observe(self, key: str) -> Observation:
        """See `SyncPort.observe`. Asking again is safe, for `sync` applies nothing but the newest commit."""
        app = self.application()
        revision = self._asked_with(key, app)
        if revision is None:
            return Observation.absent("the application's last operation was not asked for with this key")
        return Observation.done({"revision": revision, "phase": app.status.state.phase})

    def check(self) -> str:
        """See `DeliveryPort.check`."""
        version = self._client.version()
        user = self._client.user()
        app = self.application()
        self._check_source(app)
        if not app.automated and not self._client.may("sync", app.spec.project, self._name):
            raise PermissionDenied(
                NAME,
                f"automated sync of {self._name!r} is off and {user!r} may not sync it",
                f"Allow applications, sync, {app.spec.project}/{self._name} in Argo CD's RBAC, or automate the sync",
            )
        live = self.live()
        status = app.status
        return (
            f"{NAME}: {version}, {self._name} is {status.sync.status} and {status.health.status}, automated sync is "
            f"{'on' if app.automated else 'off'}; revision {live.revision[:12]} is live"
        )

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _ask_sync(self, app: Application, revision: str, key: str) -> None:
        place, many = self.place(app), len(app.sources) > 1
        exactly: dict[str, Any] = {"revision": revision}
        if many:
            exactly = {"revisions": [revision], "sourcePositions": [str(place + 1)]}
        body = {"name": self._name, **self._scope(), **exactly, "infos": [{"name": KEY_INFO, "value": key}]}
        try:
            self._client.request("POST", f"{self._base}/sync", json=body)
        except NotFound as error:
            raise self._missing() from error
        except InvalidInput as error:
            if _BUSY in error.problem:
                raise ConflictError(f"{NAME}: another operation of {self._name!r} is in progress") from error
            raise OperationFailed(NAME, error.problem, "See the application's page in Argo CD") from error

    def _asked_with(self, key: str, app: Application) -> str | None:
        """Return the revision of the operation that was asked for with the key."""
        for operation in (app.operation, app.status.state.operation):
            if operation is not None and operation.key == key:
                return operation.sync.at(0)
        return None

    def _check_source(self, app: Application) -> None:
        source = app.sources[self.place(app)]
        if self._repository and not same(source.repo, self._repository):
            raise self._elsewhere("repository", source.repo, self._repository)
        branch = source.branch.removeprefix("refs/heads/")
        if self._branch and branch not in _DEFAULT_BRANCH | {self._branch}:
            raise self._elsewhere("branch", branch, self._branch)
        if self._path and PurePosixPath(source.path or ".") != PurePosixPath(self._path):
            raise self._elsewhere("path", source.path, self._path)

    def _elsewhere(self, what: str, theirs: str, ours: str) -> ConfigurationError:
        return ConfigurationError(
            f"{FIELD}.application",
            f"{self._name!r} follows {what} {theirs!r}, our commits go to {ours!r}",
            f"Point the application at the {what} of the values, or name the application that follows it",
        )

    @property
    def _base(self) -> str:
        return f"/api/v1/applications/{quote(self._name, safe='')}"

    def _scope(self) -> dict[str, str]:
        named = {"appNamespace": self._namespace, "project": self._project}
        return {name: value for name, value in named.items() if value}

    def _get(self, path: str, params: dict[str, str]) -> Any:
        try:
            return self._client.get(f"{self._base}{path}", {**params, **self._scope()})
        except NotFound as error:
            raise self._missing() from error
        except PermissionDenied as error:
            if self._project:
                raise
            raise PermissionDenied(
                NAME,
                f"permission denied for {self._name!r}, or it does not exist: without delivery.project Argo CD answers "
                "both alike",
                f"Set delivery.project, and allow applications, get, PROJECT/{self._name} in Argo CD's RBAC",
            ) from error

    def _missing(self) -> ConfigurationError:
        where = f" of project {self._project!r}" if self._project else ""
        return ConfigurationError(
            f"{FIELD}.application",
            f"Argo CD has no application {self._name!r}{where}",
            "Check the template of the name, delivery.project and delivery.app_namespace",
        )
