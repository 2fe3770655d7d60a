"""The whole way, as a team runs it: an alert of a real Prometheus, a person in a real browser, a healed platform.

`python -m evals.e2e` starts the search platform with its users, Prometheus, Alertmanager and `evercrew serve`, hurts
the platform, and waits. Prometheus fires, Alertmanager posts to the webhook, the crew works the cycle up to its
promotion; a person signs in with Chromium, reads what is to be done, and approves it there; the model goes live, is
watched, the alert resolves by itself, and what the people were told has come to their channel. At the end every page of
the console is pictured. Ends with 1 when a step is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx

from domain.clock import Clock, SystemClock
from domain.errors import DependencyTimeout, EvercrewError
from evals.e2e_browser import approve
from evals.e2e_site import APPROVER, PASSWORD, Site, profile, site
from evals.screenshots import PAGES, Place, take
from evals.sections import Section
from evals.tables import console
from service.demo import fresh_folder, inject
from service.settings import load

Found = TypeVar("Found")
_LOOK = timedelta(milliseconds=500)
# Pages that say most while somebody is asked.
_WAITING = ("overview", "cycle", "approvals", "approval")


@dataclass
class Walk:
    """What happened, step by step, with seconds since the one before."""

    clock: Clock
    steps: list[tuple[str, float, str]] = field(default_factory=list)
    _since: float = -1.0

    def done(self, step: str, detail: str = "") -> None:
        """Note that a step is done."""
        now = self.clock.monotonic()
        seconds = now - self._since if self._since >= 0 else 0.0
        self._since = now
        self.steps.append((step, seconds, detail))
        sys.stderr.write(f"{seconds:7.1f} s  {step}{f': {detail}' if detail else ''}\n")

    def wait(self, what: str, look: Callable[[], Found | None], patience: timedelta) -> Found:
        """Look until there is something, and return it.

        Raises:
            DependencyTimeout: there was nothing for so long.
        """
        deadline = self.clock.monotonic() + patience.total_seconds()
        while self.clock.monotonic() < deadline:
            found = look()
            if found is not None:
                return found
            self.clock.sleep(_LOOK)
        raise DependencyTimeout("e2e", f"{what}: nothing in {patience.total_seconds():g} s")


class Api:
    """The REST API, as an admin."""

    def __init__(self, url: str, user: str, password: str) -> None:
        form = {"grant_type": "password", "username": user, "password": password}
        answer = httpx.post(f"{url}/api/v1/auth/token", data=form, timeout=10.0)
        answer.raise_for_status()
        bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        self._client = httpx.Client(base_url=f"{url}/api/v1", headers=bearer, timeout=30.0)

    def get(self, path: str, **query: Any) -> Any:
        """Return what a GET answers."""
        answer = self._client.get(path, params=query)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: Any) -> Any:
        """Return what a POST answers."""
        answer = self._client.post(path, json=body)
        answer.raise_for_status()
        return answer.json()


def walk(options: argparse.Namespace, clock: Clock) -> tuple[Walk, dict[str, Any]]:
    """Walk the whole way and return its steps and what came of it.

    Raises:
        DependencyError: a part did not start, or a step did not come in time.
    """
    told = Walk(clock)
    told.done("begin")
    with ExitStack() as running:
        cache = load().home.expanduser() / "testbed"
        out = fresh_folder(options.out)
        place = site(out, running, seed=options.seed, documents=options.documents, cache=cache)
        told.done("platform, Prometheus, Alertmanager and Evercrew run", place.url)
        api = Api(place.url, "admin", place.secret)
        api.post("/auth/users", {"name": APPROVER, "roles": ["approver"], "password": PASSWORD})
        measure = profile().measure
        clock.sleep(measure.baseline + measure.gap)
        inject(place.world, options.fault, options.seed)
        told.done("something happens to the platform", "after a healthy while")
        cycle_id = _cycle(told, api, place)
        found = _ended(told, api, place, cycle_id, options)
        if options.images is not None:
            _pictures(place, options.images, waits=False)
            told.done("every page pictured", str(options.images))
    return told, found


def _cycle(told: Walk, api: Api, place: Site) -> str:
    """Wait for the alert, and for the cycle that it opens."""
    firing = told.wait("an alert", lambda: place.firing() or None, timedelta(seconds=90))
    told.done("Prometheus fires, Alertmanager calls", ", ".join(firing))
    opened = told.wait("a cycle", lambda: api.get("/cycles")["items"] or None, timedelta(seconds=20))
    cycle_id = str(opened[0]["id"])
    told.done("a cycle is open", cycle_id)
    return cycle_id


def _ended(told: Walk, api: Api, place: Site, cycle_id: str, options: argparse.Namespace) -> dict[str, Any]:
    """Approve what waits, in the browser, until the cycle has ended; then wait for the alert to resolve."""

    def look() -> str | None:
        cycle = api.get(f"/cycles/{cycle_id}")
        if not cycle["open"]:
            return "ended"
        return "waits" if waiting() else None

    def waiting() -> list[dict[str, Any]]:
        return [asked for asked in api.get("/approvals", cycle=cycle_id)["items"] if asked["state"] == "waiting"]

    approved = 0
    while told.wait("an approval or the end", look, timedelta(minutes=5)) == "waits":
        request = waiting()[0]
        told.done("the crew asks for an approval", f"{request['tool']} ({request['id']})")
        if options.images is not None and not approved:
            _pictures(place, options.images, waits=True)
            told.done("pictured, while it waits")
        approve(Place(url=place.url, user=APPROVER, password=PASSWORD), request["id"])
        approved += 1
        told.done("approved in the browser")
    cycle = api.get(f"/cycles/{cycle_id}")
    told.done("the cycle has ended", f"{cycle['outcome']}: {cycle['reason']}")
    proof = api.get(f"/cycles/{cycle_id}/verify")
    told.done("proved against the live systems", f"{len(proof['checks'])} checks")
    told.wait("the end of the alert", lambda: True if not place.firing() else None, timedelta(minutes=2))
    told.done("the alert has resolved")
    told.wait("a message to the people", lambda: place.told or None, timedelta(minutes=1))
    told.done("the people were told", f"{len(place.told)} messages to the channel")
    return {
        "cycle_id": cycle_id,
        "outcome": cycle["outcome"],
        "verified": bool(proof["verified"]),
        "approved_in_the_browser": approved,
        "cycles": len(api.get("/cycles")["items"]),
        "messages": len(place.told),
    }


def _pictures(place: Site, images: Path, *, waits: bool) -> None:
    """Picture the pages that show what waits, or all others."""
    pages = [name for name in PAGES if (name in _WAITING) == waits]
    take(Place(url=place.url, user="admin", password=place.secret), images, pages=pages)


def _parsed(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="evals.e2e", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("artifacts/e2e"), help="folder of the run")
    parser.add_argument("--images", type=Path, default=Path("docs/images"), help="the folder of the pictures")
    parser.add_argument("--no-images", dest="images", action="store_const", const=None, help="take none")
    parser.add_argument("--fault", default="corpus_shift", help="what happens to the platform")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--documents", type=int, default=3000, help="documents of the corpus")
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Walk, print the steps, and return the exit code."""
    options = _parsed(words)
    try:
        told, found = walk(options, SystemClock())
    except (EvercrewError, httpx.HTTPError) as problem:
        sys.stderr.write(f"evercrew: {problem}\n")
        return 1
    rows: list[dict[str, Any]] = [{"step": step, "s": seconds, "what": what} for step, seconds, what in told.steps]
    if options.json:
        print(json.dumps({**found, "steps": rows}, indent=2))
    else:
        console().print(Section("e2e", "from an alert to a healed platform", rows, json.dumps(found)).table())
    return 0 if found["verified"] and found["approved_in_the_browser"] else 1


if __name__ == "__main__":
    sys.exit(main())
