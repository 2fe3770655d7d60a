"""The truth of a running world, asked over HTTP in probes that count in none of its figures."""

from __future__ import annotations

from typing import Any

import httpx

from testbed import truth
from testbed.layout import Layout
from testbed.universe import Control, Universe

DEPTH = 20


def measure_live(layout: Layout, url: str, n: int, seed: int) -> dict[str, Any]:
    """`truth.measure` of the live service for the present mix of subjects, over n fresh intents.

    Raises:
        httpx.HTTPError: the service does not answer.
    """
    universe = Universe.load(layout)
    population = universe.population()
    mix = population.mix(universe.known, universe.new, Control.read(layout.traffic).new_share)
    with httpx.Client(base_url=url, timeout=20.0, trust_env=False, headers={"X-Probe": "true"}) as client:

        def search(query: str, user_id: str) -> list[str]:
            answer = client.get("/search", params={"q": query, "user_id": user_id, "k": DEPTH})
            answer.raise_for_status()
            return [result["id"] for result in answer.json()["results"]]

        return truth.measure(search, population, n, seed, mix)
