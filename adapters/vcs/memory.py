"""A values repository in memory, for tests and embedding."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime

from adapters.vcs.base import EFFECT_COMMIT, EFFECT_REVERT, EFFECT_WITHDRAW, Commit, NothingToRevert
from adapters.vcs.values import check_values
from domain.canonical import sha256_text
from domain.clock import Clock
from domain.errors import ConflictError, InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier


class MemoryVcs:
    """`VcsPort` over a list of commits; `push_from_outside` plays everybody else."""

    reviewed = False

    def __init__(self, *, text: str, permits: PermitVerifier, clock: Clock, author: str = "Evercrew") -> None:
        self._permits = permits
        self._clock = clock
        self._author = author
        self._lock = threading.Lock()
        self._commits: list[Commit] = []
        self._texts: list[str] = []
        self._touches: list[bool] = []
        self._append(text, "first values", {}, "somebody")

    def push_from_outside(self, text: str | None, message: str = "a change by somebody else") -> str:
        """Add a commit that somebody else pushed; `text` None leaves the values file alone. Returns its revision."""
        with self._lock:
            return self._append(text, message, {}, "somebody")

    def head(self) -> str:
        """See `VcsPort.head`."""
        return self._commits[-1].revision

    def read(self, revision: str | None = None) -> str:
        """See `VcsPort.read`."""
        return self._texts[-1 if revision is None else self._index("revision", revision)]

    def history(self, limit: int = 20, since: datetime | None = None) -> Sequence[Commit]:
        """See `VcsPort.history`."""
        touching = [commit for commit, touches in zip(self._commits, self._touches, strict=True) if touches]
        newest = touching[::-1][:limit]
        return [commit for commit in newest if since is None or commit.at >= since]

    def contains(self, revision: str) -> bool:
        """See `VcsPort.contains`."""
        return any(commit.revision == revision for commit in self._commits)

    def diff(self, older: str, newer: str) -> str:
        """See `VcsPort.diff`."""
        before, after = self._texts[self._index("older", older)], self._texts[self._index("newer", newer)]
        lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), "a/values", "b/values")
        return "".join(lines)

    def commit(
        self, *, text: str, message: str, expected_head: str, cycle_id: str, key: str, permit: Permit | None
    ) -> str:
        """See `VcsPort.commit`."""
        self._permits.spend(permit, effect=EFFECT_COMMIT, key=key)
        check_values(text)
        with self._lock:
            done = self._find(key)
            if done is not None:
                return done
            start = self._index("expected_head", expected_head)
            if any(self._touches[start + 1 :]):
                raise ConflictError(f"the values were changed after {expected_head[:12]}; read them again")
            return self._append(text, message, {"Evercrew-Cycle": cycle_id, "Evercrew-Key": key}, self._author)

    def rehearse_revert(self, revision: str) -> str:
        """See `VcsPort.rehearse_revert`."""
        with self._lock:
            return self._reverted(revision)

    def rehearse_change(self, text: str) -> str:
        """See `VcsPort.rehearse_change`."""
        check_values(text)
        present = self._texts[-1]
        if text == present:
            raise ConflictError("the change changes nothing, so there is nothing to revert")
        return _without(text, text, present)

    def revert(self, *, revision: str, message: str, cycle_id: str, key: str, permit: Permit | None) -> str:
        """See `VcsPort.revert`."""
        self._permits.spend(permit, effect=EFFECT_REVERT, key=key)
        with self._lock:
            done = self._find(key)
            if done is not None:
                return done
            text = self._reverted(revision)
            trailers = {"Evercrew-Reverts": revision, "Evercrew-Cycle": cycle_id, "Evercrew-Key": key}
            return self._append(text, message, trailers, self._author)

    def withdraw(self, *, proposal: str, reason: str, key: str, permit: Permit | None) -> bool:
        """See `VcsPort.withdraw`: nothing is proposed here, it is committed."""
        self._permits.spend(permit, effect=EFFECT_WITHDRAW, key=key)
        return False

    def observe(self, key: str) -> Observation:
        """See `VcsPort.observe`."""
        found = self._find(key)
        return Observation.done({"revision": found}) if found else Observation.absent("no commit carries the key")

    def check(self) -> str:
        """See `VcsPort.check`."""
        return f"memory: at {self.head()[:12]}"

    def _append(self, text: str | None, message: str, trailers: Mapping[str, str], author: str) -> str:
        content = self._texts[-1] if text is None else text
        revision = sha256_text(f"{len(self._commits)}\n{message}\n{content}")[:40]
        lines = [message.strip(), "", *(f"{name}: {value}" for name, value in trailers.items())]
        self._commits.append(
            Commit(
                revision=revision,
                author=author,
                at=self._clock.now(),
                message="\n".join(lines).strip(),
                trailers=dict(trailers),
            )
        )
        self._touches.append(not self._texts or content != self._texts[-1])
        self._texts.append(content)
        return revision

    def _find(self, key: str) -> str | None:
        return next((c.revision for c in self._commits if c.trailers.get("Evercrew-Key") == key), None)

    def _index(self, field: str, revision: str) -> int:
        for index, commit in enumerate(self._commits):
            if len(revision) >= 7 and commit.revision.startswith(revision):
                return index
        raise InvalidInput(field, f"{revision!r} is not in the repository", "Take a revision from the history")

    def _reverted(self, revision: str) -> str:
        index = self._index("revision", revision)
        if index == 0:
            raise InvalidInput("revision", f"{revision[:12]} has 0 parents", "Name an ordinary commit")
        if self._texts[index] == self._texts[index - 1]:
            raise NothingToRevert(f"{revision[:12]} changed nothing: there is nothing to revert")
        text = _without(self._texts[-1], self._texts[index], self._texts[index - 1])
        if text == self._texts[-1]:
            raise NothingToRevert(f"reverting {revision[:12]} changes nothing: it was reverted before")
        check_values(text)
        return text


def _without(current: str, changed: str, original: str) -> str:
    """`current` with the step from `original` to `changed` undone, line by line."""
    ours, base, theirs = (text.splitlines(True) for text in (current, changed, original))
    place = {
        block.a + offset: block.b + offset
        for block in difflib.SequenceMatcher(None, base, ours, autojunk=False).get_matching_blocks()
        for offset in range(block.size)
    }
    result = list(ours)
    edits = difflib.SequenceMatcher(None, base, theirs, autojunk=False).get_opcodes()
    for tag, low, high, theirs_low, theirs_high in reversed(edits):
        if tag == "equal":
            continue
        around = range(max(low - 1, 0), min(high + 1, len(base)))
        places = [place.get(line) for line in around]
        if None in places or places != list(range(places[0] or 0, (places[0] or 0) + len(places))):
            raise ConflictError("the revert does not apply: later commits changed the same lines")
        start = place[low] if low in place else (place[low - 1] + 1 if low else 0)
        result[start : start + high - low] = theirs[theirs_low:theirs_high]
    return "".join(result)
