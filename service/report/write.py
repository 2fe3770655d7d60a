"""Writes `report.html` and `report.md`.

The page is one file without scripts, and without styles, fonts or pictures from elsewhere. Everything from outside is
escaped by the templates; the page's own content policy forbids scripts and requests besides, so that text which got
past the escaping could still not run or fetch anything.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from cycles.artifacts import Artifacts
from service import wording
from service.report import comparisons, signals, story, timecharts
from service.report.material import ReportMaterial
from service.report.papers import template, templates_of

HTML = "report.html"
MARKDOWN = "report.md"
# Signals in the order a person asks for them; the alerted one comes first whatever it is.
_ORDER = ("ndcg_at_10", "latency_p95_ms", "cost_per_1k_requests", "user_satisfaction")
MOST_SIGNALS = 5
_SIGNS = {"eq": "=", "gt": ">", "ge": "\N{GREATER-THAN OR EQUAL TO}", "lt": "<", "le": "\N{LESS-THAN OR EQUAL TO}"}


def write_report(folder: Path, material: ReportMaterial) -> tuple[Path, Path]:
    """Write both reports into `folder` and return their paths, HTML first.

    A section without its artifact is left out; an artifact that does not fit its schema is named and not drawn.
    """
    folder = folder.resolve()
    writer = Artifacts(folder.parent)
    shown = _page(material, writer)
    page = _environment().get_template("report.html.j2").render(shown)
    text = _environment().get_template("report.md.j2").render(shown)
    return (
        writer.write_text(folder.name, HTML, page),
        writer.write_text(folder.name, MARKDOWN, re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"),
    )


def _page(material: ReportMaterial, checker: Artifacts) -> dict[str, Any]:
    artifacts, problems = story.fitting(material, checker)
    rows = story.audit_rows(material.audit)
    return {
        "cycle": material.cycle,
        "summary": material.summary,
        "verdict": story.verdict(material, artifacts),
        "tiles": story.tiles(material, artifacts),
        "problems": problems,
        "outcome": artifacts.get("outcome.json"),
        "diagnosis": artifacts.get("diagnostic_report.json"),
        "dataset": artifacts.get("dataset_manifest.yaml"),
        "evaluation": artifacts.get("evaluation.json"),
        "ab": artifacts.get("ab_test_results.json"),
        "release": artifacts.get("helm_values_patch.yaml"),
        "watch": artifacts.get("watch.json"),
        "watched": story.watched(material, artifacts).signal,
        "gates": story.gates(artifacts, story.watched(material, artifacts).signal),
        "lost": story.lost(material),
        "gained": story.gained(artifacts),
        "attribution": material.attribution or [],
        "live": story.live(artifacts),
        "segments": story.segments(material),
        "events": sorted(material.events),
        "audit": rows,
        "audit_left_out": len(material.audit) - len(rows),
        "checks": material.checks,
        "pictures": _pictures(material, artifacts),
        "patch_lines": story.patch_lines,
        "style": Markup(template("service.report", "report.css")),
    }


def _pictures(material: ReportMaterial, artifacts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    shares = [comparisons.Pair(s.feature, s.before, s.after) for s in material.attribution or ()]
    ab = artifacts.get("ab_test_results.json")
    return {
        "signals": _signals(material, artifacts),
        "lost": _slices("lost", "nDCG@10 by subject before and after the alert", story.lost(material)),
        "gained": _slices("gained", "Held-out nDCG@10 by subject, live and candidate", story.gained(artifacts)),
        "attribution": comparisons.dumbbell(
            "attribution", "What the re-ranker attends to", shares, _share, judged=False
        ),
        "ab": comparisons.lift_chart(ab["looks"], _margin(ab)) if ab else None,
        "watch": _watch(material, artifacts) if "watch.json" in artifacts else None,
        "stages": timecharts.stage_chart(
            story.segments(material), story.effects(material.audit), material.cycle.opened_at
        ),
    }


def _watch(material: ReportMaterial, artifacts: dict[str, dict[str, Any]]) -> Markup | None:
    seen = story.watched(material, artifacts)
    looks = [(look["value"], look["verdict"]) for look in artifacts["watch.json"]["looks"]]
    return timecharts.watch_chart(seen.signal, seen.before, looks, seen.healthy)


def _slices(name: str, title: str, pairs: list[comparisons.Pair]) -> Markup | None:
    return comparisons.dumbbell(name, title, pairs, wording.score, judged=True)


def _signals(material: ReportMaterial, artifacts: dict[str, dict[str, Any]]) -> list[tuple[str, Markup]]:
    lead = material.cycle.alert.signal
    ranks = {name: k for k, name in enumerate((lead, *_ORDER))} | {lead: -1}
    names = sorted(material.series, key=lambda n: (ranks.get(n, 99), n))[:MOST_SIGNALS]
    drawn = []
    for name in names:
        first = name == names[0]
        picture = signals.signal_chart(
            name,
            material.series[name],
            material.events if first else (),
            story.trouble(material, artifacts, name),
            signals.FULL if first else signals.HALF,
        )
        if picture is not None:
            drawn.append((name, picture))
    return drawn


def _margin(ab: dict[str, Any]) -> float | None:
    """Return the lift that was asked for, as the gate itself recorded it."""
    return next((m for g in ab["gates"] if (m := wording.finite(g["figures"].get("margin"))) is not None), None)


def _share(value: float | None) -> str:
    return wording.MISSING if value is None else f"{100 * value:.0f} %"


def _found(value: object) -> str:
    number = wording.finite(value)
    return f"{number:.4g}" if number is not None else wording.clean(value, 120)


def _sentence(text: str) -> str:
    """Return text with a capital at its head, unless it begins with the name of something."""
    first = text.partition(" ")[0]
    return text[:1].upper() + text[1:] if first.isalpha() and first.islower() else text


def _counted(things: list[object], one: str) -> str:
    return f"1 {one}" if len(things) == 1 else f"all {len(things)} {one}s"


@cache
def _environment() -> Environment:
    environment = templates_of("service.report")
    environment.filters |= {
        "clean": wording.clean,
        "counted": _counted,
        "digest": wording.digest_label,
        "duration": wording.duration,
        "found": _found,
        "percent": wording.percent,
        "readable": wording.readable,
        "role": wording.role_label,
        "score": wording.score,
        "sentence": _sentence,
        "share": _share,
        "signal": wording.signal_label,
        "sign": lambda name: _SIGNS.get(name, wording.words(name)),
        "stage": wording.stage_label,
        "words": wording.words,
    }
    environment.globals["value_of"] = wording.signal_value
    return environment
