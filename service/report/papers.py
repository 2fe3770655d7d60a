"""The templates of reports, by the package they come with: strict about names, and HTML is escaped."""

from __future__ import annotations

from functools import partial
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined


def templates_of(package: str) -> Environment:
    """Return the environment of a package's templates, without filters of its own."""
    return Environment(
        loader=FunctionLoader(partial(template, package)),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def template(package: str, name: str) -> str:
    """Return the text of a file beside a package's templates."""
    return files(package).joinpath("templates", name).read_text(encoding="utf-8")
