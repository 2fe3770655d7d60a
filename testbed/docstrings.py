"""Finds documentation strings by reading source code; no package is imported."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from testbed.text import tokens

__all__ = ["PACKAGES", "Found", "environment_key", "find_docstrings"]

PACKAGES: tuple[tuple[str, str], ...] = (
    ("aiohttp", "aiohttp"),
    ("alembic", "alembic"),
    ("celery", "celery"),
    ("crewai", "crewai"),
    ("cryptography", "cryptography"),
    ("dbos", "dbos"),
    ("dvc", "dvc"),
    ("fastapi", "fastapi"),
    ("fontTools", "fonttools"),
    ("git", "gitpython"),
    ("huggingface_hub", "huggingface_hub"),
    ("jinja2", "jinja2"),
    ("joblib", "joblib"),
    ("langchain_core", "langchain-core"),
    ("langsmith", "langsmith"),
    ("lightgbm", "lightgbm"),
    ("matplotlib", "matplotlib"),
    ("mlflow", "mlflow"),
    ("networkx", "networkx"),
    ("numpy", "numpy"),
    ("openai", "openai"),
    ("opentelemetry", "opentelemetry-sdk"),
    ("narwhals", "narwhals"),
    ("pandas", "pandas"),
    ("PIL", "pillow"),
    ("pydantic", "pydantic"),
    ("pygments", "pygments"),
    ("rich", "rich"),
    ("scipy", "scipy"),
    ("sklearn", "scikit-learn"),
    ("sqlalchemy", "sqlalchemy"),
    ("starlette", "starlette"),
    ("typer", "typer"),
    ("werkzeug", "werkzeug"),
)
"""(top-level package, distribution) of the dependencies whose documentation makes the corpus; absent ones are skipped.
"""

_RULES = "1"
_PER_PACKAGE = 520
_MIN_WORDS = 8
_MAX_CHARACTERS = 700
_SKIPPED = frozenset(
    [
        "test",
        "tests",
        "testing",
        "idlelib",
        "lib2to3",
        "turtledemo",
        "ensurepip",
        "site-packages",
        "__pycache__",
        "_vendor",
        "vendor",
        "externals",
    ]
)
_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Found:
    """One documentation string: qualified name, its top-level package, and module, signature and docstring as text."""

    name: str
    package: str
    stdlib: bool
    text: str


def environment_key() -> str:
    """Twelve hex digits that change with the interpreter, the packages' versions or the rules here."""
    parts = [_RULES, sys.version.split()[0], str(_PER_PACKAGE)]
    for _, distribution in PACKAGES:
        try:
            parts.append(f"{distribution}={version(distribution)}")
        except PackageNotFoundError:
            parts.append(f"{distribution}=absent")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def find_docstrings() -> Iterator[Found]:
    """Documentation strings of the standard library and of ``PACKAGES``, no two alike, at most 520 a package."""
    seen: set[str] = set()
    standard = Path(sysconfig.get_paths()["stdlib"])
    for entry in sorted(standard.iterdir()):
        if entry.name not in _SKIPPED and not entry.name.startswith("__") and (entry.is_dir() or entry.suffix == ".py"):
            yield from _package(entry, standard, stdlib=True, seen=seen)
    for name, _ in PACKAGES:
        for root in dict.fromkeys(Path(sysconfig.get_paths()[key]) for key in ("purelib", "platlib")):
            if (root / name).is_dir():
                yield from _package(root / name, root, stdlib=False, seen=seen)


def _package(entry: Path, root: Path, *, stdlib: bool, seen: set[str]) -> Iterator[Found]:
    """Files in the order of their SHA-256, so that a large package is sampled evenly and always alike."""
    files = [entry] if entry.is_file() else list(entry.rglob("*.py"))
    relative = [path.relative_to(root) for path in files]
    chosen = [path for path in relative if not _SKIPPED.intersection(path.parts)]
    count = 0
    for path in sorted(chosen, key=lambda p: hashlib.sha256(p.as_posix().encode()).hexdigest()):
        for found in _file(root / path, path, stdlib=stdlib):
            body = hashlib.sha256(found.text.split("\n", 2)[2].encode()).hexdigest()
            if body in seen or found.name in seen:
                continue
            seen.update((body, found.name))
            yield found
            count += 1
            if count >= _PER_PACKAGE:
                return


def _file(path: Path, relative: Path, *, stdlib: bool) -> Iterator[Found]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other people's escapes are not our news
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    parts = relative.with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    for name, node in _named_nodes(tree, module):
        docstring = _BLANKS.sub(" ", ast.get_docstring(node, clean=True) or "").strip()[:_MAX_CHARACTERS]
        if len(set(tokens(docstring))) >= _MIN_WORDS:
            text = f"{module}\n{_signature(node)}\n{docstring}"
            yield Found(name=name, package=relative.parts[0].removesuffix(".py"), stdlib=stdlib, text=text)


_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _named_nodes(tree: ast.Module, module: str) -> Iterator[tuple[str, _Documented]]:
    yield module, tree
    stack: list[tuple[str, ast.Module | ast.ClassDef]] = [(module, tree)]
    while stack:
        prefix, parent = stack.pop()
        for node in parent.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{prefix}.{node.name}"
                yield name, node
                if isinstance(node, ast.ClassDef):
                    stack.append((name, node))


def _signature(node: _Documented) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return f"{node.name}({', '.join(argument.arg for argument in node.args.args)})"
    return node.name if isinstance(node, ast.ClassDef) else "module"
