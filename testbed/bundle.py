"""A released model: one folder of files whose bytes depend on nothing but what it was trained from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from testbed.errors import BundleError
from testbed.lsa import Lsa
from testbed.tables import Tables
from testbed.trees import Forest

__all__ = ["FILES", "Bundle", "bundle_digest"]

FILES = (
    "booster.txt",
    "config.json",
    "expansion.json",
    "lsa_documents.json",
    "lsa_projection.npy",
    "lsa_vectors.npy",
    "lsa_words.json",
    "popularity.json",
    "reference.json",
    "subjects.json",
    "translation.json",
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """``config`` holds seed, params, corpus size and trained_at; ``reference`` the corpus as it was at training time:
    ``documents`` (count), ``token_df`` (word -> documents), ``subjects`` (subject -> documents), ``query_tokens`` (word
    -> count),
    ``query_subjects`` (subject -> judgements).
    """

    digest: str
    config: dict[str, Any]
    reference: dict[str, Any]
    forest: Forest
    lsa: Lsa
    tables: Tables

    @classmethod
    def load(cls, directory: Path) -> Bundle:
        """Reads and verifies a bundle.

        Raises:
            BundleError: names the file that is missing or damaged.
        """
        digest = bundle_digest(directory)
        subjects = _read(directory, "subjects.json")
        tables = Tables(
            popularity=_read(directory, "popularity.json"),
            expansion=_read(directory, "expansion.json"),
            translation=_read(directory, "translation.json"),
            subject_words=subjects["words"],
            subjects=subjects["subjects"],
        )
        words, documents = _read(directory, "lsa_words.json"), _read(directory, "lsa_documents.json")
        try:
            projection, vectors = (np.load(directory / f"lsa_{name}.npy") for name in ("projection", "vectors"))
        except (ValueError, EOFError) as error:
            raise BundleError(f"{directory}: lsa_projection.npy or lsa_vectors.npy is damaged: {error}") from error
        lsa = Lsa(_numbered(words), projection, _numbered(documents), vectors)
        forest = Forest((directory / "booster.txt").read_text())
        return cls(digest, _read(directory, "config.json"), _read(directory, "reference.json"), forest, lsa, tables)

    @staticmethod
    def write(
        directory: Path, *, booster: str, lsa: Lsa, tables: Tables, config: dict[str, Any], reference: dict[str, Any]
    ) -> str:
        """Writes the files of a bundle and returns its digest."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "booster.txt").write_text(booster)
        parts: dict[str, Any] = {
            "config.json": config,
            "expansion.json": tables.expansion,
            "lsa_documents.json": list(lsa.documents),
            "lsa_words.json": list(lsa.words),
            "popularity.json": tables.popularity,
            "reference.json": reference,
            "subjects.json": {"subjects": tables.subjects, "words": tables.subject_words},
            "translation.json": tables.translation,
        }
        for name, value in parts.items():
            text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
            (directory / name).write_text(text + "\n", encoding="utf-8")
        np.save(directory / "lsa_projection.npy", lsa.projection)
        np.save(directory / "lsa_vectors.npy", lsa.vectors)
        return bundle_digest(directory)


def bundle_digest(directory: Path) -> str:
    """The word "sha256:" and the hash over name, length and bytes of the canonical files; other files are ignored.

    Raises:
        BundleError: names the file that is missing.
    """
    total = hashlib.sha256()
    for name in FILES:
        try:
            data = (directory / name).read_bytes()
        except FileNotFoundError as error:
            raise BundleError(f"{directory}: {name} is missing: fetch the model again") from error
        total.update(f"{name}\0{len(data)}\0".encode())
        total.update(data)
    return f"sha256:{total.hexdigest()}"


def _read(directory: Path, name: str) -> Any:
    try:
        return json.loads((directory / name).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{directory}: {name} is damaged: {error}") from error


def _numbered(names: list[str]) -> dict[str, int]:
    return {name: row for row, name in enumerate(names)}
