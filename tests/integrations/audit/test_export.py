"""An export is verified by a process that has nothing of ours, and nothing done to it goes unnoticed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.audit.export import VERIFIER, export, with_verifier
from adapters.audit.keys import Keys
from adapters.audit.signed import HEAD, SignedAudit
from adapters.audit.signing import SigningKey
from adapters.audit.sqlite import SqliteAudit
from domain.clock import FrozenClock
from domain.errors import AuditUnavailable, InvalidInput
from domain.receipt import RecordKind
from tests.contract.audit_contract import CYCLE, entry

OTHER = "si_2026_01_31_002"


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[SignedAudit]:
    clock = FrozenClock()
    chain = SqliteAudit(tmp_path / "audit.db", clock)
    audit = SignedAudit(chain, Keys(tmp_path), clock, anchor=tmp_path / HEAD, every=4)
    for number in range(6):
        audit.append(
            entry(key=f"k{number}", cycle_id=CYCLE if number in (2, 3) else OTHER, text="naïve ✓ \u2028", x=0.1)
        )
    yield audit
    chain.close()


@pytest.fixture
def exported(audit: SignedAudit, tmp_path: Path) -> Path:
    path = tmp_path / "out" / "audit.jsonl"
    export(audit, FrozenClock(), path)
    return path


def judged(path: Path, *keys: str) -> tuple[int, str]:
    """Let the stand-alone verifier judge, with nothing of ours on its path."""
    verifier = with_verifier(path.parent)
    command = [sys.executable, "-I", str(verifier), str(path), *keys]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, (done.stdout + done.stderr).strip()


def changed(path: Path, change: Callable[[list[str]], list[str]]) -> Path:
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().split("\n")[:-1])))
    return path


def test_the_verifier_is_short_and_imports_nothing_of_ours() -> None:
    text = VERIFIER.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 50
    tree = ast.walk(ast.parse(text))
    imported = {(node.module or "") for node in tree if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} == {"cryptography"}


def test_the_verifier_says_how_it_is_called_to_whoever_does_not_know() -> None:
    done = subprocess.run(
        [sys.executable, "-I", str(VERIFIER)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr.split(":")[0]) == (1, "Verify an exported audit chain")


@pytest.mark.integration("audit", "works")
def test_a_whole_export_is_verified_with_and_without_the_key(audit: SignedAudit, exported: Path) -> None:
    public = audit.keys.current().public
    for keys in ((), (public,)):
        code, told = judged(exported, *keys)
        assert (code, told.split(",")[0]) == (0, "verified: records 1 to 8")
        assert ("the file's own word" in told) == (not keys)
    header, *lines = map(json.loads, exported.read_text().split("\n")[:-1])
    assert (header["scope"], header["first"], header["last"], len(lines)) == ("whole", 1, 8, 8)
    assert header["keys"] == audit.keys.ring().public
    assert [line["record"]["sequence"] for line in lines] == list(range(1, 9))


@pytest.mark.integration("audit", "works")
def test_the_part_of_a_cycle_reaches_from_its_first_record_to_the_checkpoint_over_its_last(
    audit: SignedAudit, tmp_path: Path
) -> None:
    path = tmp_path / "out" / "part.jsonl"
    done = export(audit, FrozenClock(), path, CYCLE)
    assert (done.first, done.last, done.scope) == (3, 5, CYCLE)
    assert [json.loads(line)["record"]["entry"]["kind"] for line in path.read_text().split("\n")[1:-1]] == [
        RecordKind.INTENT,
        RecordKind.INTENT,
        RecordKind.CHECKPOINT,
    ]
    assert judged(path)[0] == 0
    assert "record 4 was removed" in judged(changed(path, lambda lines: [*lines[:2], *lines[3:]]))[1]


@pytest.mark.integration("audit", "works")
def test_an_export_over_a_change_of_keys_is_verified_by_the_new_key_alone(audit: SignedAudit, tmp_path: Path) -> None:
    old = audit.keys.current().public
    new = audit.keys.prepare().public
    audit.rotate(new)
    path = tmp_path / "out" / "audit.jsonl"
    export(audit, FrozenClock(), path)
    assert [judged(path, *keys)[0] for keys in ((), (old, new), (new,))] == [0, 0, 0]
    code, told = judged(path, old)
    assert (code, "unknown" in told) == (1, True)


def _text(old: str, new: str, place: int) -> Callable[[list[str]], list[str]]:
    return lambda lines: [line.replace(old, new, 1) if number == place else line for number, line in enumerate(lines)]


@pytest.mark.integration("audit", "lying")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_text("promote", "retire", 3), "record 3 was changed"),
        (_text('"x":0.1', '"x":0.10', 2), "record 2 was changed"),
        (_text('"hash":"', '"hash":"0', 2), "record 2 was changed"),
        (lambda lines: [*lines[:4], *lines[5:]], "record 4 was removed or moved: 5 is there"),
        (lambda lines: [lines[0], *lines[2:]], "record 1 was removed"),
        (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], "record 3 was removed or moved: 4 is there"),
        (lambda lines: [*lines[:3], lines[3], lines[3], *lines[4:]], "record 4 was removed or moved: 3 is there"),
        (lambda lines: lines[:-1], "truncated: it ends at 7 of 8"),
        (lambda lines: lines[:1], "truncated: it ends at 0 of 8"),
        (_text('"last":8', '"last":7', 0), "the header has a bad signature"),
        (_text('"scope":"whole"', '"scope":"most"', 0), "the header has a bad signature"),
    ],
)
def test_whatever_is_done_to_an_export_is_named(
    exported: Path, change: Callable[[list[str]], list[str]], told: str
) -> None:
    code, said = judged(changed(exported, change))
    assert (code, said.split(": ", 1)[0]) == (1, "NOT VERIFIED")
    assert told in said


@pytest.mark.integration("audit", "lying")
def test_an_export_made_anew_by_somebody_else_does_not_carry_the_key(audit: SignedAudit, tmp_path: Path) -> None:
    public = audit.keys.current().public
    clock = FrozenClock()
    forged = SqliteAudit(tmp_path / "forged.db", clock)
    signed = SignedAudit(forged, Keys(tmp_path / "forger"), clock, anchor=tmp_path / "forger" / HEAD)
    signed.append(entry())
    path = tmp_path / "out" / "audit.jsonl"
    export(signed, clock, path)
    assert judged(path)[0] == 0
    code, said = judged(path, public)
    assert (code, "unknown" in said) == (1, True)
    forged.close()


@pytest.mark.integration("audit", "refused")
def test_what_cannot_be_exported_is_told(audit: SignedAudit, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="has no record"):
        export(audit, FrozenClock(), tmp_path / "x", "si_2020_01_01_001")
    with pytest.raises(AuditUnavailable, match="cannot be written"):
        export(audit, FrozenClock(), tmp_path)
    assert SigningKey.made().public not in audit.keys.ring().public
