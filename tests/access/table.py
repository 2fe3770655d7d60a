"""The table of `docs/access.md`: every route, what it is about, and who may use it, as the policy set answers.

`python -m tests.access.table` prints it; `python -m tests.access.table docs/access.md` writes it into that file.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from domain.access import AccessRole
from domain.clock import FrozenClock
from policies.access import AccessCell, access_matrix
from policies.packaged import packaged_policy_files
from policies.pdp import PolicyDecisionPoint
from service.access.guard import OPEN, GuardedRoute, guarded_routes
from service.api.app import create_app
from tests.support.serving import serving_of

BEGIN, END = "<!-- routes: python -m tests.access.table docs/access.md -->", "<!-- end of routes -->"
_ENVIRONMENT = "production"


def table(routes: Iterable[GuardedRoute]) -> str:
    """Return the table in Markdown."""
    point = PolicyDecisionPoint.from_files(packaged_policy_files())
    may = {cell.action: cell for cell in access_matrix(point, [_ENVIRONMENT])}
    roles = [role.value for role in AccessRole]
    lines = [_row(["route", "action", *roles]), "|" + "---|" * (2 + len(roles))]
    for route in sorted(routes, key=lambda each: (each.path, sorted(each.methods))):
        named = f"`{' '.join(sorted(route.methods)) or 'GET'} {route.path}`"
        if route.action is None:
            lines.append(_row([named, f"open: {_why(route.path)}", *[""] * len(roles)]))
        else:
            cell = may[route.action.value]
            lines.append(_row([named, route.action.value, *(_mark(cell, role) for role in roles)]))
    return "\n".join(lines) + "\n"


def in_document(text: str, made: str) -> str:
    """Return a document with the table between its marks.

    Raises:
        ValueError: the document has no place for it.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{made}\n{END}{after}"


def _row(cells: Iterable[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def _mark(cell: AccessCell, role: str) -> str:
    if role not in cell.people:
        return ""
    return "yes" if role in cell.machines else "people"


def _why(path: str) -> str:
    below = (why for place, why in OPEN.items() if place.endswith("/") and f"{path}/".startswith(place))
    return OPEN.get(path) or next(below)


def main(arguments: list[str]) -> None:
    """Print the table, or write it into the document that is named."""
    with tempfile.TemporaryDirectory() as folder:
        serving = serving_of(Path(folder), clock=FrozenClock(), told=False)
        made = table(guarded_routes(create_app(serving)))
        serving.app.close()
    if not arguments:
        sys.stdout.write(made)
        return
    document = Path(arguments[0])
    document.write_text(in_document(document.read_text(encoding="utf-8"), made), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
