"""What the door, the desk and the engine stand on, for the first target of a configuration and for further ones."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.inbox.base import InboxPort
from adapters.meter import exposition
from adapters.metrics.base import MetricsPort
from adapters.traces.base import TracesPort
from cycles.artifacts import Artifacts
from cycles.autonomy import AutonomyRecord
from cycles.context import ContextSource
from cycles.desk import Office
from cycles.ports import Judges
from cycles.rules import Rulebook
from cycles.shelf import Taping
from cycles.tape import witness
from domain.clock import Clock
from domain.events import Observer
from domain.permit import PermitOffice
from learning.seasonal import SeasonalBaseline
from policies.profiles import Profile
from service.auditing import anchor_of, audit_of, folder_of
from service.catalog import catalog
from service.config import Config
from service.consents import consent_of, people_of
from service.contracts import live_contract
from service.database import database_of
from service.policyset import live_policies
from service.profile import profile_of
from service.records import rulebook_of
from service.settings import Settings
from service.site import Site
from service.sources import metrics_of
from service.systems import layout_of
from service.taping import taping_of
from service.toolbox import Ports, toolbox
from service.tracers import traces_of
from service.vendors import accounts_of, approvals_of, autonomy_of, ledger_of, ports_of
from tools.consent import Consent
from tools.data.examples import Paraphraser
from tools.gate import Gate
from tools.observe.reading import SignalReader, Windows, judge_of
from tools.purse import Purse, purse_of

if TYPE_CHECKING:
    from adapters.audit.signed import SignedAudit
    from adapters.database import Database
    from policies.live import LivePolicies
    from policies.live_contract import LiveContract


def _tell_metrics(config: Config) -> None:
    """Leave what the adapters counted where a textfile collector finds it."""
    (config.state / "adapters.prom").write_text(exposition(), encoding="utf-8")


@dataclass(frozen=True)
class Base:
    """What the door, the desk and the engine stand on."""

    config: Config
    profile: Profile
    rules: LiveContract
    clock: Clock
    observer: Observer
    permits: PermitOffice
    audit: SignedAudit
    policies: LivePolicies
    traces: TracesPort
    reader: SignalReader
    ports: Ports
    database: Database
    rulebook: Rulebook
    consent: Consent
    autonomy: AutonomyRecord
    taping: Taping
    purse: Purse
    artifacts: Path


def base_of(config: Config, settings: Settings, clock: Clock, observer: Observer, closing: ExitStack) -> Base:
    profile = profile_of(config)
    permits = PermitOffice(clock)
    audit = audit_of(config, clock, closing, key=settings.audit_key, observer=observer)
    rules = live_contract(config, profile, clock=clock, audit=audit, observer=observer)
    policies = live_policies(config.policies, clock=clock, audit=audit, observer=observer)
    closing.callback(_tell_metrics, config)
    site = Site(config, settings, permits, clock, closing, anchor_of(audit))
    metrics = metrics_of(site)
    database = database_of(config, closing)
    rulebook = rulebook_of(database, rules, audit, clock, profile, observer)
    reader = _reader(config, profile, metrics, rulebook, clock)
    ports = ports_of(site, metrics, database)
    traces = traces_of(config, settings, clock, closing, ports.store)
    consent = consent_of(
        approvals_of(database),
        people=people_of(config.people),
        profile=profile,
        pdp=policies,
        audit=audit,
        store=ports.store,
        clock=clock,
        observer=observer,
        accounts=accounts_of(database),
    )
    taping = taping_of(policies, settings)
    return Base(
        config,
        profile,
        rules,
        clock,
        observer,
        permits,
        audit,
        policies,
        traces,
        reader,
        ports,
        database,
        rulebook,
        consent,
        AutonomyRecord(autonomy_of(database), audit, clock, profile.autonomy),
        taping,
        purse_of(ledger_of(database, clock), profile, clock, observer),
        config.state / "artifacts",
    )


def base_over(base: Base, config: Config, settings: Settings, closing: ExitStack) -> Base:
    """Return what a further target stands on: systems and rules of its own, records and people of all."""
    folder_of(config)
    rules, rulebook = base.rules, base.rulebook
    if config.contract != base.config.contract or catalog(config).keys() != catalog(base.config).keys():
        rules = live_contract(config, base.profile, clock=base.clock, audit=base.audit, observer=base.observer)
        rulebook = rulebook_of(base.database, rules, base.audit, base.clock, base.profile, base.observer)
    site = Site(config, settings, base.permits, base.clock, closing, anchor_of(base.audit))
    metrics = metrics_of(site)
    ports = ports_of(site, metrics, base.database)
    return replace(
        base,
        config=config,
        rules=rules,
        rulebook=rulebook,
        reader=_reader(config, base.profile, metrics, rulebook, base.clock),
        ports=replace(ports, store=base.ports.store, notify=base.ports.notify),
    )


def _reader(config: Config, profile: Profile, metrics: MetricsPort, rulebook: Rulebook, clock: Clock) -> SignalReader:
    measure = profile.measure
    windows = Windows(current=measure.current, baseline=measure.baseline, gap=measure.gap)
    seasonal = SeasonalBaseline() if measure.baseline_kind == "seasonal" else None
    return SignalReader(metrics, catalog(config), windows, judge_of(rulebook.contract), clock, seasonal)


def gate_of(base: Base, by_model: Paraphraser | None, usd_per_1m_tokens: float) -> Gate:
    tools = toolbox(
        base.ports,
        base.reader,
        base.profile,
        base.config.jobs,
        base.clock,
        model=base.config.tracking.model,
        bundles=base.config.state / "bundles",
        code_revision=f"evercrew {metadata.version('evercrew')}",
        artifacts=base.artifacts,
        by_model=by_model,
        observer=base.observer,
        layout=layout_of(base.config),
        retention=base.config.tracking.retention,
        permits=base.permits,
        usd_per_1m_tokens=usd_per_1m_tokens,
    )
    return Gate(
        registry=tools,
        pdp=base.policies,
        audit=base.audit,
        store=base.ports.store,
        office=base.permits,
        traces=base.traces,
        context=ContextSource(
            base.ports.store,
            base.clock,
            base.profile,
            base.rules(),
            base.purse,
            base.autonomy.level_of,
            live=base.rules,
        ),
        approvals=base.consent,
        budget=base.purse,
        clock=base.clock,
        observer=base.observer,
        witness=witness,
    )


def office_of(base: Base, gate: Gate, judges: Judges, inbox: InboxPort) -> Office:
    return Office(
        gate=gate,
        judges=judges,
        store=base.ports.store,
        audit=base.audit,
        retrieval=base.ports.retrieval,
        traces=base.traces,
        artifacts=Artifacts(base.artifacts),
        clock=base.clock,
        profile=base.profile,
        contract=base.rules(),
        live_contract=base.rules,
        observer=base.observer,
        consent=base.consent,
        autonomy=base.autonomy,
        purse=base.purse,
        taping=base.taping,
        rulebook=base.rulebook,
        incidents=inbox,
    )
