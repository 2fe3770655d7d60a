"""Where files stand and how long they get."""

import ast
from pathlib import PurePosixPath

from tests.layout.tree import ROOMS, ROOT, files, python_files, text, tree

MOST_LINES_IN_A_FILE = 400
MOST_LINES_IN_A_FUNCTION = 60


def test_every_folder_with_python_is_a_package() -> None:
    folders = {PurePosixPath(name).parent for name in python_files()}
    everyone = folders | {parent for folder in folders for parent in folder.parents if str(parent) != "."}
    missing = [str(folder) for folder in everyone if not (ROOT / folder / "__init__.py").is_file()]
    assert sorted(missing) == []


def test_python_stands_in_rooms_and_tests_only() -> None:
    """An editable install puts the root on sys.path: any other folder with Python would become importable."""
    strays = [name for name in files() if name.endswith(".py") and name.split("/")[0] not in (*ROOMS, "tests")]
    assert strays == []


def test_no_python_file_is_longer_than_the_limit() -> None:
    lengths = {name: (text(name) or "").count("\n") for name in python_files()}
    assert {name: n for name, n in lengths.items() if n > MOST_LINES_IN_A_FILE} == {}


def test_no_function_is_longer_than_the_limit() -> None:
    long: dict[str, int] = {}
    for name in python_files(*ROOMS):
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MOST_LINES_IN_A_FUNCTION:
                    long[f"{name}:{node.lineno} {node.name}"] = length
    assert long == {}
