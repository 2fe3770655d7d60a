"""The composition root: builds everything from configuration and settings.

Nothing else constructs clients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from adapters.inbox.base import InboxPort
from adapters.llm.base import ChatPort
from adapters.notices.base import NoticesPort
from adapters.requests.base import RequestsPort
from adapters.traces.base import TracesPort
from adapters.workflow.base import SharedWorkflow
from cycles.desk import Office
from cycles.engine import Engine
from cycles.intake import Routing
from cycles.verify import Evidence
from domain.actor import Role
from domain.clock import Clock, SystemClock
from domain.events import Observer, nobody
from policies.contract import Contract
from policies.profiles import Profile
from service.config import Config
from service.contracts import signals_of_further
from service.executor import Executor, executor_of, fence
from service.further import Further
from service.libraries import environment_of
from service.models import chat_of, judges_of, paying_of, warm
from service.serve_sections import routing_of
from service.settings import Settings, export
from service.standing import Base, base_of, base_over, gate_of, office_of
from service.systems import layout_of
from service.toolbox import Ports
from service.vendors import inbox_of, notices_of, requests_of, workflow_of
from tools.gate import Gate
from tools.observe.reading import SignalReader

if TYPE_CHECKING:
    from adapters.audit.signed import SignedAudit
    from adapters.database import Database
    from policies.live import LivePolicies
    from policies.live_contract import LiveContract


@dataclass(frozen=True)
class App:
    """Everything that was built, and how to take it down."""

    config: Config
    settings: Settings
    profile: Profile
    clock: Clock
    ports: Ports
    reader: SignalReader
    audit: SignedAudit
    policies: LivePolicies
    rules: LiveContract
    traces: TracesPort
    gate: Gate
    office: Office
    engine: Engine
    workflow: SharedWorkflow
    executor: Executor | None
    database: Database
    inbox: InboxPort
    requests: RequestsPort
    notices: NoticesPort
    routing: Routing
    chat: Callable[[Role], ChatPort]
    model: str
    _closing: ExitStack
    further: Further[App] | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of all targets, the configuration's own first."""
        return self.further.names if self.further is not None else (self.config.target,)

    def at(self, target: str) -> App:
        """Return the application over the systems of one target; all else of it is the same.

        Raises:
            DependencyUnavailable: they cannot be opened, or it is none of the configuration's several targets.
        """
        if self.further is None or len(self.targets) == 1 or target == self.config.target:
            return self
        return self.further.at(target)

    def current_accounts(self) -> set[str]:
        """Return the names of the accounts of the present period and day, of all targets."""
        purse, environment = self.office.purse, self.config.environment
        return {name for target in self.targets for name in purse.current(target, environment)} if purse else set()

    @property
    def contract(self) -> Contract:
        """The contract as its file stands now, without overrides."""
        return self.rules()

    def evidence(self) -> Evidence:
        """Return the ports a proof is read from."""
        return Evidence(
            store=self.ports.store,
            audit=self.audit,
            artifacts=self.office.artifacts,
            tracking=self.ports.tracking,
            datasets=self.ports.datasets,
            vcs=self.ports.vcs,
            delivery=self.ports.delivery,
            model=self.config.tracking.model,
            layout=layout_of(self.config),
            signed=self.audit,
            policy_hash=self.policies.policy_hash,
        )

    def close(self) -> None:
        """Flush and stop, in the reverse order of building."""
        self._closing.close()


def build(
    config: Config,
    settings: Settings,
    *,
    observer: Observer = nobody,
    clock: Clock | None = None,
    workflow: bool = True,
    slots: int | None = None,
) -> App:
    """Build the application.

    Args:
        workflow: whether cycles will be run; without, workflows of a dead process are left alone.
        slots: how many cycles are worked on at once, by way of the queue that workers share; None for all that are
            started, here.

    Raises:
        ConfigurationError: something of the configuration cannot be used.
        DependencyError: a system that must answer at once does not.
    """
    settings.check_targets(name for name in config.every_target if name != config.target)
    export(environment_of(config, settings))
    with ExitStack() as closing:
        app = _built(config, settings, clock or SystemClock(), observer, closing, workflow=workflow, slots=slots)
        if workflow:
            _launch(app)
        app._closing.push(closing.pop_all())
    return app


def _built(
    config: Config,
    settings: Settings,
    clock: Clock,
    observer: Observer,
    closing: ExitStack,
    *,
    workflow: bool,
    slots: int | None,
) -> App:
    last = closing.enter_context(ExitStack())  # others go on with our cycles only when nothing of ours writes any more
    base = base_of(config, settings, clock, observer, closing)
    systems = closing.enter_context(ExitStack())
    chat, model, by_model = chat_of(settings, base.clock, observer)
    paying = paying_of(settings, base.profile, base.purse)
    inbox = inbox_of(base.database, base.clock)

    def seated(of: Base) -> tuple[Gate, Office]:
        door = gate_of(of, by_model, settings.model_usd_per_1m_tokens)
        return door, office_of(of, door, judges_of(door, chat, observer, of.traces, of.clock, paying), inbox)

    signals = signals_of_further(config, base.profile)

    def opened(target: str, stack: ExitStack) -> App:
        own = settings.at(target)
        return _over(app, base_over(base, config.at(target), own, stack), own, seated, signals)

    gate, office = seated(base)
    member = _joined(base, settings.executor_id, last) if workflow else None
    owner = member.lease.owner if member else settings.executor_id
    machinery = workflow_of(config, base.clock, closing, executor_id=owner, slots=slots)
    further = Further[App](config.target, config.every_target[1:], opened, base.clock, systems)
    app = App(
        config=config,
        settings=settings,
        profile=base.profile,
        clock=base.clock,
        ports=base.ports,
        reader=base.reader,
        audit=base.audit,
        policies=base.policies,
        rules=base.rules,
        traces=base.traces,
        gate=gate,
        office=office,
        engine=Engine(office, machinery, offices=lambda target: further.at(target).office),
        workflow=machinery,
        executor=member,
        database=base.database,
        inbox=inbox,
        requests=requests_of(base.database),
        notices=notices_of(base.database),
        routing=_routing(config, base, signals),
        chat=chat,
        model=model,
        _closing=ExitStack(),
        further=further,
    )
    further.begin(app)
    return app


def _joined(base: Base, name: str, closing: ExitStack) -> Executor | None:
    member = executor_of(base.config.workflow_url, base.database, name, base.clock, closing)
    if member is not None:
        fence(member, base.database, base.permits, base.audit)
    return member


def _launch(app: App) -> None:
    if app.further is not None:
        app.further.open_all()
    app.engine.launch()
    if app.executor is not None:
        app.executor.take_over(app.workflow)
    warm(app.office.judges)


def _routing(config: Config, base: Base, further: Mapping[str, Sequence[str]]) -> Routing:
    signals = list(base.rules().signals)
    return routing_of(signals, config.alert_names, config.target, config.environment, config.routes, further)


def _over(
    app: App,
    base: Base,
    settings: Settings,
    seated: Callable[[Base], tuple[Gate, Office]],
    signals: dict[str, list[str]],
) -> App:
    """Return the application over the systems of another target."""
    gate, office = seated(base)
    signals[base.config.target] = list(base.rules().signals)  # its contract may have been unreadable at the start
    return replace(
        app,
        config=base.config,
        settings=settings,
        ports=base.ports,
        reader=base.reader,
        rules=base.rules,
        gate=gate,
        office=office,
        _closing=ExitStack(),
    )
