"""Pictures of every page of the console, taken in a real browser: `python -m evals.screenshots --out docs/images`.

Without an address it serves a console with data of its own, that of `tests/support`, so that works in a checkout only.
Every page is taken in light, the overview and a cycle also in dark and as on a phone. The pictures are reduced to 256
colours.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from domain.errors import DependencyUnavailable, InvalidInput

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from service.api.serving import Serving

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 800}
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
COLOURS = 256
PATIENCE_MS = 15_000
# What is asked in the chat for its picture: a question, and an order that nobody confirms.
SENTENCES = ("What waits for people?", "Stop everything in {environment}")
PAGES: Mapping[str, str] = {
    "overview": "/",
    "cycles": "/cycles",
    "cycle": "/cycles/{cycle}",
    "evidence": "/cycles/{ended}/evidence",
    "approvals": "/approvals",
    "approval": "/approvals/{approval}",
    "audit": "/audit",
    "record": "/audit/{record}",
    "policies": "/policies",
    "matrix": "/policies/matrix?environment=staging",
    "explain": "/policies/explain?tool=promote",
    "contract": "/policies/contract",
    "overrides": "/policies/overrides",
    "flags": "/flags",
    "kill": "/kill",
    "reports": "/reports",
    "weekly": "/reports/weekly/now",
    "budgets": "/budgets",
    "schedules": "/schedules",
    "notices": "/notices",
    "access": "/access",
    "chat": "/chat",
}
"""The pages, by the names their pictures carry."""
ALSO = ("overview", "cycle")
"""Pages that are taken in dark and on a phone too."""


@dataclass(frozen=True)
class Place:
    """A console that answers, and who signs in there."""

    url: str
    user: str
    password: str


def take(place: Place, out: Path, *, pages: Sequence[str] = (), program: str = "") -> list[Path]:
    """Take the pictures, and return where they are.

    Args:
        pages: names of `PAGES`; none is all.
        program: the browser; by default the Chromium of this machine.

    Raises:
        DependencyUnavailable: there is no browser, or the console does not let this user in.
    """
    unknown = sorted(set(pages) - set(PAGES))
    if unknown:
        raise InvalidInput("pages", f"{', '.join(unknown)} is none", f"Use: {', '.join(PAGES)}")
    out.mkdir(parents=True, exist_ok=True)
    with browsing(program) as browser:
        taken = _series(browser, place, out, [name for name in PAGES if name in (pages or PAGES)])
        for name in (name for name in ALSO if name in (pages or PAGES)):
            taken += _series(browser, place, out, [name], mark="-dark", dark=True)
            taken += _series(browser, place, out, [name], mark="-phone", viewport=PHONE)
    for picture in taken:
        _reduce(picture)
    return taken


@contextmanager
def own_console() -> Iterator[Place]:
    """Serve a console with data of its own."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import tests.conftest  # noqa: F401 - no telemetry, and no setting of the machine that changes an answer
    from tests.support.browsing import console
    from tests.support.serving import PASSWORD
    from tests.support.telling import SECTION, tell

    folder = tempfile.TemporaryDirectory(prefix="evercrew-screenshots-")
    with folder as name, console(Path(name), notify=SECTION) as served:
        _furnish(served.serving)
        tell(served.serving)
        yield Place(served.url, "Ann", PASSWORD)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; ends with 1 when there is no browser, or nobody is let in."""
    parser = argparse.ArgumentParser(prog="python -m evals.screenshots", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="the folder of the pictures")
    parser.add_argument("--url", default="", help="a console that answers; without one, one is served")
    parser.add_argument("--user", default="admin", help="who signs in there")
    parser.add_argument("--password-file", type=Path, help="a file with the password")
    parser.add_argument("--pages", nargs="*", default=(), help=f"some of: {', '.join(PAGES)}")
    given = parser.parse_args(arguments)
    try:
        if given.url:
            if given.password_file is None:
                raise InvalidInput("password-file", "is missing", "Name a file with the password")
            password = given.password_file.read_text(encoding="utf-8").strip()
            taken = take(Place(given.url.rstrip("/"), given.user, password), given.out, pages=given.pages)
        else:
            with own_console() as place:
                taken = take(place, given.out, pages=given.pages)
    except (DependencyUnavailable, InvalidInput, OSError) as problem:
        print(f"screenshots: {problem}", file=sys.stderr)
        return 1
    for picture in taken:
        print(f"{picture}  {picture.stat().st_size / 1024:.0f} KiB")
    return 0


# -- taking -----------------------------------------------------------------------------------------------------------


def _series(
    browser: Browser,
    place: Place,
    out: Path,
    names: Sequence[str],
    *,
    mark: str = "",
    dark: bool = False,
    viewport: Mapping[str, int] | None = None,
) -> list[Path]:
    size: Any = dict(viewport or DESK)
    context = browser.new_context(
        viewport=size, color_scheme="dark" if dark else "light", reduced_motion="reduce", locale="en-GB"
    )
    context.set_default_timeout(PATIENCE_MS)
    try:
        page = context.new_page()
        sign_in(page, place)
        found = _found(context, place)
        taken = []
        for name in names:
            page.goto(place.url + PAGES[name].format(**found))
            if name == "chat":
                _talk(page, found["environment"])
            page.evaluate("document.fonts.ready")
            page.wait_for_timeout(250)
            picture = out / f"console-{name}{mark}.png"
            page.screenshot(path=picture)
            taken.append(picture)
        return taken
    finally:
        context.close()


def sign_in(page: Page, place: Place) -> None:
    """Sign in through the form.

    Raises:
        DependencyUnavailable: this user is not let in.
    """
    from playwright.sync_api import Error

    try:
        page.goto(f"{place.url}/login")
        page.get_by_label("Name").fill(place.user)
        page.get_by_label("Password").fill(place.password)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_role("heading", name="Overview", level=1).wait_for()
    except Error as problem:
        said = problem.message.splitlines()[0]
        raise DependencyUnavailable("console", f"{place.user} was not let in at {place.url}: {said}") from problem


def _found(context: BrowserContext, place: Place) -> dict[str, str]:
    """Return the cycle, the approval and the record to show: what waits for people first."""

    def asked(path: str) -> dict[str, Any]:
        answer = context.request.get(f"{place.url}/api/v1{path}")
        found: dict[str, Any] = answer.json() if answer.ok else {}
        return found

    approvals = asked("/approvals?limit=50").get("items", [])
    cycles = asked("/cycles?limit=50").get("items", [])
    waiting = next((a for a in approvals if a["state"] == "waiting"), approvals[0] if approvals else None)
    ended = next((c["id"] for c in cycles if c.get("outcome") == "improved"), cycles[-1]["id"] if cycles else "none")
    return {
        "approval": waiting["id"] if waiting else "none",
        "cycle": waiting["cycle_id"] if waiting else ended,
        "ended": ended,
        "environment": waiting["environment"] if waiting else "dev",
        "record": "12",
    }


def _talk(page: Page, environment: str) -> None:
    for sentence in SENTENCES:
        answers = page.locator(".turn:not(.mine):not(.waits)")
        before = answers.count()
        page.get_by_label("Your message").fill(sentence.format(environment=environment))
        page.keyboard.press("Enter")
        answers.nth(before).wait_for()


@contextmanager
def browsing(program: str = "") -> Iterator[Browser]:
    """Open a browser: the program, or the Chromium of this machine.

    Raises:
        DependencyUnavailable: there is none.
    """
    from playwright.sync_api import Error, sync_playwright

    found = program or next((there for name in NAMES if (there := shutil.which(name)) is not None), None)
    if found is None:
        raise DependencyUnavailable("chromium", f"there is none of {', '.join(NAMES)}", "apt-get install chromium")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        except Error as problem:
            raise DependencyUnavailable("chromium", problem.message.splitlines()[0]) from problem
        try:
            yield browser
        finally:
            browser.close()


def _reduce(picture: Path) -> None:
    """Write a picture anew in 256 colours of its own: a third of the size, and the eye sees no difference.

    Where Pillow is not installed it stays as it is.
    """
    if importlib.util.find_spec("PIL") is None:
        return
    from PIL import Image

    with Image.open(picture) as full:
        fewer = full.convert("RGB").quantize(
            COLOURS, method=Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE
        )
    fewer.save(picture, optimize=True)


# -- data of its own --------------------------------------------------------------------------------------------------


def _furnish(serving: Serving) -> None:
    """Add what somebody would have done in a week: a report, an override, a flag and a token."""
    from datetime import timedelta

    from cycles.switches import Switchboard
    from domain.access import AccessRole, Caller
    from domain.override import override
    from service.reporting import report
    from service.weekly.make import made
    from service.weekly.span import week_of

    app, now = serving.app, serving.clock.now()
    for cycle in app.ports.store.cycles():
        if cycle.stage.terminal:
            report(app, cycle)
    made(app, week_of(now), by="schedule")
    board = Switchboard(app.ports.store, app.audit, app.clock)
    board.set_feature(
        "cost_optimization", False, environment="dev", by="Ann", reason="prices change at the end of the month"
    )
    rulebook = app.office.rulebook
    if rulebook is not None:
        lasts = timedelta(hours=8)
        rulebook.add(
            override("gate", "ndcg_at_10", 0.02, environment="dev", by="Ann", reason="new corpus", at=now, lasts=lasts)
        )
    ann = serving.access.accounts.account("Ann")
    if ann is not None:
        by = Caller(name="Ann", roles=frozenset({AccessRole.ADMIN}), via="local")
        serving.access.keeper.give_token(ann, "Grafana annotations", ["view"], timedelta(days=90), by=by)


if __name__ == "__main__":
    sys.exit(main())
