"""Pages from templates: strict, escaped, with what every page shows around its own.

A template imports its parts with context: ``{% import "parts.html" as ui with context %}``.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from starlette.responses import HTMLResponse

from service import wording
from service.web import moments
from service.web.page_filters import FILTERS

if TYPE_CHECKING:
    from fastapi import Request

    from domain.access import Caller

STATIC = "/static"
THEME = "evercrew_theme"
_THEMES = ("light", "dark")
_NO_WORD = re.compile(r"[^a-z0-9]+")
_MOST_JSON = 20_000
_SIGNS = {"eq": "=", "gt": ">", "ge": "\N{GREATER-THAN OR EQUAL TO}", "lt": "<", "le": "\N{LESS-THAN OR EQUAL TO}"}


def render(
    request: Request, template: str, caller: Caller | None, *, active: str = "", status: int = 200, **shown: Any
) -> HTMLResponse:
    """Return the page.

    Args:
        caller: who looks at it; None for a page without the console around it, e.g. the one to sign in.
        active: the name of the place in the navigation.
        shown: what the template is given; `live` names the event stream of a page that refreshes itself,
            `last_event` the number of the last record it was drawn from.
    """
    from service.access.guard import csrf_token
    from service.api.serving import serving
    from service.web.frame import frame_of

    stood = serving(request)
    theme = request.cookies.get(THEME, "")
    page = environment().get_template(template)
    around: dict[str, Any] = {
        "active": active,
        "caller": caller,
        "csrf": csrf_token(request),
        "frame": None if caller is None else frame_of(stood, caller),
        "live": "",
        "now": stood.clock.now(),
        "theme": theme if theme in _THEMES else "",
        "title": "Evercrew",
    }
    return HTMLResponse(page.render({**around, **shown}), status_code=status)


@cache
def environment() -> Environment:
    """Return the environment of the templates; nothing in it depends on a request."""
    made = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= FILTERS
    made.filters |= {
        "ago": moments.ago,
        "clean": wording.clean,
        "digest": wording.digest_label,
        "dollars": wording.dollars,
        "duration": wording.duration,
        "found": found,
        "iso": moments.iso,
        "json": pretty,
        "moment": moments.moment,
        "percent": wording.percent,
        "readable": wording.readable,
        "role": wording.role_label,
        "score": wording.score,
        "sentence": sentence,
        "signal": wording.signal_label,
        "sign": lambda name: _SIGNS.get(name, wording.words(name)),
        "slug": slug,
        "span": moments.span,
        "stage": wording.stage_label,
        "words": wording.words,
    }
    made.globals["static"] = static
    made.globals["value_of"] = wording.signal_value
    return made


def static(name: str) -> str:
    """Return the address of an asset; it changes with its content, so that it may be kept for ever."""
    return f"{STATIC}/{name}?v={_mark(name)}"


def slug(text: object) -> str:
    """Return text as part of an identity of an element."""
    return _NO_WORD.sub("-", str(text).lower()).strip("-")


def sentence(text: object) -> str:
    """Return text with a capital at its head, unless it begins with the name of something."""
    said = str(text)
    first = said.partition(" ")[0].rstrip(":,;")
    return said[:1].upper() + said[1:] if first.isalpha() and first.islower() else said


def found(value: object) -> str:
    """Return what a claim cites: a number with four digits, else text."""
    number = wording.finite(value)
    return f"{number:.4g}" if number is not None else wording.clean(value, 120)


def pretty(value: Any) -> str:
    """Return plain data as indented JSON, cut where it is very long, without what a terminal would obey."""
    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=str)
    shown = "\n".join(wording.visible(line) for line in text[:_MOST_JSON].splitlines())
    left = len(text) - _MOST_JSON
    return f"{shown}\n\N{HORIZONTAL ELLIPSIS} {left:,} more characters" if left > 0 else shown


@cache
def _mark(name: str) -> str:
    content = files("service.web").joinpath("static", *name.split("/")).read_bytes()
    return hashlib.sha256(content).hexdigest()[:10]


def _source(name: str) -> str:
    return files("service.web").joinpath("templates", name).read_text(encoding="utf-8")
