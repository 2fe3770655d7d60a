"""The doctor: asks every connection how it is, and passes on how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from domain.actor import Role
from domain.errors import ASK_THE_DOCTOR, DependencyError, DependencyUnavailable, EvercrewError, IntegrityError
from domain.permit import PermitOffice
from service.access.checks import access_check
from service.auditing import audit_server
from service.backup import objects_of
from service.clocks import addresses, compared
from service.config import load_config
from service.consents import deciders
from service.contracts import contract_of
from service.notices.check import checks as notice_checks
from service.profile import profile_of
from service.schedules import scheduler_of
from service.settings import Settings
from service.site import Site
from service.trainers import confinement_required, h2o_of, studio_of, workers
from service.webhooks.check import serve_check
from service.wiring import App, build

REMEDIES = {
    "platform": "Start the platform, or mend platform.url",
    "metrics": "Start what is asked for metrics, or mend metrics.url and metrics.kind",
    "values": "Mend values.remote, values.branch and values.path, or give git access to it",
    "live": "Start the platform, or mend platform.url",
    "models": "Start MLflow, or mend tracking.uri",
    "datasets": "Make the folder of datasets.remote, or mend it",
    "training": "Check that jobs.train can be imported and that the machine has the memory of jobs.memory_mib",
    "evaluation": "Mend evaluation.sealed: the file must be readable by this user",
    "sandbox": "Install bubblewrap, let it work here (as an ordinary user: user namespaces), and check jobs.score",
    "store": "Mend store_url, or make the folder of `state` writable",
    "traces": "Mend EVERCREW_TRACES and what it needs (tracking.uri, LANGSMITH_*, EVERCREW_OTLP_*), or set it to none",
    "clock": "Let NTP set the clock of the machine that is wrong",
    "notify": "Make the folder of `state` writable",
    "audit": "Keep the file as it is, compare its head with one noted elsewhere, and restore `state` from a backup",
    "model": "Check OPENAI_BASE_URL, OPENAI_API_KEY, EVERCREW_MODEL and EVERCREW_MODEL_TIMEOUT_S; without a key the "
    "playbook answers",
}


class Finding(BaseModel):
    """One connection."""

    model_config = ConfigDict(frozen=True)

    name: str
    ok: bool
    detail: str


def examine(app: App, known: Mapping[str, Finding] | None = None) -> list[Finding]:
    """Return a finding for every connection: what is `known` of it already, or else what it says now.

    Those of a further target are called ``<target>.<connection>``.
    """
    known = known or {}
    checks = _checks(app, contract="contract" not in known)
    first = [known.get(name) or _asked(name, check) for name, check in checks]
    return first + [found for target in app.targets[1:] for found in of_target(app, target)]


def diagnosed(config: Path, settings: Settings) -> list[Finding]:
    """Build what the file names, look at it, and take it down; what cannot even be built is the one finding.

    Where the contract cannot be used, the packaged one stands in for it, so that everything else is looked at too.
    """
    known: dict[str, Finding] = {}
    try:
        loaded = load_config(config)
        profile = profile_of(loaded)
        try:
            contract_of(loaded, profile)
        except EvercrewError as problem:
            told = Finding(name="contract", ok=False, detail=str(problem))
            known, loaded = {told.name: told}, loaded.model_copy(update={"contract": None})
            contract_of(loaded, profile)
        app = build(loaded, settings, workflow=False)
    except EvercrewError as problem:
        found = Finding(name="configuration", ok=False, detail=str(problem))
        return [*known.values(), found]
    try:
        return examine(app, known)
    finally:
        app.close()


def _checks(app: App, *, contract: bool = True) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield what is looked at; `contract` says whether the application's contract is its own."""
    ports = app.ports
    signals = f"{len(app.contract.signals)} signals" if contract else "signals not known"
    yield "policies", lambda: f"{signals}, profile {app.profile.name}, {app.policies.check()}"
    yield from _own(app)
    yield "store", ports.store.check
    yield "ledger", lambda: _ledger(app)
    yield "approvals", lambda: deciders(app.office.consent, app.profile)
    yield "access", lambda: access_check(app)
    yield "serve", lambda: serve_check(app)
    yield "audit", lambda: _audited(app)
    yield "traces", app.traces.check
    yield "notify", ports.notify.check
    yield "schedules", lambda: scheduler_of(app).check()
    yield "clock", lambda: compared(addresses(app.config), app.clock)
    yield from _optional(app)
    yield "model", lambda: app.chat(Role.SUPERVISOR).check()


def of_target(app: App, target: str) -> Iterator[Finding]:
    """Return a finding for every connection of a further target; one that cannot be opened is the one finding."""
    try:
        there = app.at(target)
    except EvercrewError as problem:
        yield Finding(name=target, ok=False, detail=str(problem))
        return
    for name, check in _own(there):
        found = _asked(name, check)
        yield found.model_copy(update={"name": f"{target}.{name}"})


def _own(app: App) -> Iterator[tuple[str, Callable[[], str]]]:
    """What each target has for itself."""
    ports = app.ports
    yield "contract", app.rules.check
    yield "platform", ports.platform.check
    yield "metrics", ports.metrics.check
    yield "values", ports.vcs.check
    yield "live", ports.delivery.check
    yield "models", ports.tracking.check
    yield "datasets", ports.datasets.check
    yield "jobs", lambda: _jobs(app)
    yield "training", ports.training.check
    yield "evaluation", lambda: _sealed(app)
    yield "sandbox", ports.sandbox.check
    yield "logs", ports.logs.check
    yield from _systems(app)


def _audited(app: App) -> str:
    """Walk the chain, and say who signs it; a key that signs nothing is a fault."""
    count, covered = app.audit.vouched()
    where = audit_server(app.audit)
    return f"{count} records, the chain is whole{where}; {app.audit.signer()}, up to record {covered}"


def _systems(app: App) -> Iterator[tuple[str, Callable[[], str]]]:
    """Systems of a target that need not be there are asked where they are configured."""
    config, ports = app.config, app.ports
    if ports.rollout is not None:
        yield "rollout", ports.rollout.check
    if config.alertmanager is not None:
        yield "alertmanager", ports.silences.check
    if config.grafana is not None:
        yield "grafana", ports.annotations.check
    if config.costs is not None:
        yield "costs", ports.costs.check
    if config.vectors is not None:
        yield "vectors", ports.vectors.check
    if config.h2o is not None:
        yield "h2o", lambda: _h2o(app)
    if config.llm_studio is not None:
        yield "llm_studio", lambda: studio_of(_site(app)).check()
    if config.feedback is not None:
        yield "feedback", ports.feedback.check
    if config.search is not None:
        yield "search", ports.search.check


def _optional(app: App) -> Iterator[tuple[str, Callable[[], str]]]:
    """What all targets share, where it is configured."""
    if app.config.backup is not None:
        yield "backup", objects_of(app.config.backup).check
    yield from notice_checks(app)


def _site(app: App) -> Site:
    return Site(app.config, app.settings, PermitOffice(app.clock), app.clock, ExitStack())


def _h2o(app: App) -> str:
    learner = h2o_of(_site(app), workers(app.clock, required=confinement_required(app.config)), ())
    return learner.check() if learner is not None else "h2o: none configured"


def _ledger(app: App) -> str:
    return app.office.purse.ledger.check() if app.office.purse is not None else "ledger: none, nothing is counted"


def _jobs(app: App) -> str:
    """Return whose code trains, scores and explains."""
    jobs = app.config.jobs
    named = {"train": jobs.train, "score": jobs.score, "explain": jobs.explain, "digest": jobs.digest}
    theirs = [f"jobs.{name}" for name, code in named.items() if code.startswith("testbed.")]
    said = ", ".join(f"{name} {code}" for name, code in named.items())
    return f"{said}; name your own in {', '.join(theirs)}: these are the testbed's" if theirs else said


def _sealed(app: App) -> str:
    sealed = app.config.evaluation.sealed
    if not sealed.is_file():
        raise DependencyUnavailable("evaluation", f"there is no {sealed.name} in the folder that is configured")
    return app.ports.evaluation.check()


def _asked(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name=name, ok=True, detail=check())
    except EvercrewError as problem:
        return Finding(name=name, ok=False, detail=_mended(name, problem))


def _mended(name: str, problem: EvercrewError) -> str:
    """Return what is wrong and how to mend it; an error that only knows to ask the doctor gets the doctor's answer."""
    if isinstance(problem, IntegrityError):
        return f"{problem}. {REMEDIES.get(name, '')}".rstrip()
    if isinstance(problem, DependencyError) and problem.remedy == ASK_THE_DOCTOR:
        return f"{problem.problem}. {REMEDIES.get(name, 'See the documentation of this connection')}"
    return str(problem)
