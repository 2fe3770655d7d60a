"""Every error Evercrew raises, sorted by who has to react.

EvercrewError
├── InvalidInput             the caller: a field is wrong; names the field and the remedy
│   └── ConfigurationError   the operator: a file or setting is wrong
├── IllegalTransition        the developer: a cycle was asked to take a step the table does not have
├── ModelAnswerInvalid       the model: its answer does not validate; asked once more, then final
├── BudgetExhausted          the crew: iterations, calls, tokens or time are used up
├── PermitError              nobody gets in: an effect was asked for without a valid permit
│   ├── PermitMissing
│   ├── PermitAltered
│   ├── PermitExpired
│   └── PermitSpent
├── PolicySetBroken          the operator: the policy set cannot be loaded; the door stays shut
├── AuditUnavailable         the operator: the intent could not be recorded; nothing was done
├── IntegrityError           a person: two things that must be equal are not; both are named
│   ├── ChainBroken
│   └── DigestMismatch
├── OutcomeUnknown           a person: an effect may or may not have happened and cannot be observed
├── ConflictError            retry: somebody else moved first (push race, a cycle is already open)
└── DependencyError          retry, then the operator: names the dependency
    ├── DependencyUnavailable
    ├── DependencyTimeout
    └── DependencyLied       it answered, and the answer breaks its contract
"""

from __future__ import annotations

ASK_THE_DOCTOR = "Run `evercrew doctor` for a check of every connection"


class EvercrewError(Exception):
    """Base of the tree; never raised itself."""


class InvalidInput(EvercrewError):
    """A value the caller gave is not usable.

    Args:
        field: dotted name of the offending field.
        problem: what is wrong with it, with the value where it is safe to show.
        remedy: what to write instead.
    """

    def __init__(self, field: str, problem: str, remedy: str) -> None:
        super().__init__(f"{field}: {problem}. {remedy}")
        self.field = field
        self.problem = problem
        self.remedy = remedy


class ConfigurationError(InvalidInput):
    """A configuration file or setting is not usable."""


class IllegalTransition(EvercrewError):
    """A cycle was asked to take a step that the transition table does not contain."""


class ModelAnswerInvalid(EvercrewError):
    """A model's answer did not validate, twice."""


class BudgetExhausted(EvercrewError):
    """A limit on calls, iterations, tokens, money or time was reached."""


class PermitError(EvercrewError):
    """An effect was asked for without a valid permit; nothing happened."""


class PermitMissing(PermitError):
    """No permit was handed over, or one for another effect or key."""


class PermitAltered(PermitError):
    """The permit's fields do not match its seal."""


class PermitExpired(PermitError):
    """The permit is past its expiry."""


class PermitSpent(PermitError):
    """The permit was used before."""


class PolicySetBroken(EvercrewError):
    """The policy set or its schema cannot be loaded."""


class AuditUnavailable(EvercrewError):
    """A record could not be written and flushed."""


class IntegrityError(EvercrewError):
    """Two things that must be equal are not."""


class ChainBroken(IntegrityError):
    """The audit chain does not verify.

    Args:
        record: the number of the first record that does not fit, where it is one.
        why: ``changed``, ``removed``, ``reordered``, ``truncated``, ``bad signature`` or ``unknown key``.
    """

    def __init__(self, problem: str, *, record: int | None = None, why: str = "changed") -> None:
        super().__init__(problem)
        self.record = record
        self.why = why


class DigestMismatch(IntegrityError):
    """Content does not have the digest it is known by."""


class OutcomeUnknown(EvercrewError):
    """An effect may or may not have happened, and it cannot be observed."""


class ConflictError(EvercrewError):
    """Somebody else moved first."""


class DependencyError(EvercrewError):
    """A system we depend on failed.

    Args:
        dependency: its name, as `doctor` prints it.
        problem: what it did.
        remedy: what the operator can do.
    """

    def __init__(self, dependency: str, problem: str, remedy: str = ASK_THE_DOCTOR) -> None:
        super().__init__(f"{dependency}: {problem}. {remedy}")
        self.dependency = dependency
        self.problem = problem
        self.remedy = remedy


class DependencyUnavailable(DependencyError):
    """It did not answer, or refused the connection."""


class DependencyTimeout(DependencyError):
    """It did not answer in time."""


class DependencyLied(DependencyError):
    """It answered, and the answer breaks its contract."""
