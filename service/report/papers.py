"""The templates of reports, by the package they come with: strict about names, and HTML is escaped."""

from __future__ import annotations

from functools import partial
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined

from domain.markdown import literal
from service.wording import clean

_MOST = 1000


def templates_of(package: str) -> Environment:
    """Return the environment of a package's templates, with the one filter that all of them need: `md`, for whatever
    stands in Markdown and may have come from outside.
    """
    environment = Environment(
        loader=FunctionLoader(partial(template, package)),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["md"] = lambda value: literal(clean(value, _MOST))
    return environment


def template(package: str, name: str) -> str:
    """Return the text of a file beside a package's templates."""
    return files(package).joinpath("templates", name).read_text(encoding="utf-8")
