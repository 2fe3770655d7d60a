"""What was released, by whom, and whether what runs is what git says.

`deployment_history`, `deployment_diff` and `runtime_state`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import Field

from adapters.delivery.base import DeliveryPort
from adapters.vcs.base import Commit, VcsPort
from domain.untrusted import Untrusted
from tools.deliver.values import DEFAULT_LAYOUT, ModelValues, Values, ValuesLayout, parse_values
from tools.observe.reading import SignalReader
from tools.tool import Arguments, Call, Nothing, Result, Tool, ToolSpec

_NAMELESS = "a model that git does not name"


class HistoryArgs(Arguments):
    """How many releases to look back."""

    limit: int = Field(default=10, ge=1, le=50)


class Release(Result):
    """One commit to the values file.

    The message is its author's: untrusted. `seconds_before_alert` is negative after the alert.
    """

    revision: str
    author: str
    at: datetime
    message: Untrusted
    digest: str
    previous_digest: str
    model_changed: bool
    seconds_before_alert: float
    by_evercrew: bool


class DigestQuality(Result):
    """nDCG@10 of one served model over a window on one side of the release."""

    digest: str
    ndcg_at_10: float | None
    n: int


class SettingsChange(Result):
    """A release that changed settings: their names, and what they were and are, by name.

    Left out is what the file did not say before: it cannot be set back.
    """

    revision: str
    at: datetime
    author: str
    names: tuple[str, ...]
    before: Mapping[str, str | int]
    after: Mapping[str, str | int]


class History(Result):
    """Releases, newest first; `suspect` is the newest one that changed the model shortly before the alert, `settings`
    the newest one that changed settings then.

    `before` and `after` measure the two models of the suspect release; `drop` is their relative difference and `drop_z`
    the difference in standard errors, None when it cannot be told.
    """

    releases: tuple[Release, ...]
    suspect: Release | None = None
    settings: SettingsChange | None = None
    before: DigestQuality | None = None
    after: DigestQuality | None = None
    drop: float | None = None
    drop_z: float | None = None


class DeploymentHistory(Tool[HistoryArgs, History]):
    """Reads the releases and compares the models on both sides of a recent one."""

    spec = ToolSpec(
        "deployment_history", "List recent releases; compare quality on both sides of a model change near the alert."
    )
    input = HistoryArgs
    output = History

    def __init__(
        self,
        vcs: VcsPort,
        reader: SignalReader,
        *,
        near: timedelta,
        quality_signal: str = "ndcg_at_10",
        layout: ValuesLayout = DEFAULT_LAYOUT,
    ) -> None:
        self._vcs = vcs
        self._reader = reader
        self._near = near
        self._signal = quality_signal
        self._layout = layout

    def run(self, args: HistoryArgs, call: Call) -> History:
        commits = list(self._vcs.history(args.limit + 1))
        values = [parse_values(self._vcs.read(commit.revision), self._layout) for commit in commits]
        pairs = list(zip(commits, values, [*values[1:], None], strict=True))
        releases = tuple(self._release(c, now, before, call.scope.alert_at) for c, now, before in pairs)[: args.limit]
        near = [r for r in releases if self._is_near(r, call)]
        by_revision = {c.revision: (now, before) for c, now, before in pairs}
        changes = (_changed(r, *by_revision[r.revision]) for r in near)
        settings = next((change for change in changes if change is not None), None)
        suspect = next((r for r in near if r.model_changed), None)
        if suspect is None:
            return History(releases=releases, settings=settings)
        return self._compared(releases, suspect).model_copy(update={"settings": settings})

    def _is_near(self, release: Release, call: Call) -> bool:
        return release.at >= call.scope.alert_at - self._near and not release.by_evercrew

    def _release(self, commit: Commit, now: Values, before: Values | None, alert_at: datetime) -> Release:
        previous = before.model.digest if before else ""
        return Release(
            revision=commit.revision,
            author=commit.author,
            at=commit.at,
            message=Untrusted(text=commit.message, source=f"commit {commit.revision[:12]}"),
            digest=now.model.digest,
            previous_digest=previous,
            model_changed=bool(previous) and previous != now.model.digest,
            seconds_before_alert=(alert_at - commit.at).total_seconds(),
            by_evercrew="Evercrew-Cycle" in commit.trailers,
        )

    def _compared(self, releases: tuple[Release, ...], suspect: Release) -> History:
        spec = self._reader.catalog[self._signal]
        windows = self._reader.windows
        before = self._reader.measure(spec, windows.baseline, suspect.at, {"digest": suspect.previous_digest})
        since = max(self._reader.clock.now() - suspect.at, timedelta(seconds=1))
        after = self._reader.measure(spec, min(since, windows.baseline), None, {"digest": suspect.digest})
        drop = drop_z = None
        if before.usable and after.usable and before.finite() > 0:
            drop = after.finite() / before.finite() - 1
            spread = ((before.stderr or 0.0) ** 2 + (after.stderr or 0.0) ** 2) ** 0.5
            drop_z = (after.finite() - before.finite()) / spread if spread > 0 else None
        return History(
            releases=releases,
            suspect=suspect,
            before=DigestQuality(digest=suspect.previous_digest, ndcg_at_10=before.value, n=before.n),
            after=DigestQuality(digest=suspect.digest, ndcg_at_10=after.value, n=after.n),
            drop=drop,
            drop_z=drop_z,
        )


def _called(model: ModelValues) -> str:
    return f"{model.name} version {model.version}" if model.name and model.version else _NAMELESS


def _changed(release: Release, now: Values, before: Values | None) -> SettingsChange | None:
    """Return the settings a release changed, or None when it changed none."""
    if before is None:
        return None
    is_now, was = now.settings(), before.settings()
    names = [name for name in is_now if was[name] != is_now[name] and was[name] is not None]
    if not names:
        return None
    return SettingsChange(
        revision=release.revision,
        at=release.at,
        author=release.author,
        names=tuple(names),
        before={name: value for name in names if (value := was[name]) is not None},
        after={name: value for name in names if (value := is_now[name]) is not None},
    )


class DiffArgs(Arguments):
    """The two revisions to compare (hexadecimal)."""

    older: str = Field(pattern=r"^[0-9a-f]{7,40}$")
    newer: str = Field(pattern=r"^[0-9a-f]{7,40}$")


class Diff(Result):
    text: Untrusted
    lines: int


class DeploymentDiff(Tool[DiffArgs, Diff]):
    """Reads the difference of the values file between two revisions."""

    spec = ToolSpec("deployment_diff", "Show the difference of the values file between two revisions.")
    input = DiffArgs
    output = Diff

    def __init__(self, vcs: VcsPort) -> None:
        self._vcs = vcs

    def run(self, args: DiffArgs, call: Call) -> Diff:
        text = self._vcs.diff(args.older, args.newer)
        return Diff(
            text=Untrusted(text=text, source=f"diff {args.older[:12]}..{args.newer[:12]}"), lines=text.count("\n")
        )


class RuntimeView(Result):
    """What runs beside what git says; `overridden` lists the settings changed at run time, behind git's back.

    `model` is what people call what is live, by the name and the version that git has for its digest.
    """

    model: str = _NAMELESS
    digest: str
    revision: str
    declared_revision: str
    mode: str
    declared_mode: str
    tier: str
    declared_tier: str
    mode_source: str
    index_generation: int
    declared_generation: int
    overridden: tuple[str, ...]


class RuntimeState(Tool[Nothing, RuntimeView]):
    """Compares what runs with what git says."""

    spec = ToolSpec(
        "runtime_state", "Compare what the platform runs (model, mode, tier, index) with what git declares."
    )
    input = Nothing
    output = RuntimeView

    def __init__(self, vcs: VcsPort, delivery: DeliveryPort, layout: ValuesLayout = DEFAULT_LAYOUT) -> None:
        self._vcs = vcs
        self._delivery = delivery
        self._layout = layout

    def run(self, args: Nothing, call: Call) -> RuntimeView:
        live = self._delivery.live()
        head = self._vcs.head()
        declared = parse_values(self._vcs.read(head), self._layout)
        # What git has no place for cannot be overridden behind its back.
        differences = {
            "model": live.digest != declared.model.digest,
            "mode": self._layout.mode is not None and live.mode != declared.search.mode,
            "tier": self._layout.tier is not None and live.tier != declared.search.tier,
        }
        return RuntimeView(
            model=_NAMELESS if differences["model"] else _called(declared.model),
            digest=live.digest,
            revision=live.revision,
            declared_revision=head,
            mode=live.mode,
            declared_mode=declared.search.mode,
            tier=live.tier,
            declared_tier=declared.search.tier,
            mode_source=live.mode_source,
            index_generation=live.index_generation,
            declared_generation=declared.index.generation,
            overridden=tuple(sorted(name for name, differs in differences.items() if differs)),
        )
