"""A served application in tests: a wired App on SQLite, cycles of every kind in its record, and callers of every role.

`serving_of(folder)` takes a second or two; where a test only reads, make it once for a module. The world behind the
last cycle is in memory, as `tests.support.office` has it; what Evercrew itself keeps is in files of `folder`.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Collection, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from adapters.accounts.passwords import Cost, Passwords
from adapters.audit.signed import SignedAudit
from adapters.database import Database
from adapters.rules.sqlalchemy import SqlRules
from adapters.store.sqlalchemy import SqlStore
from adapters.traces.memory import MemoryTraces
from adapters.workflow.inline import InlineWorkflow
from cycles.engine import Engine
from cycles.intake import Routing
from cycles.rules import Rulebook
from cycles.shelf import Taping
from domain.access import AccessRole, ApiAction, Caller
from domain.actor import Actor, Role
from domain.alert import Alert, AlertStatus
from domain.clock import Clock, FrozenClock
from domain.diagnosis import Action
from domain.events import nobody
from domain.permit import PermitOffice
from domain.stage import Stage
from policies.live import LivePolicies
from service.access.desk import Access, access_of
from service.api.app import create_app
from service.api.serving import Serving
from service.auditing import audit_of
from service.config import Config
from service.consents import people_of
from service.contracts import live_contract
from service.database import database_of
from service.policyset import live_policies
from service.settings import Settings
from service.vendors import accounts_of, approvals_of, autonomy_of, inbox_of, ledger_of, notices_of, requests_of
from service.wiring import App
from tests.integrations.backup.office import config_in
from tests.support.meddling import flag
from tests.support.office import Rig, assemble, ended, office_in_memory
from tests.support.setting import MODEL, profile, signal_reader
from tests.support.story import opened
from tools.outcome import Refused

PEOPLE = {
    "Ann": {"roles": ["admin"], "os_users": ["ann"]},
    "Bob": {"roles": ["approver", "ml_lead"], "os_users": ["bob"]},
    "Cem": {"roles": ["viewer"], "os_users": ["cem"]},
    "Dora": {"roles": ["operator"], "os_users": ["dora"]},
}
"""Section `people` of the configuration; each has an account of the service with this name and role."""

ROLES = {
    "Ann": AccessRole.ADMIN,
    "Bob": AccessRole.APPROVER,
    "Cem": AccessRole.VIEWER,
    "Dora": AccessRole.OPERATOR,
}
PASSWORD = "correct horse battery staple"
DIGEST = "sha256:" + "c" * 64
"""The model that waits to be promoted."""
WORSE = 0.30
_BETWEEN, _LATER = timedelta(minutes=15), timedelta(hours=2)


class Alone(InlineWorkflow):
    """Workflows of this process, beside which there is no other."""

    def owners(self) -> Collection[str]:
        """See `SharedWorkflow.owners`."""
        return ()

    def adopt(self, dead: Collection[str]) -> int:
        """See `SharedWorkflow.adopt`."""
        return 0


@dataclass(frozen=True)
class Kept:
    """What is kept in files, and by what it is opened."""

    config: Config
    settings: Settings
    database: Database
    store: SqlStore
    audit: SignedAudit
    policies: LivePolicies
    permits: PermitOffice
    clock: Clock
    closing: ExitStack


def serving_of(
    folder: Path,
    *,
    clock: Clock | None = None,
    told: bool = True,
    world: bool = True,
    settings: Settings | None = None,
    **sections: object,
) -> Serving:
    """Return a served application; of a folder that has been served before, with what it left, where `told` is False.

    Args:
        clock: by default one that stands still at the moment after the last cycle; `SystemClock()` for a live server.
        told: whether there are cycles: noise, an index mended by other hands, rolled back, improved, one that waits for
            an approval, and one that was just opened (of target ``ads``). Without, there are none.
        world: whether the platform behind is one in which the last of them happened. Without, it is as new, and the
            record is copied as a whole, which takes a fifth of the time: for tests that look at the record only.
        settings: in place of those that are there when nothing is set.
        sections: of the configuration, in place of the usual ones.
    """
    # From the full hour on, so that what happened before is made once a process here too.
    now = None if clock is None else clock.now().replace(minute=0, second=0, microsecond=0)
    past = FrozenClock() if now is None else FrozenClock(now - timedelta(hours=3))
    if told and not world:
        return _of_record(folder, past.now(), settings or Settings(), sections)
    if not (folder / "state").exists():
        shutil.copytree(_ended_before(past.now()) if told else _empty(), folder, dirs_exist_ok=True)
    past.advance(_LATER if told else timedelta())
    kept = _kept(folder, clock or past, {"people": PEOPLE, **sections}, settings or Settings())
    rig = _rig(kept, folder / "world", past, Action.RETRAIN)
    if told:
        _lately(kept, rig, past)
    return Serving(app=_app(kept, rig if clock is None else _assembled(kept, clock, rig)), access=_access(kept))


def _of_record(folder: Path, at: datetime, settings: Settings, sections: dict[str, object]) -> Serving:
    """Return an application on a copy of the whole record, before a world in which nothing has happened yet."""
    source, until = _recorded(at)
    shutil.copytree(source, folder, dirs_exist_ok=True)
    clock = FrozenClock(until)
    kept = _kept(folder, clock, {"people": PEOPLE, **sections}, settings)
    return Serving(app=_app(kept, _rig(kept, folder / "new-world", clock, Action.RETRAIN)), access=_access(kept))


@cache
def _recorded(at: datetime) -> tuple[Path, datetime]:
    """Return a folder with the whole record, and the moment after it; made once a process."""
    folder, clock = _scratch(), FrozenClock(at)
    shutil.copytree(_ended_before(at), folder, dirs_exist_ok=True)
    clock.advance(_LATER)
    kept = _kept(folder, clock, {"people": PEOPLE}, Settings())
    _lately(kept, _rig(kept, folder / "world", clock, Action.RETRAIN), clock)
    kept.closing.close()
    return folder, clock.now()


def _kept(folder: Path, clock: Clock, sections: dict[str, object], settings: Settings) -> Kept:
    folder.mkdir(parents=True, exist_ok=True)
    config, closing = config_in(folder, **sections), ExitStack()
    audit = audit_of(config, clock, closing)
    policies = live_policies(None, clock=clock, audit=audit, observer=lambda _event: None)
    database = database_of(config, closing)
    permits = PermitOffice(clock)
    return Kept(config, settings, database, SqlStore(database), audit, policies, permits, clock, closing)


@cache
def _ended_before(at: datetime) -> Path:
    """Return a folder in whose record three cycles ended, from `at` on; made once a process."""
    folder, clock = _scratch(), FrozenClock(at)
    kept = _kept(folder, clock, {"people": PEOPLE}, Settings())
    for action, after in ((Action.NOISE, None), (Action.ROLLBACK, None), (Action.RETRAIN, WORSE)):
        rig = _rig(kept, folder / f"{action.value}-world", clock, action)
        rig.world.after_promotion = after
        ended(rig, action)
        clock.advance(_BETWEEN)
    assert clock.now() - at < _LATER
    kept.closing.close()
    return folder


@cache
def _empty() -> Path:
    """Return a folder with the tables and nothing in them; made once a process."""
    folder = _scratch()
    Database(f"sqlite:///{folder}/state/evercrew.db").close()
    return folder


def _scratch() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="evercrew-served-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _lately(kept: Kept, rig: Rig, clock: FrozenClock) -> None:
    """Walk a cycle that improved, and leave two open."""
    ended(rig, Action.RETRAIN)
    clock.advance(_BETWEEN)
    _waiting(rig, clock)
    kept.store.open_cycle(_other(clock), clock.now())
    clock.advance(timedelta(seconds=1))


def _waiting(rig: Rig, clock: FrozenClock) -> None:
    """Leave a cycle that waits for an approval of its promotion."""
    flag(rig, "auto_promote", False)
    passed = {"verdict_evaluate": "pass", "verdict_ab": "pass"}
    cycle = opened(rig, Action.RETRAIN, Stage.PROMOTE, passed.items())
    wanted = {"name": MODEL, "version": "3", "digest": DIGEST}
    outcome = rig.gate.call("promote", wanted, Actor(role=Role.DEVOPS_ENGINEER), rig.desk(cycle).scope)
    assert isinstance(outcome, Refused), outcome
    assert outcome.kind == "escalate", outcome
    clock.advance(timedelta(seconds=1))


def _other(clock: FrozenClock) -> Alert:
    return Alert(
        fingerprint="f-ads",
        name="SignalBreached",
        status=AlertStatus.FIRING,
        signal="latency_p95_ms",
        target="ads",
        environment="dev",
        starts_at=clock.now(),
        annotations={"summary": "searches take too long"},
    )


def _rig(kept: Kept, folder: Path, clock: FrozenClock, action: Action) -> Rig:
    """Return an office with a world of its own, on what is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    made = office_in_memory(
        folder, action, store=kept.store, audit=kept.audit, clock=clock, permits=kept.permits, pdp=kept.policies
    )
    return _assembled(kept, clock, made, action)


def _assembled(kept: Kept, clock: Clock, made: Rig, action: Action = Action.RETRAIN) -> Rig:
    """Return the office of a world under a clock, with everything Evercrew keeps in files."""
    rig = assemble(
        made.ports,
        store=kept.store,
        audit=kept.audit,
        permits=kept.permits,
        clock=clock,
        world=made.world,
        workflow=Alone(clock),
        folder=kept.config.state,
        action=action,
        pdp=kept.policies,
        of=profile(poll={"approval_timeout": "4h"}),
        approvals=approvals_of(kept.database),
        autonomy=autonomy_of(kept.database),
        people=people_of(kept.config.people),
        ledger=ledger_of(kept.database, clock),
        accounts=accounts_of(kept.database),
    )
    book = Rulebook(SqlRules(kept.database), rig.office.contract, kept.audit, clock, environment=rig.profile.name)
    office = replace(rig.office, rulebook=book, taping=Taping(policy_files=kept.policies.files))
    return replace(rig, office=office, engine=Engine(office, rig.workflow))


def _app(kept: Kept, rig: Rig) -> App:
    office = rig.office
    return App(
        config=kept.config,
        settings=kept.settings,
        profile=rig.profile,
        clock=kept.clock,
        ports=rig.ports,
        reader=signal_reader(rig.ports.metrics, rig.profile, office.contract, kept.clock),
        audit=kept.audit,
        policies=kept.policies,
        rules=live_contract(kept.config, rig.profile, clock=kept.clock, audit=kept.audit, observer=nobody),
        traces=MemoryTraces(),
        gate=rig.gate,
        office=office,
        engine=rig.engine,
        workflow=_shared(rig),
        executor=None,
        database=kept.database,
        inbox=inbox_of(kept.database, kept.clock),
        requests=requests_of(kept.database),
        notices=notices_of(kept.database),
        routing=Routing(list(office.contract.signals), {}, ["search", "ads"], kept.config.environment),
        chat=_playbook(kept),
        model="playbook",
        _closing=kept.closing,
    )


def _shared(rig: Rig) -> Alone:
    assert isinstance(rig.workflow, Alone)
    return rig.workflow


def _playbook(kept: Kept) -> Any:
    def chat(role: Role) -> Any:
        from service.models import chat_of

        return chat_of(kept.settings, kept.clock, lambda _event: None)[0](role)

    return chat


def _access(kept: Kept) -> Access:
    """Return who may use it, with hashes of passwords that cost next to nothing, and an account for every person."""
    access = access_of(
        kept.database,
        kept.policies,
        kept.settings,
        kept.config,
        kept.clock,
        kept.audit,
        passwords=Passwords(Cost(passes=1, memory_kib=8, lanes=1)),
    )
    for person in PEOPLE:
        if access.accounts.account(person) is None:
            access.keeper.add(person, [ROLES[person]], by="set-up", password=PASSWORD)
    return access


def token_of(serving: Serving, role: str | AccessRole, *, scopes: Iterable[str] | None = None) -> str:
    """Return an API token of whoever holds a role: `scopes` of it, or all there are."""
    person = next(name for name, held in ROLES.items() if held == role)
    account = serving.access.accounts.account(person)
    assert account is not None
    wanted = [action.value for action in ApiAction] if scopes is None else list(scopes)
    by = Caller(name=person, roles=account.roles, via="local")
    return serving.access.keeper.give_token(account, "tests", wanted, timedelta(days=1), by=by)[1]


def client_as(served: Serving | FastAPI, role: str | AccessRole | None, *, scopes: Iterable[str] | None = None) -> Any:
    """Return a client of the application that comes with a token of a role; without a role, with none.

    Give the application itself (`create_app(serving)`) where several clients share one. An error of the application is
    answered as the service answers it, and not raised.
    """
    from fastapi.testclient import TestClient

    app = served if isinstance(served, FastAPI) else create_app(served)
    client = TestClient(app, raise_server_exceptions=False)
    if role is not None:
        client.headers["Authorization"] = f"Bearer {token_of(app.state.serving, role, scopes=scopes)}"
    return client
