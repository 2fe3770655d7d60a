"""Where the same thing stands in other people's pages: the trace in LangSmith or MLflow, the model in MLflow.

An address begins with what is configured, http or https, without credentials; what a cycle says of itself is quoted
into its end. Where nothing is configured, or nothing is sent, there is no link.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit
from uuid import UUID

from service.settings import TRACES_PAGE
from service.tracers import sinks_of

if TYPE_CHECKING:
    from domain.cycle import Cycle
    from service.wiring import App

_MLFLOW = "/#/experiments/"


@dataclass(frozen=True)
class Link:
    """A way out of the console: what is there, and its address."""

    label: str
    href: str


@dataclass(frozen=True)
class Elsewhere:
    """The links of a cycle: to its trace, None where that has no page, and to its model."""

    trace: Link | None = None
    model: tuple[Link, ...] = ()


def elsewhere_of(app: App, cycle: Cycle, trace: str) -> Elsewhere:
    """Return the links of a cycle.

    Args:
        trace: the identity of its trace, 32 hexadecimal digits; empty where it was not traced.
    """
    found = re.match(TRACES_PAGE, app.settings.traces_page)
    page = found.group() if found else ""
    server = page.partition(_MLFLOW)[0] if _MLFLOW in page else server_of(app.config.tracking.uri)
    sent = ("mlflow" if _MLFLOW in page else "langsmith") in sinks_of(app.settings)
    return Elsewhere(_trace(page, trace) if sent else None, _model(server, cycle))


def server_of(uri: str) -> str:
    """Return where the pages of an MLflow server are; empty for what is none, e.g. a database."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


def _trace(page: str, trace: str) -> Link | None:
    if not page or not trace:
        return None
    if _MLFLOW in page:
        return Link("Trace in MLflow", f"{page}/traces?selectedEvaluationId=tr-{quote(trace, safe='')}")
    return Link("Trace in LangSmith", f"{page}/r/{UUID(hex=trace)}")


def _model(server: str, cycle: Cycle) -> tuple[Link, ...]:
    """The version that the cycle registered, and the run that trained it."""
    candidate = cycle.facts.get("candidate")
    model = candidate.get("model") if isinstance(candidate, Mapping) else None
    if not server or not isinstance(model, Mapping):
        return ()
    name, version, run = (str(model.get(key) or "") for key in ("name", "version", "run_id"))
    links = []
    if name and version:
        address = f"{server}/#/models/{quote(name, safe='')}/versions/{quote(version, safe='')}"
        links.append(Link(f"{name} version {version} in MLflow", address))
    if run:
        links.append(Link("Its training run in MLflow", f"{server}/#/runs/{quote(run, safe='')}"))
    return tuple(links)
