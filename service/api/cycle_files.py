"""What a cycle leaves behind: its report, and its artifacts."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, Header, Query, Response
from pydantic import StringConstraints

from domain.access import ApiAction, Caller
from domain.cycle import Cycle
from domain.errors import DependencyUnavailable
from service.access.guard import may
from service.api.blocking import bounded
from service.api.etags import NOT_MODIFIED, IfNoneMatch, NotModified, matches
from service.api.problems import documented, not_found
from service.api.routing import router_of
from service.api.serving import Serving, serving
from service.api.shapes import CycleId, Reply
from service.api.streamed import streamed, tag_of
from service.report.write import HTML, MARKDOWN

router = router_of("cycles")
On = Annotated[Serving, Depends(serving)]
Viewer = Annotated[Caller, Depends(may(ApiAction.VIEW))]
# A name of a file in one folder: no separator, and no name that begins with a dot.
ArtifactName = Annotated[str, StringConstraints(max_length=120, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".md": "text/markdown; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".yaml": "application/yaml",
}
_BYTES = "application/octet-stream"
# A page that was written from alerts and logs: nothing of it runs, and nothing is fetched.
_PAGE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"


class ArtifactView(Reply):
    """A file of a cycle."""

    name: str
    size: int
    media_type: str
    href: str


class ArtifactsView(Reply):
    """The files of a cycle, by name."""

    cycle_id: str
    artifacts: list[ArtifactView]


def _media(*types: str) -> dict[int | str, dict[str, Any]]:
    """Return, for a route's OpenAPI, that it answers with files of these types; errors stay problems."""
    content: dict[str, Any] = {kind.partition(";")[0]: {"schema": {}} for kind in types}
    return {**documented(), **NOT_MODIFIED, 200: {"description": "The file", "content": content}}


@router.get("/cycles/{cycle_id}/report", response_class=Response, responses=_media(TYPES[".html"], TYPES[".md"]))
@bounded()
def report(
    on: On,
    caller: Viewer,
    cycle_id: CycleId,
    form: Annotated[Literal["html", "md"], Query(alias="format", description="A page, or Markdown.")] = "html",
    if_none_match: IfNoneMatch = "",
) -> Response:
    """Return the report of a cycle as it stands now."""
    from service.reporting import report as written

    cycle = known(on, cycle_id)
    name = HTML if form == "html" else MARKDOWN
    path = on.app.office.artifacts.root / cycle.id / name
    if not _fresh(path, cycle):
        written(on.app, cycle)
    return _from_disk(path, if_none_match, shown=True)


@router.get("/cycles/{cycle_id}/artifacts")
@bounded()
def listed(on: On, caller: Viewer, cycle_id: CycleId) -> ArtifactsView:
    """List the files a cycle has left behind."""
    cycle = known(on, cycle_id)
    files = _files(on, cycle.id)
    return ArtifactsView(
        cycle_id=cycle.id,
        artifacts=[
            ArtifactView(
                name=name,
                size=path.stat().st_size,
                media_type=_type(path.name),
                href=f"/api/v1/cycles/{cycle.id}/artifacts/{name}",
            )
            for name, path in sorted(files.items())
        ],
    )


@router.get(
    "/cycles/{cycle_id}/artifacts/{name}",
    response_class=Response,
    responses={**_media(*TYPES.values(), _BYTES), 206: {"description": "The part of it that was asked for"}},
)
@bounded()
def download(
    on: On,
    caller: Viewer,
    cycle_id: CycleId,
    name: ArtifactName,
    if_none_match: IfNoneMatch = "",
    wanted: Annotated[str, Header(alias="Range", max_length=200, description="A part of it: `bytes=0-999`.")] = "",
    if_range: Annotated[str, Header(alias="If-Range", max_length=200, description="A part of this tag only.")] = "",
) -> Response:
    """Return a file of a cycle, to be kept: all of it, or a part, however large it is."""
    cycle = known(on, cycle_id)
    path = _files(on, cycle.id).get(name)
    if path is None:
        raise not_found("a file of this cycle", name, f"See GET /api/v1/cycles/{cycle.id}/artifacts", field="name")
    return _from_disk(path, if_none_match, wanted=wanted, if_range=if_range)


def names_of(on: Serving, cycle_id: str) -> list[str]:
    """Return the names of the files of a cycle."""
    return sorted(_files(on, cycle_id))


def _files(on: Serving, cycle_id: str) -> dict[str, Path]:
    """Return the regular files directly in the folder of a cycle; what a link points at is none of them."""
    folder = on.app.office.artifacts.root / cycle_id
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
        return {path.name: path for path in found if stat.S_ISREG(path.lstat().st_mode)}
    except FileNotFoundError:
        return {}
    except OSError as problem:
        raise _unreadable(problem) from problem


def sent(name: str, content: bytes, if_none_match: str) -> Response:
    """Return a text that was just written as it is sent, to be shown.

    Raises:
        NotModified: the client has it.
    """
    tag = tag_of(hashlib.sha256(content).hexdigest())
    if matches(if_none_match, tag, weakly=True):
        raise NotModified(tag)
    headers = {**_headers(name, shown=True), "ETag": tag}
    return Response(content, headers=headers, media_type=_type(name))


def _from_disk(
    path: Path, if_none_match: str, *, shown: bool = False, wanted: str = "", if_range: str = ""
) -> Response:
    """Return a file as it is sent, part by part: to be shown, or to be kept."""
    headers, kind = _headers(path.name, shown=shown), _type(path.name)
    try:
        return streamed(path, headers, kind, if_none_match=if_none_match, wanted=wanted, if_range=if_range)
    except OSError as problem:
        raise _unreadable(problem) from problem


def _headers(name: str, *, shown: bool) -> dict[str, str]:
    return {
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'{"inline" if shown else "attachment"}; filename="{name}"',
        "Content-Security-Policy": _PAGE,
    }


def _type(name: str) -> str:
    return TYPES.get(Path(name).suffix, _BYTES)


def _fresh(path: Path, cycle: Cycle) -> bool:
    """Whether a report was written when the cycle had ended; one of an open cycle is written anew."""
    try:
        return cycle.stage.terminal and path.stat().st_mtime >= cycle.updated_at.timestamp()
    except OSError:
        return False


def known(on: Serving, cycle_id: str) -> Cycle:
    """Return a cycle.

    Raises:
        Problem: 404, there is none.
    """
    cycle = on.app.ports.store.cycle(cycle_id)
    if cycle is None:
        raise not_found("a cycle", cycle_id, "See GET /api/v1/cycles", field="cycle_id")
    return cycle


def _unreadable(problem: OSError) -> DependencyUnavailable:
    return DependencyUnavailable("artifacts", f"cannot be read: {problem.strerror}", "Look at the folder of `state`")
