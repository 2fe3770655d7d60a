"""Documents: their form, their files, and collections with judged queries.

The formats are JSON lines (optionally gzipped) of ``{id, title, text, subject}``, ``queries.jsonl`` of ``{id, text}``
and ``qrels.tsv`` with the header ``query_id doc_id grade`` (tab-separated).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from testbed.docstrings import Found, environment_key, find_docstrings
from testbed.errors import DataError

__all__ = [
    "DEFAULT_LIMIT",
    "Collection",
    "Document",
    "load_collection",
    "load_docstrings",
    "read_documents",
    "read_jsonl",
    "split_subjects",
    "write_documents",
]

DEFAULT_LIMIT = 12_000
_SMALL_SUBJECT = 40
_NEW_SHARE = (0.25, 0.35)


@dataclass(frozen=True, slots=True)
class Document:
    """One thing to be found: ``subject`` is the group that arrives, is asked for and is sliced by as one."""

    id: str
    title: str
    text: str
    subject: str


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents with real queries (id -> text) and their judgements (query id -> document id -> grade >= 0)."""

    documents: list[Document]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]


def load_docstrings(limit: int | None, cache: Path) -> list[Document]:
    """The documentation strings of the standard library and the installed dependencies, sorted by id.

    ``limit`` caps the number (default 12,000), subjects kept balanced. ``cache`` is a folder for what was found, under
    a name made from the interpreter and the packages' versions: another environment never reads this one's corpus.

    Raises:
        DataError: when the cache is damaged (the message says to delete it).
    """
    wanted = DEFAULT_LIMIT if limit is None else limit
    if wanted < 1:
        raise DataError(f"limit={limit}: at least 1 document is needed")
    path = cache / f"docstrings-{environment_key()}.jsonl.gz"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        write_documents(path, sorted(_merge_small(find_docstrings()), key=lambda document: document.id))
    return _balanced(read_documents(path), wanted)


def _merge_small(found: Iterable[Found]) -> list[Document]:
    """Subjects with few documents go together, modules of the standard library under its own name."""
    rows = list(found)
    sizes = Counter(row.package for row in rows)
    documents = []
    for row in rows:
        subject = row.package
        if sizes[subject] < _SMALL_SUBJECT:
            subject = "stdlib" if row.stdlib else "other"
        documents.append(Document(id=row.name, title=row.name, text=row.text, subject=subject))
    return documents


def _balanced(documents: Sequence[Document], limit: int) -> list[Document]:
    """The largest equal share per subject that fits the limit; within a subject the lowest SHA-256 of the id."""
    groups: dict[str, list[Document]] = {}
    for document in sorted(documents, key=lambda d: _sha(d.id)):
        groups.setdefault(document.subject, []).append(document)
    kept: list[Document] = []
    remaining = limit
    for left, (_, group) in enumerate(sorted(groups.items(), key=lambda item: (len(item[1]), item[0]))):
        share = remaining // (len(groups) - left)
        kept.extend(group[:share])
        remaining -= min(share, len(group))
    return sorted(kept, key=lambda d: d.id)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def split_subjects(documents: Sequence[Document], seed: int) -> tuple[list[Document], list[Document]]:
    """(known, new): a seeded choice of whole subjects that together hold a quarter to a third of the documents is new.

    Raises:
        DataError: when there are fewer than two subjects, or no choice of whole subjects comes near that share.
    """
    sizes = Counter(document.subject for document in documents)
    if len(sizes) < 2:
        raise DataError(f"the corpus has {len(sizes)} subject(s): at least 2 are needed to hold some back")
    chosen: set[str] = set()
    held = 0
    for subject in sorted(sizes, key=lambda name: _sha(f"{seed}:{name}")):
        if (held + sizes[subject]) / len(documents) <= _NEW_SHARE[1]:
            chosen.add(subject)
            held += sizes[subject]
        if held / len(documents) >= _NEW_SHARE[0]:
            break
    if not chosen:
        raise DataError(f"every subject holds more than {_NEW_SHARE[1]:.0%} of the documents: use finer subjects")
    known = [document for document in documents if document.subject not in chosen]
    return known, [document for document in documents if document.subject in chosen]


def load_collection(directory: Path, *, subjects: int = 8, seed: int = 0) -> Collection:
    """A collection on disk: ``docs.jsonl[.gz]``, ``queries.jsonl``, ``qrels.tsv``; subjects are found by clustering.

    Raises:
        DataError: names the file, the line and the field that is wrong.
    """
    path = next((p for p in (directory / "docs.jsonl", directory / "docs.jsonl.gz") if p.exists()), None)
    if path is None:
        raise DataError(f"{directory}: neither docs.jsonl nor docs.jsonl.gz is there")
    rows: dict[str, tuple[str, str]] = {}
    for where, row in read_jsonl(path):
        key = _field(row, "id", where)
        if key in rows:
            raise DataError(f"{where}: field id: {key!r} is there twice")
        rows[key] = (_field(row, "title", where, empty=True), _field(row, "text", where, empty=True))
    if not rows:
        raise DataError(f"{path}: holds no documents")
    queries = {_field(r, "id", where): _field(r, "text", where) for where, r in read_jsonl(directory / "queries.jsonl")}
    qrels = _read_qrels(directory / "qrels.tsv", set(rows), set(queries))
    labels = _cluster([f"{title} {text}" for title, text in rows.values()], subjects, seed)
    documents = [
        Document(id=key, title=title, text=text, subject=label)
        for (key, (title, text)), label in zip(rows.items(), labels, strict=True)
    ]
    return Collection(documents, queries, qrels)


def _read_qrels(path: Path, known_documents: set[str], known_queries: set[str]) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    for number, line in enumerate(_open_text(path), start=1):
        cells = line.rstrip("\n").split("\t")
        if number == 1:
            if cells != ["query_id", "doc_id", "grade"]:
                raise DataError(f"{path}:1: the header must be query_id, doc_id, grade (tab-separated), got {cells}")
            continue
        if len(cells) != 3:
            raise DataError(f"{path}:{number}: 3 tab-separated fields are needed, got {len(cells)}")
        query, document, grade = cells
        if query not in known_queries:
            raise DataError(f"{path}:{number}: field query_id: {query!r} is not in queries.jsonl")
        if document not in known_documents:
            raise DataError(f"{path}:{number}: field doc_id: {document!r} is not in docs.jsonl")
        if not grade.isdecimal():
            raise DataError(f"{path}:{number}: field grade: {grade!r} is not an integer of 0 or more")
        qrels.setdefault(query, {})[document] = int(grade)
    return qrels


def _cluster(texts: list[str], clusters: int, seed: int) -> list[str]:
    """Subject names by TF-IDF, truncated SVD and k-means; a subject is called by its two weightiest words."""
    import numpy as np
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from threadpoolctl import threadpool_limits

    from testbed.text import tokens

    count = max(2, min(clusters, len(texts) // 20))
    vectorizer = TfidfVectorizer(analyzer=tokens, min_df=2, sublinear_tf=True)
    with threadpool_limits(1):
        matrix = vectorizer.fit_transform(texts)
        width = max(1, min(50, matrix.shape[1] - 1, len(texts) - 1))
        reduced = TruncatedSVD(width, random_state=seed).fit_transform(matrix)
        norms = np.linalg.norm(reduced, axis=1, keepdims=True)
        labels = KMeans(count, random_state=seed, n_init=4).fit_predict(reduced / np.maximum(norms, 1e-9))
    words = vectorizer.get_feature_names_out()
    names = {}
    for label in range(count):
        members = np.flatnonzero(labels == label)
        weights = np.asarray(matrix[members].mean(axis=0)).ravel() if len(members) else np.zeros(len(words))
        top = sorted(words[i] for i in np.argsort(-weights, kind="stable")[:2])
        names[label] = f"{label}-{'-'.join(top)}"
    return [names[int(label)] for label in labels]


def read_documents(path: Path) -> list[Document]:
    """Documents of a JSON-lines file (gzipped when the name ends so), in file order; further fields are ignored.

    Raises:
        DataError: names the file, the line and the field that is wrong.
    """
    documents = []
    for where, row in read_jsonl(path):
        texts = {name: _field(row, name, where, empty=name != "id") for name in ("id", "title", "text", "subject")}
        documents.append(Document(**texts))
    return documents


def write_documents(path: Path, documents: Iterable[Document]) -> None:
    """Writes documents as JSON lines; the same documents give the same bytes, gzipped or not. Appears all at once."""
    body = "".join(json.dumps(asdict(document), ensure_ascii=False, sort_keys=True) + "\n" for document in documents)
    data = body.encode()
    if path.suffix == ".gz":
        buffer = io.BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as stream:
            stream.write(data)
        data = buffer.getvalue()
    scratch = path.with_name(path.name + ".part")
    scratch.write_bytes(data)
    scratch.replace(path)


def read_jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """("file:line", object) for every non-empty line.

    Raises:
        DataError: the file is missing or damaged, or a line is no JSON object.
    """
    for number, line in enumerate(_open_text(path), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: is no JSON ({error.msg}): mend or remove the line") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}: must be a JSON object, got {type(row).__name__}")
        yield where, row


def _open_text(path: Path) -> Iterator[str]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as stream:
            yield from stream
    except FileNotFoundError as error:
        raise DataError(f"{path}: the file is missing") from error
    except (gzip.BadGzipFile, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}): delete it or write it anew") from error


def _field(row: dict[str, Any], name: str, where: str, *, empty: bool = False) -> str:
    value = row.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not (value or empty):
        raise DataError(f"{where}: field {name}: a {'' if empty else 'non-empty '}string is needed, got {value!r}")
    return value
