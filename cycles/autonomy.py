"""The record of what was earned: written by the engine when a cycle ends, read by the door before a call.

Why a claim earns nothing: a trial counts when the audit chain has, for its cycle, an effect of the class that was done
under an intent, and the engine's own note of the outcome, under the very number and hash the trial names. A row in the
table, a sentence of a model and a report are none of that.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.audit.base import AuditPort
from adapters.autonomy.base import AutonomyPort
from cycles.desk import Desk
from domain.access import Caller, person_of
from domain.approval import Proof
from domain.autonomy import Cap, Level, Standing, Trial
from domain.canonical import canonical_json
from domain.clock import Clock
from domain.errors import AuditUnavailable, DependencyError, DependencyUnavailable, InvalidInput
from domain.outcome import OutcomeKind
from domain.people import People, Person
from domain.receipt import AuditEntry, AuditRecord, RecordKind
from learning.autonomy import Bar, earned
from policies.consent import CLASSES, AutonomyProfile, class_of
from tools.ballots import proof_of

ENDED = "outcome"
"""Status of the engine's note of how a cycle ended, in the audit chain."""
CAPPED = "autonomy_cap"
# Where caps stand in the chain: they belong to no cycle.
CAPS = "autonomy"
ENGINE = "engine"
ADMIN = "admin"
# What takes a change of these classes back, or says that it was to be.
_TAKEN_BACK = ("roll_back",)


class AutonomyRecord:
    """What classes of action have earned, under one profile."""

    def __init__(self, store: AutonomyPort, audit: AuditPort, clock: Clock, profile: AutonomyProfile) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._profile = profile
        self._bar = Bar(profile.bar, profile.confidence, profile.window, profile.cool_down)
        self._proven: set[Trial] = set()

    def level_of(self, tool: str, environment: str) -> str:
        """Return what a call of a tool may do; tools of no class have nothing to earn.

        Raises:
            DependencyError, AuditUnavailable: it cannot be found out.
        """
        kind = class_of(tool)
        return Level.ACT.value if kind is None else self.standing(kind, environment).level.value

    def standing(self, kind: str, environment: str) -> Standing:
        """Return where a class stands now.

        Raises:
            DependencyError, AuditUnavailable: it cannot be found out.
        """
        found = earned(kind, environment, self.trials(kind, environment), self._clock.now(), self._bar)
        if self._profile.mode == "act":
            said = f"acts by itself in {environment}, whatever its record ({found.reason})"
            found = found.model_copy(update={"level": Level.ACT, "earned": Level.ACT, "reason": said, "until": None})
        cap = self.cap(kind, environment)
        if cap is None or cap.level is None:
            return found
        said = f"capped at {cap.level.value} by {cap.by}: {cap.reason}; {found.reason}"
        return found.model_copy(update={"level": found.earned.capped(cap.level), "cap": cap, "reason": said})

    def standings(self, environment: str) -> list[Standing]:
        """Return where all classes stand."""
        return [self.standing(kind, environment) for kind in CLASSES]

    # -- what is written ----------------------------------------------------------------------------------------------

    def ended(self, desk: Desk, outcome: OutcomeKind) -> None:
        """Put on record how a cycle ended, and count it for every class it took an action of. Once a cycle.

        Raises:
            DependencyError, AuditUnavailable: a bad outcome could not be put on record.
        """
        done = {r.entry.tool for r in desk.records() if _done(r)}
        kinds = [kind for kind, tools in CLASSES.items() if done & set(tools)]
        if not kinds:
            return
        harmful = outcome is OutcomeKind.ROLLED_BACK or bool(done & set(_TAKEN_BACK))
        record = self._noted(desk, outcome, harmful, kinds)
        said = record.entry.body
        for kind in kinds:
            trial = Trial(
                cycle_id=desk.cycle.id,
                kind=kind,
                environment=desk.cycle.environment,
                outcome=OutcomeKind(said["outcome"]),
                harmful=bool(said["harmful"]),
                at=record.at,
                record=record.sequence,
                record_hash=record.hash,
            )
            try:
                self._store.add(trial)
            except DependencyError as problem:
                if trial.harmful:
                    raise  # what went well may be forgotten, what went badly may not
                desk.note(f"the record of {kind} could not be kept: {problem}")

    def put_cap(
        self,
        people: People,
        name: str,
        level: Level | None,
        *,
        kind: str,
        environment: str,
        reason: str,
        account: str = "",
        key: bytes | None = None,
        caller: Caller | None = None,
        seen: Sequence[Cap] | None = None,
    ) -> Cap:
        """Cap a class, or lift its cap (`level` None), for an admin who proves to be one.

        Args:
            account: who runs the command, as the operating system knows them.
            key: the person's private key, where they have one.
            caller: whose session or token of the service this is; it stands in place of `account` and `key`.
            seen: what `kept` said of the class when this was decided; it has to stand still.

        Raises:
            InvalidInput: the class is unknown, the person is no admin or did not prove it, or gave no reason.
            DependencyError: it could not be put on record; nothing was changed.
            ConflictError: it was capped, or its cap lifted, meanwhile; nothing was changed or put on record.
        """
        person = people.named(name) if caller is None else _person_of(people, caller)
        if kind not in CLASSES:
            raise InvalidInput("kind", f"{kind} is no class of action", f"Name one of {', '.join(CLASSES)}")
        if ADMIN not in person.roles:
            raise InvalidInput("as", f"{person.name} is no {ADMIN}", f"Ask somebody with the role {ADMIN}")
        if not reason.strip():
            raise InvalidInput("reason", "a cap is on record with a reason", "Add --reason")
        now = self._clock.now()
        word = {
            "kind": kind,
            "environment": environment,
            "level": level.value if level else None,
            "reason": reason.strip(),
            "at": now.isoformat(),
        }
        if caller is None:
            proof = proof_of(person, account, key, canonical_json(word).encode())
        else:
            proof = Proof(how="session", who=caller.name)

        def made() -> Cap:
            record = self._cap_noted(person.name, word, proof)
            kept = {"by": person.name, "record": record.sequence, "record_hash": record.hash}
            return Cap.model_validate({**word, **kept, "at": now})

        return self._store.cap(kind, environment, made, seen=seen)

    # -- what counts --------------------------------------------------------------------------------------------------

    def kept(self, kind: str, environment: str) -> Sequence[Cap]:
        """Return every cap and lifting of a class that was kept there, whether or not it counts."""
        return self._store.caps(kind, environment)

    def caps(self, kind: str = "", environment: str = "") -> Sequence[Cap]:
        """Return the caps and liftings that the chain has too, oldest first."""
        known = {(r.sequence, r.hash): r.entry for r in self._audit.records(CAPS) if r.entry.status == CAPPED}
        found = []
        for cap in self._store.caps(kind, environment):
            entry = known.get((cap.record, cap.record_hash))
            level = cap.level.value if cap.level else None
            told = {"kind": cap.kind, "environment": cap.environment, "level": level}
            if entry is not None and all(entry.body.get(name) == value for name, value in told.items()):
                found.append(cap)
        return found

    def trials(self, kind: str, environment: str) -> Sequence[Trial]:
        """Return the trials of the window that count, oldest first: of a class, or of all."""
        since = self._clock.now() - self._profile.window
        kinds = [kind] if kind else list(CLASSES)
        return [t for k in kinds for t in self._store.trials(k, environment, since) if self._counts(t)]

    def cap(self, kind: str, environment: str) -> Cap | None:
        """Return the cap or lifting that holds, or None."""
        if not self._store.caps(kind, environment):
            return None
        found = self.caps(kind, environment)
        return found[-1] if found else None

    def _counts(self, trial: Trial) -> bool:
        """Whether the chain says what a trial says. What it said once it says for ever: the chain does not change."""
        if trial in self._proven:
            return True
        records = self._audit.records(trial.cycle_id)
        noted = next((r for r in records if (r.sequence, r.hash) == (trial.record, trial.record_hash)), None)
        if noted is None or not noted.intact() or not _says(noted, trial):
            return False
        intents = {r.entry.key for r in records if r.entry.kind is RecordKind.INTENT}
        tools = CLASSES.get(trial.kind, ())
        if not any(_done(r) and r.entry.tool in tools and r.entry.key in intents for r in records):
            return False
        self._proven.add(trial)
        return True

    def _noted(self, desk: Desk, outcome: OutcomeKind, harmful: bool, kinds: list[str]) -> AuditRecord:
        """Return the engine's note of how the cycle ended; one that a process left that died stays the only one."""
        for record in desk.records():
            if record.entry.status == ENDED and record.entry.actor == ENGINE:
                return record
        entry = AuditEntry(
            kind=RecordKind.NOTE,
            cycle_id=desk.cycle.id,
            stage=desk.cycle.stage.value,
            actor=ENGINE,
            status=ENDED,
            body={
                "outcome": outcome.value,
                "harmful": harmful,
                "classes": kinds,
                "environment": desk.cycle.environment,
            },
        )
        return self._audit.append(entry)

    def _cap_noted(self, by: str, word: dict[str, str | None], proof: Proof) -> AuditRecord:
        body = {**word, "proof": proof.model_dump(mode="json")}
        entry = AuditEntry(kind=RecordKind.NOTE, cycle_id=CAPS, actor=by, status=CAPPED, body=body)
        try:
            return self._audit.append(entry)
        except AuditUnavailable as problem:
            raise DependencyUnavailable("audit", f"nothing was capped: {problem}") from problem


def _person_of(people: People, caller: Caller) -> Person:
    """Return who a caller of the service is: one of the people, else whoever the account stands for.

    Raises:
        InvalidInput: a machine is nobody, who has a key signs with it, and nobody is two.
    """
    if caller.person is None:
        raise InvalidInput("as", f"{caller.name} is a machine, and caps nothing", "Sign in as a person")
    if not people.knows(caller.person):
        if people.with_os_user(caller.person) is not None:
            raise InvalidInput("as", f"{caller.person} is the account of somebody of `people`", "Sign in as that one")
        return person_of(caller.person, caller.roles)
    person = people.named(caller.person)
    if person.public_key:
        remedy = "Use `evercrew autonomy cap --key FILE`"
        raise InvalidInput("key", f"{person.name} has a key and has to sign with it", remedy)
    return person


def _done(record: AuditRecord) -> bool:
    return record.entry.kind is RecordKind.OUTCOME and record.entry.status == "done"


def _says(record: AuditRecord, trial: Trial) -> bool:
    entry, body = record.entry, record.entry.body
    return (
        (entry.kind, entry.actor, entry.status) == (RecordKind.NOTE, ENGINE, ENDED)
        and entry.cycle_id == trial.cycle_id
        and record.at == trial.at
        and trial.kind in body.get("classes", ())
        and (body.get("outcome"), body.get("harmful"), body.get("environment"))
        == (trial.outcome.value, trial.harmful, trial.environment)
    )
