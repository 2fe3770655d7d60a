"""What Argo CD tells of an application, as far as it is used; see `v1alpha1Application` in its API's specification."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from pydantic import AliasChoices, Field, ValidationError

from adapters.delivery.part import Part
from domain.errors import ConfigurationError, DependencyLied

NAME = "argocd"
KEY_INFO = "evercrew-key"


class Source(Part):
    repo: str = Field(default="", validation_alias=AliasChoices("repoURL", "repo"))
    branch: str = Field(default="", validation_alias=AliasChoices("targetRevision", "branch"))
    path: str = ""


class Info(Part):
    name: str = ""
    value: str = ""


class Revised(Part):
    """Something at a revision; `revisions` holds one for each source of an application with several."""

    revision: str = ""
    revisions: tuple[str, ...] = ()

    def at(self, place: int) -> str:
        """Return the revision of the source at `place`, empty where it is not known."""
        if self.revisions:
            return self.revisions[place] if place < len(self.revisions) else ""
        return self.revision


class Sync(Revised):
    status: str = "Unknown"


class Operation(Part):
    sync: Sync = Sync()
    info: tuple[Info, ...] = ()

    @property
    def key(self) -> str:
        """The idempotency key it was asked for with, empty where it was not asked for by us."""
        return next((info.value for info in self.info if info.name == KEY_INFO), "")


class Health(Part):
    status: str = "Unknown"
    message: str = ""


class Resource(Part):
    """A resource of the application, a node of its tree, or what a sync did with one."""

    kind: str = ""
    name: str = ""
    status: str = ""
    message: str = ""
    health: Health | None = None
    hook_type: str = Field(default="", alias="hookType")
    hook_phase: str = Field(default="", alias="hookPhase")

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class SyncResult(Revised):
    resources: tuple[Resource, ...] = ()


class OperationState(Part):
    phase: str = ""
    message: str = ""
    operation: Operation = Operation()
    result: SyncResult = Field(default=SyncResult(), alias="syncResult")


class Condition(Part):
    type: str = ""
    message: str = ""


class Deployed(Revised):
    id: int = 0


class Status(Part):
    sync: Sync = Sync()
    health: Health = Health()
    conditions: tuple[Condition, ...] = ()
    state: OperationState = Field(default=OperationState(), alias="operationState")
    history: tuple[Deployed, ...] = ()


class _Automated(Part):
    enabled: bool = True


class _Policy(Part):
    automated: _Automated | None = None


class _Spec(Part):
    project: str = ""
    source: Source = Source()
    sources: tuple[Source, ...] = ()
    policy: _Policy = Field(default=_Policy(), alias="syncPolicy")


class _Metadata(Part):
    name: str


class Application(Part):
    """An application."""

    metadata: _Metadata
    spec: _Spec
    status: Status = Status()
    operation: Operation | None = None

    @property
    def automated(self) -> bool:
        """Whether it applies new commits by itself."""
        return self.spec.policy.automated is not None and self.spec.policy.automated.enabled

    @property
    def sources(self) -> tuple[Source, ...]:
        return self.spec.sources or (self.spec.source,)

    def place(self, repository: str) -> int:
        """Return which of the sources is `repository` (any, where there is one source only).

        Raises:
            ConfigurationError: there are several, and none or more than one is it.
        """
        if len(self.sources) == 1:
            return 0
        places = [i for i, source in enumerate(self.sources) if repository and same(source.repo, repository)]
        if len(places) != 1:
            raise ConfigurationError(
                "values.remote",
                f"application {self.metadata.name!r} has {len(self.sources)} sources, {len(places)} of them this one",
                "Name the repository of the values as the application does",
            )
        return places[0]


class Tree(Part):
    nodes: tuple[Resource, ...] = ()


class RevisionMetadata(Part):
    author: str = ""
    date: datetime | None = None


T = TypeVar("T", bound=Part)


def parsed(form: type[T], answer: object, what: str) -> T:
    """Return the answer as `form`; raises DependencyLied naming the field."""
    try:
        return form.model_validate(answer)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, problem["loc"])) or "(all)"
        raise DependencyLied(
            NAME, f"{what}: field {field}: {problem['msg']}", "Check that this version of Argo CD is supported"
        ) from error


def unwell(nodes: Sequence[Resource], status: str) -> str:
    """Return the resources in this state of health with what they say, `""` when there is none."""
    found = [node for node in nodes if node.health is not None and node.health.status == status]
    return "; ".join(f"{n}: {n.health.message or status}" for n in found[:3] if n.health is not None)


def same(one: str, other: str) -> bool:
    """Return whether two addresses mean one repository: https, ssh and scp-like spellings of host and path."""
    return _host_and_path(one) == _host_and_path(other)


def _host_and_path(address: str) -> str:
    scheme, found, rest = address.strip().rpartition("://")
    if not found and ":" in rest and "/" not in rest.split(":", 1)[0]:
        rest = rest.replace(":", "/", 1)
    elif not found:
        return rest.rstrip("/").removesuffix(".git")
    host, _, path = rest.partition("/")
    name = host.rpartition("@")[2].partition(":")[0].lower() if scheme != "file" else ""
    return f"{name}/{path.strip('/').removesuffix('.git')}"
