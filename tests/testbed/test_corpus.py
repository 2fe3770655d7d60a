"""Documents and collections: real text, balanced, reproducible, and errors that name the place."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest

from testbed.corpus import (
    Document,
    load_collection,
    load_docstrings,
    read_documents,
    split_subjects,
    write_documents,
)
from testbed.errors import DataError
from testbed.text import normalise_query, tokens

IR = Path(__file__).resolve().parents[3] / "shared" / "data" / "ir"
SAMPLE = [
    Document("a.b", "a.b", "opens a file\nfor reading", "a"),
    Document("c.d", "c.d", "grüßt höflich", "c"),
    Document("c.e", "c.e", "closes the file", "c"),
]


def test_the_default_corpus_is_large_real_and_balanced(scratch: Path) -> None:
    documents = load_docstrings(None, scratch)
    sizes = Counter(document.subject for document in documents)
    assert 10_000 <= len(documents) <= 12_000
    assert len({document.id for document in documents}) == len(documents)
    assert len(sizes) >= 20
    assert max(sizes.values()) / len(documents) < 0.06
    assert "argparse" in next(document.text for document in documents if document.id.startswith("argparse."))


def test_a_limit_keeps_every_subject_and_the_cache_answers_alike(scratch: Path) -> None:
    few = load_docstrings(1000, scratch)
    assert len(few) == 1000
    assert few == load_docstrings(1000, scratch)
    assert {document.subject for document in few} == {document.subject for document in load_docstrings(None, scratch)}


def test_a_limit_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="limit=0"):
        load_docstrings(0, tmp_path)


@pytest.mark.parametrize("seed", range(6))
def test_new_subjects_hold_a_quarter_to_a_third(scratch: Path, seed: int) -> None:
    documents = load_docstrings(None, scratch)
    known, new = split_subjects(documents, seed)
    assert 0.25 <= len(new) / len(documents) <= 0.35
    assert not {document.subject for document in known} & {document.subject for document in new}
    assert (known, new) == split_subjects(documents, seed)


def test_one_subject_cannot_be_split() -> None:
    with pytest.raises(DataError, match="at least 2"):
        split_subjects(SAMPLE[1:], 0)


@pytest.mark.parametrize("name", ["documents.jsonl", "documents.jsonl.gz"])
def test_documents_come_back_as_written_and_bytes_are_reproducible(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_documents(path, SAMPLE)
    first = path.read_bytes()
    write_documents(path, SAMPLE)
    assert path.read_bytes() == first
    assert read_documents(path) == SAMPLE


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "documents.jsonl:1: is no JSON"),
        ("[]", "documents.jsonl:1: must be a JSON object"),
        ('{"id": "", "title": "", "text": "", "subject": ""}', "field id"),
        ('{"id": "x", "title": "", "subject": ""}', "field text"),
        ('{"id": "x", "title": "", "text": [], "subject": ""}', "field text"),
    ],
)
def test_a_wrong_document_is_named_by_file_line_and_field(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "documents.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match=message):
        read_documents(tmp_path / "documents.jsonl")


def test_a_damaged_archive_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "documents.jsonl.gz").write_bytes(b"not an archive")
    with pytest.raises(DataError, match="delete it or write it anew"):
        read_documents(tmp_path / "documents.jsonl.gz")


def _collection(folder: Path, *, qrels: str, packed: bool = False) -> Path:
    topics = ("wing lift drag flow", "library catalogue index book", "matrix eigenvalue solver root")
    lines = "".join(
        f'{{"id": {number}, "title": "{topics[number % 3].split()[0]}", "text": "{topics[number % 3]} {number}0"}}\n'
        for number in range(60)
    )
    if packed:
        (folder / "docs.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    else:
        (folder / "docs.jsonl").write_text(lines)
    (folder / "queries.jsonl").write_text('{"id": "1", "text": "lift of a wing"}\n')
    (folder / "qrels.tsv").write_text(qrels)
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_a_collection_is_read_and_its_subjects_are_found(tmp_path: Path, packed: bool) -> None:
    folder = _collection(tmp_path, qrels="query_id\tdoc_id\tgrade\n1\t0\t3\n1\t3\t0\n", packed=packed)
    collection = load_collection(folder, subjects=3)
    subjects = {document.id: document.subject for document in collection.documents}
    assert collection.qrels == {"1": {"0": 3, "3": 0}}
    assert len(set(subjects.values())) == 3
    assert subjects["0"] == subjects["3"] == subjects["57"] != subjects["1"]
    assert load_collection(folder, subjects=3) == collection


@pytest.mark.parametrize(
    ("qrels", "message"),
    [
        ("1\t0\t3\n", r"qrels.tsv:1: the header"),
        ("query_id\tdoc_id\tgrade\n1\t0\n", r"qrels.tsv:2: 3 tab-separated"),
        ("query_id\tdoc_id\tgrade\n9\t0\t1\n", r"qrels.tsv:2: field query_id: '9'"),
        ("query_id\tdoc_id\tgrade\n1\tzz\t1\n", r"qrels.tsv:2: field doc_id: 'zz'"),
        ("query_id\tdoc_id\tgrade\n1\t0\t-1\n", r"qrels.tsv:2: field grade: '-1'"),
    ],
)
def test_wrong_judgements_of_a_collection_are_named(tmp_path: Path, qrels: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_collection(_collection(tmp_path, qrels=qrels))


def test_a_folder_without_documents_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither docs.jsonl nor docs.jsonl.gz"):
        load_collection(tmp_path)


@pytest.mark.parametrize("name", ["cranfield", "cisi", "cacm"])
def test_a_classic_collection_is_read_whole(name: str) -> None:
    if not (IR / name).is_dir():
        pytest.skip(f"the collection {name} is not on this machine")
    collection = load_collection(IR / name)
    known, new = split_subjects(collection.documents, 1)
    assert len(collection.documents) > 1000
    assert len({document.subject for document in collection.documents}) == 8
    assert len(known) > len(new) > 0


def test_words_are_taken_apart_and_queries_are_made_comparable() -> None:
    assert tokens("The HTTPServer_class parses getItems(x) of 42 boxes") == [
        "http",
        "server",
        "class",
        "parse",
        "get",
        "item",
        "42",
        "boxe",
    ]
    assert normalise_query("  How  DO\tI ") == "how do i"
