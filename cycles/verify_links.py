"""The part of a proof that the systems around give: artifacts, data, model, git, the alias, and what is live.

A cycle may be weeks old: later ones have promoted other models, and retention has deleted what is old. What was retired
is named with the record that says so.
"""

from __future__ import annotations

import hashlib
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

from adapters.audit.base import AuditPort
from adapters.store.base import StorePort
from cycles.proof import Differs, Evidence, same
from cycles.retired import Retirements, retirements
from cycles.verify_chain import place_of
from domain.canonical import canonical_hash
from domain.cycle import Cycle
from domain.dataset import DatasetRef
from domain.errors import DependencyTimeout, DependencyUnavailable, EvercrewError
from domain.gold import GOLD, GoldBaseline
from domain.receipt import RecordKind
from tools.data.dataset import DatasetMade
from tools.deliver.values import parse_values
from tools.model.train import SetAlias
from tools.observe.deployments import RuntimeState, RuntimeView

CHAMPION = "champion"
# More cycles than any store is asked for at once.
_MOST_CYCLES = 100_000


class LinkChecks:
    """The checks of one cycle against the systems."""

    def __init__(self, cycle: Cycle, evidence: Evidence) -> None:
        self._cycle = cycle
        self._facts: Any = cycle.facts
        self._evidence = evidence

    @cached_property
    def _retired(self) -> Retirements:
        return retirements(self._evidence.audit)

    @property
    def gold(self) -> list[GoldBaseline]:
        """The gold baselines of this cycle."""
        kept = [GoldBaseline.model_validate(r.payload["baseline"]) for r in self._evidence.store.recordings(GOLD)]
        return [baseline for baseline in kept if baseline.cycle_id == self._cycle.id]

    def artifacts(self) -> str:
        """Compare each file with the last hash the chain has of it."""
        files, records = self._evidence.artifacts, self._evidence.audit.records(self._cycle.id)
        notes = [r.entry.body for r in records if r.entry.status == "artifact"]
        recorded = {str(note["artifact"]): str(note["sha256"]) for note in notes}
        for name, digest in recorded.items():
            path = files.folder(self._cycle.id) / name
            if not path.exists():
                raise Differs(f"{name} is in the chain and not on disk")
            same("the chain's hash", digest, f"{name} on disk", hashlib.sha256(path.read_bytes()).hexdigest())
            files.check(name, files.read(self._cycle.id, name) or {})
        return ", ".join(recorded) or "none"

    def alert(self) -> str:
        """Compare the alert of the cycle with that of its outcome."""
        outcome = self._evidence.artifacts.read(self._cycle.id, "outcome.json") or {}
        seen = outcome.get("trigger", {}).get("fingerprint")
        return same("alert", self._cycle.alert.fingerprint, "outcome.json", seen)

    def dataset(self) -> str:
        """Let the store of data compare its content with the hash."""
        ref = DatasetMade.model_validate(self._facts["dataset"]).ref
        try:
            self._evidence.datasets.verify(ref)
        except EvercrewError:
            gone = self._retired.datasets.get(ref.md5)
            if gone is None:
                raise
            return gone.said(f"{ref.path} ({ref.md5})")
        return f"{ref.path} at {ref.revision[:12]} is {ref.md5}"

    def registered(self) -> str:
        """Compare what was trained with what is registered; the adapter computes the digest of its content anew."""
        made = self._facts["trained"]["digest"]
        ref = self._evidence.tracking.by_digest(self._evidence.model, made)
        gone = self._retired.models.get(self._digest)
        if ref is None and gone is not None and made == self._digest:
            return gone.said(f"{self._evidence.model} {made}")
        if ref is not None:
            with tempfile.TemporaryDirectory(prefix="evercrew-verify-") as scratch:
                self._evidence.tracking.download(ref, Path(scratch))
        return same("trained", made, "registered", self._tags()["digest"])

    def trained_on(self) -> str:
        """Compare the dataset with what the model says of it."""
        ref, tags = DatasetRef.model_validate(self._facts["dataset"]["ref"]), self._tags()
        same("dataset revision", ref.revision, "model's tag dataset_rev", tags.get("dataset_rev"))
        return same("dataset hash", ref.md5, "model's tag dataset_md5", tags.get("dataset_md5"))

    def caused_by(self) -> str:
        """Compare the alert with what the model says of it."""
        tag = self._tags().get("alert_fingerprint")
        return same("alert", self._cycle.alert.fingerprint, "model's tag alert_fingerprint", tag)

    def evaluated(self) -> str:
        """Compare what was evaluated with what is registered."""
        scored = self._evidence.artifacts.read(self._cycle.id, "evaluation.json") or {}
        return same("registered", self._digest, "evaluated", scored.get("candidate", {}).get("digest"))

    def values(self) -> str:
        """Compare what the cycle saw live with what git declared at its revision, which is part of the branch still."""
        facts, evidence = self._facts, self._evidence
        revision = (facts.get("reverted") or facts["release"])["revision"]
        declared = parse_values(evidence.vcs.read(revision), evidence.layout).model.digest
        same("live digest of the cycle", facts["live"]["digest"], f"values at {revision[:12]}", declared)
        if "release" in facts and "reverted" not in facts and "candidate" in facts:
            same("promoted", declared, "registered", self._digest)
        if not evidence.vcs.contains(revision):
            raise Differs(f"{revision[:12]} is no longer part of the branch: its history was rewritten")
        return f"{declared} at {revision[:12]}"

    def live(self) -> str:
        """What is live now; a later release is no fault of this cycle, a digest that git does not declare is.

        A platform that does not answer today takes nothing from the proof: then the cycle's own last look counts, which
        the chain vouches for.
        """
        try:
            live = self._evidence.delivery.live()
        except (DependencyUnavailable, DependencyTimeout):
            return self._last_seen()
        return same("live", live.digest, "git", self._declared())

    def alias(self) -> str:
        """Compare the champion with the last word of the chain about it, this cycle's or a later one's.

        Somebody else's release moves it as well: then git declares it.
        """
        evidence = self._evidence
        digest, record = _last_word(evidence.store, evidence.audit, self._cycle) or ("", 0)
        found = evidence.tracking.by_alias(evidence.model, CHAMPION)
        champion = found.digest if found is not None else None
        if champion is not None and champion == self._declared():
            return f"{CHAMPION} is {champion}, as git declares"
        return same(f"the alias {CHAMPION}", champion, f"record {record}", digest)

    def baselines(self) -> str:
        """Compare the gold tags with what was kept as gold."""
        evidence = self._evidence
        for baseline in self.gold:
            found = evidence.tracking.by_digest(baseline.model, baseline.digest)
            if found is None:
                raise Differs(f"{baseline.name}: {baseline.model} {baseline.digest} is gone, and gold is kept for ever")
            if baseline.dataset is not None:
                tagged = evidence.datasets.tagged(baseline.name)
                seen = tagged.md5 if tagged is not None else None
                same(f"the data of {baseline.name}", baseline.dataset.md5, "the dataset with that tag", seen)
        return ", ".join(baseline.name for baseline in self.gold)

    @property
    def _digest(self) -> str:
        return str(self._facts["candidate"]["model"]["digest"])

    def _declared(self) -> str:
        vcs = self._evidence.vcs
        return parse_values(vcs.read(vcs.head()), self._evidence.layout).model.digest

    def _tags(self) -> dict[str, str]:
        """Return what the registered model says of itself; of a retired one, what the chain kept of it."""
        found = self._evidence.tracking.by_digest(self._evidence.model, self._digest)
        if found is not None:
            return {**found.tags, "digest": found.digest}
        if self._digest in self._retired.models:
            kept = self._facts["candidate"]["model"]
            return {**kept["tags"], "digest": kept["digest"]}
        raise Differs(f"the registry has no {self._evidence.model} with digest {self._digest}")

    def _last_seen(self) -> str:
        evidence = self._evidence
        looks = [
            r
            for r in evidence.audit.records(self._cycle.id)
            if r.entry.kind is RecordKind.READ and r.entry.tool == RuntimeState.spec.name
        ]
        if not looks:
            raise Differs("the platform does not answer, and the cycle never looked at what was live")
        kept = {r.place: r.payload for r in evidence.store.recordings(self._cycle.id) if r.kind == "tool"}
        payload = kept.get(place_of(looks[-1]), {})
        told = looks[-1].entry.body["result_hash"]
        same("the last look in the chain", told, "its recording", canonical_hash(payload))
        seen = RuntimeView.model_validate(payload["result"])
        declared = parse_values(evidence.vcs.read(seen.revision), evidence.layout).model.digest
        said = same("live", seen.digest, f"git at {seen.revision[:12]}", declared)
        return f"{said}, as last seen at {looks[-1].at:%Y-%m-%d %H:%M:%S} UTC (the platform does not answer now)"


def named_champion(audit: AuditPort, cycle_id: str) -> tuple[str, int] | None:
    """Return the digest a cycle made champion last, and the record of it."""
    asked: dict[str, str] = {}
    last: tuple[str, int] | None = None
    for record in audit.records(cycle_id):
        entry = record.entry
        if entry.tool != SetAlias.spec.name:
            continue
        if entry.kind is RecordKind.INTENT and entry.body["args"]["alias"] == CHAMPION:
            asked[entry.key] = str(entry.body["args"]["digest"])
        elif entry.kind is RecordKind.OUTCOME and entry.status == "done" and entry.key in asked:
            last = asked[entry.key], record.sequence
    return last


def _last_word(store: StorePort, audit: AuditPort, cycle: Cycle) -> tuple[str, int] | None:
    """Return what the chain says last of the champion: by this cycle, or by one that went on after it."""
    others = [other.id for other in store.cycles(limit=_MOST_CYCLES) if other.updated_at >= cycle.updated_at]
    words = [word for word in (named_champion(audit, name) for name in {cycle.id, *others}) if word is not None]
    return max(words, key=lambda word: word[1], default=None)
