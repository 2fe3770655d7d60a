"""The repository as the layout tests read it: paths, texts and syntax trees, each read once."""

import ast
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "domain",
    "policies",
    "learning",
    "prompts",
    "adapters",
    "tools",
    "agents",
    "crews",
    "cycles",
    "service",
    "testbed",
    "evals",
)


@cache
def files() -> tuple[str, ...]:
    """Every file that is tracked or would be, as a path relative to the root."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True
    )
    return tuple(sorted(name for name in listed.stdout.splitlines() if (ROOT / name).is_file()))


def python_files(*folders: str) -> list[str]:
    """Python files below `folders` (all of them when none is named)."""
    wanted = folders or (*ROOMS, "tests")
    return [name for name in files() if name.endswith(".py") and name.split("/")[0] in wanted]


@cache
def text(name: str) -> str | None:
    """The text of a file, or None for a binary one."""
    try:
        return (ROOT / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


@cache
def tree(name: str) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), filename=name)


def imports(name: str) -> set[str]:
    """Top-level names imported anywhere in a file, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


@cache
def project() -> dict[str, Any]:
    """pyproject.toml, parsed."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
