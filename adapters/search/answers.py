"""Reading OpenSearch's answers: a search that is only partly true is no answer."""

from __future__ import annotations

from typing import Any

from domain.errors import DependencyLied, DependencyTimeout


def whole(name: str, field: str, answer: Any) -> dict[str, Any]:
    """Return a search's answer when every shard gave its part in time.

    Raises:
        DependencyTimeout: the search ended before every shard had answered.
        DependencyLied: shards failed, or it is no answer of a search.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("hits"), dict):
        raise DependencyLied(name, "the answer is no search result", f"Check {field}.url: OpenSearch answers there")
    if answer.get("timed_out"):
        raise DependencyTimeout(name, "the search was cut off before every shard had answered")
    shards = answer.get("_shards")
    failed = shards.get("failed", 0) if isinstance(shards, dict) else 0
    if failed:
        total = shards.get("total", "?") if isinstance(shards, dict) else "?"
        raise DependencyLied(name, f"{failed} of {total} shards failed", "See the health of the index")
    return answer


def hits(name: str, field: str, answer: Any) -> list[dict[str, Any]]:
    """Return the hits of a whole search; raises as `whole`."""
    found = whole(name, field, answer)["hits"].get("hits")
    if not isinstance(found, list) or not all(isinstance(hit, dict) for hit in found):
        raise DependencyLied(name, "the answer has no list of hits", f"Check {field}.url")
    return found
