"""Learn the operators' second reader from its examples, and keep what was learned.

`python -m evals.likeness` writes `prompts/operator_likeness.json`: to be run when an example, or a word that names
something, was changed. A test holds what is kept equal to what the examples teach.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import prompts
from agents.operator.likeness import KEPT, Learned, learn


def written(learned: Learned) -> str:
    """Return the text of the file: a line for each part."""
    parts = (f"{json.dumps(name)}: {json.dumps(part, ensure_ascii=False)}" for name, part in learned.plain().items())
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> int:
    """Write the file."""
    path = Path(prompts.__file__).parent / KEPT
    path.write_text(written(learn()), encoding="utf-8")
    sys.stdout.write(f"{path.name}: {path.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
