"""Where everything of a world stands. A world is one directory; nothing of it lies outside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Paths below the world's directory `root`."""

    root: Path

    @property
    def corpus(self) -> Path:
        """The live document store and its drop folder."""
        return self.root / "corpus"

    @property
    def incoming(self) -> Path:
        """Files dropped here as `*.jsonl` are taken into the document store."""
        return self.corpus / "incoming"

    @property
    def gitops(self) -> Path:
        """The bare GitOps repository."""
        return self.root / "gitops.git"

    @property
    def cluster(self) -> Path:
        """The bare repository that something else applies the GitOps repository to, where there is such a thing."""
        return self.root / "cluster.git"

    @property
    def followed(self) -> Path:
        """The repository the service follows."""
        return self.cluster if self.cluster.exists() else self.gitops

    @property
    def state(self) -> Path:
        """What the service keeps."""
        return self.root / "state"

    @property
    def feedback(self) -> Path:
        """Judgements that the data team may read (SQLite)."""
        return self.state / "feedback.sqlite"

    @property
    def pipeline(self) -> Path:
        """Settings of the feedback pipeline."""
        return self.state / "pipeline.json"

    @property
    def runtime(self) -> Path:
        """Overrides an operator set by hand."""
        return self.state / "runtime.json"

    @property
    def applied(self) -> Path:
        """The revision applied last."""
        return self.state / "applied.json"

    @property
    def models(self) -> Path:
        """Local cache of bundles by digest."""
        return self.state / "models"

    @property
    def index(self) -> Path:
        """Index files by generation."""
        return self.state / "index"

    @property
    def log(self) -> Path:
        """The structured log of the service."""
        return self.state / "logs" / "service.jsonl"

    @property
    def sealed(self) -> Path:
        """Held-out judgements; for the evaluator only."""
        return self.root / "sealed"

    @property
    def truth(self) -> Path:
        """What only the traffic and the measurement of the truth may read."""
        return self.root / "truth"

    @property
    def traffic(self) -> Path:
        """The control file of the traffic."""
        return self.truth / "traffic.json"

    @property
    def world_file(self) -> Path:
        """How the population is made: seed, size, collection."""
        return self.truth / "world.json"

    @property
    def universe(self) -> Path:
        """All documents users may ask for, arrived or not."""
        return self.truth / "documents.jsonl"

    @property
    def traffic_report(self) -> Path:
        """What the traffic has done so far."""
        return self.truth / "report.json"

    @property
    def endpoint(self) -> Path:
        """Where the running service answers."""
        return self.state / "endpoint.json"
