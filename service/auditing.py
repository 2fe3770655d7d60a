"""The audit chain as it is configured: where it is, who signs its checkpoints, and who else has seen its head."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from domain.clock import Clock
from domain.errors import AuditUnavailable, ConfigurationError, EvercrewError
from domain.events import Event, Observer, nobody

if TYPE_CHECKING:
    from adapters.audit.base import Anchor
    from adapters.audit.chain import DatabaseChain
    from adapters.audit.signed import SignedAudit
    from adapters.vcs.base import VcsPort
    from service.config import Config

SQLITE = "sqlite:///"
# Of a hash, in a trailer: 64 bits are enough to notice another record.
_DIGITS = 16
_MOST_COMMITS = 1000


def chain_of(config: Config, clock: Clock) -> DatabaseChain:
    """Return the chain `audit_url` names; without one, that of the state folder.

    Raises:
        ConfigurationError: the folder cannot be made, or the URL is none.
        AuditUnavailable: it cannot be opened.
    """
    folder_of(config)
    if in_a_server(config):
        from adapters.audit.postgresql import PostgresAudit

        return PostgresAudit(str(config.audit_url), clock)
    from adapters.audit.sqlite import SqliteAudit

    return SqliteAudit(config.audit_file, clock)


def folder_of(config: Config) -> None:
    """Make the folder of what is kept, where it is not there yet.

    Raises:
        ConfigurationError: it cannot be made.
    """
    try:
        config.state.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise ConfigurationError(
            "state", f"cannot be made: {problem}", "Name a folder this user may write"
        ) from problem


def in_a_server(config: Config) -> bool:
    """Whether the chain is in a database server, and not in a file of this machine."""
    return bool(config.audit_url) and not str(config.audit_url).startswith(SQLITE)


def audit_of(
    config: Config, clock: Clock, closing: ExitStack, *, key: str = "", observer: Observer = nobody
) -> SignedAudit:
    """Return the audit chain with its signed checkpoints; `key` is the setting EVERCREW_AUDIT_KEY.

    Raises:
        ConfigurationError, AuditUnavailable: see `chain_of`.
    """
    from adapters.audit.keys import Keys
    from adapters.audit.signed import HEAD, SignedAudit

    def tell(told: str) -> None:
        observer(Event(kind="note", cycle_id="", what=told))
        sys.stderr.write(f"evercrew: audit: {told}\n")

    chain = chain_of(config, clock)
    closing.callback(chain.close)
    audit = SignedAudit(chain, Keys(config.state, key), clock, anchor=config.state / "artifacts" / HEAD, tell=tell)
    closing.callback(audit.close)
    return audit


def audit_server(audit: SignedAudit) -> str:
    """Return what a database server that keeps the chain says of itself; nothing where it is a file.

    Raises:
        AuditUnavailable: it does not answer.
    """
    check = getattr(audit.chain, "check", None)
    return f" ({check()})" if check is not None else ""


def anchor_of(audit: SignedAudit) -> Callable[[], str]:
    """Return what a commit carries of the chain: its length, and how the hash of its last record begins."""

    def said() -> str:
        try:
            head = audit.head()
        except AuditUnavailable:
            return ""
        return f"{head.records}:{head.hash[:_DIGITS]}" if head.records else ""

    return said


def committed(vcs: VcsPort) -> list[Anchor]:
    """Return what the commits of the values repository have seen of the chain.

    Raises:
        DependencyError: the repository cannot be read.
    """
    from adapters.audit.base import Anchor
    from adapters.vcs.base import AUDIT_TRAILER

    found = []
    for commit in vcs.history(_MOST_COMMITS):
        count, _, digest = commit.trailers.get(AUDIT_TRAILER, "").partition(":")
        if count.isdecimal() and digest:
            found.append(Anchor(f"commit {commit.revision[:12]}", int(count), digest))
    return found


def backed_up(config: Config, clock: Clock) -> list[Anchor]:
    """Return what the manifests of backups have seen of the chain.

    Raises:
        DependencyError: the backups cannot be read.
    """
    from adapters.audit.base import Anchor
    from service.backup import backups, objects_of

    if config.backup is None:
        return []
    noted = [(manifest.stamp, manifest.facts) for manifest in backups(objects_of(config.backup), clock)]
    return [
        Anchor(f"backup {stamp}", int(facts["audit_records"]), str(facts["audit_head"]))
        for stamp, facts in noted
        if facts.get("audit_records")
    ]


def seen_elsewhere(config: Config, clock: Clock, vcs: Callable[[str], VcsPort]) -> tuple[list[Anchor], dict[str, str]]:
    """Return what others have seen of the chain, and how each of them answered, in a line.

    Args:
        vcs: opens the repository of a target.
    """
    asked: dict[str, Callable[[], list[Anchor]]] = {}
    for target in config.every_target:
        of = "" if target == config.target else f" of {target}"
        asked[f"commits{of}"] = partial(_committed, vcs, target)
    asked["backups"] = lambda: backed_up(config, clock)
    found: list[Anchor] = []
    told: dict[str, str] = {}
    for name, ask in asked.items():
        try:
            seen = ask()
        except EvercrewError as problem:
            told[name] = f"not looked at: {problem}"
            continue
        found += seen
        told[name] = f"{len(seen)} have seen the chain" if seen else "none has seen the chain"
    return found, told


def _committed(vcs: Callable[[str], VcsPort], target: str) -> list[Anchor]:
    return committed(vcs(target))
