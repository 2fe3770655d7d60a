"""What may be written where: the house rules no linter knows."""

import ast
import re
from collections import Counter

import pytest

from tests.layout.tree import ROOMS, files, imports, python_files, text, tree

# Process edges: the last handler before a thread, a process or a request ends. Path -> number of broad handlers.
BROAD_EXCEPT_EDGES = {"service/api/edge.py": 1, "service/cli.py": 1, "tests/durability/child.py": 1}

ENVIRONMENT_READERS = {"service/settings.py", "tests/conftest.py"}
CREWAI_ROOMS = {"agents", "crews", "tests"}
ASSERTING_WORDS = ("assert", "raises", "check", "expect", "verify", "warns", "fail")

# In parts, so that this file does not find itself.
MACHINE_PATHS = re.compile(r"(?<![\w.\-])/(?:wor[k]|roo[t]|home/\w+)/")
INDEX_HOSTS = re.compile(r"pyp[i]\.org|pythonhoste[d]\.org|registry\.npmj[s]|conda\.anacond[a]")
UNFINISHED = re.compile(r"\b(?:TOD[O]|FIXM[E]|XX[X]|HAC[K])\b")


def _found(pattern: re.Pattern[str], names: tuple[str, ...] | list[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:80]}"
        for name in names
        for number, line in enumerate((text(name) or "").splitlines(), 1)
        if pattern.search(line)
    ]


@pytest.mark.parametrize("pattern", [MACHINE_PATHS, INDEX_HOSTS], ids=["machine paths", "index hosts"])
def test_no_file_names_one_machine_or_an_index(pattern: re.Pattern[str]) -> None:
    assert _found(pattern, files()) == []


def test_no_source_is_marked_unfinished() -> None:
    assert _found(UNFINISHED, python_files()) == []


def _reads_environment(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and any(alias.name in {"environ", "getenv"} for alias in node.names)
    return (
        isinstance(node, ast.Attribute)
        and node.attr in {"environ", "environb", "getenv"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    )


def test_the_environment_is_read_in_the_settings_only() -> None:
    readers = {name for name in python_files() if any(_reads_environment(node) for node in ast.walk(tree(name)))}
    assert readers - ENVIRONMENT_READERS == set()


def test_crewai_is_imported_in_agents_and_crews_only() -> None:
    importers = {name for name in python_files() if "crewai" in imports(name)}
    assert {name for name in importers if name.split("/")[0] not in CREWAI_ROOMS} == set()


def _is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"} for kind in types)


def test_broad_excepts_stand_at_process_edges_only() -> None:
    broad = Counter(
        name
        for name in python_files()
        for node in ast.walk(tree(name))
        if isinstance(node, ast.ExceptHandler) and _is_broad(node)
    )
    assert dict(broad) == BROAD_EXCEPT_EDGES


def test_no_mock_library_is_imported() -> None:
    importers = {
        name
        for name in python_files()
        for node in ast.walk(tree(name))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("unittest", "mock")))
        or (isinstance(node, ast.Import) and any(alias.name.startswith(("unittest", "mock")) for alias in node.names))
    }
    assert importers == set()


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _asserts(function: ast.AST) -> bool:
    return any(
        isinstance(node, ast.Assert)
        or (isinstance(node, ast.Call) and any(word in _called(node).lower() for word in ASSERTING_WORDS))
        for node in ast.walk(function)
    )


def test_every_test_asserts() -> None:
    silent = [
        f"{name}:{node.lineno} {node.name}"
        for name in python_files("tests")
        for node in ast.walk(tree(name))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not _asserts(node)
    ]
    assert silent == []


def test_every_public_module_says_what_it_is_for() -> None:
    silent = [name for name in python_files(*ROOMS) if (text(name) or "").strip() and not ast.get_docstring(tree(name))]
    assert silent == []
