"""The report: whole, self-contained, and safe to open whatever an alert or a log line says."""

import re
import subprocess
import sys
import time
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from domain.receipt import AuditRecord
from service.report import FeatureShare, ReportMaterial, SliceScore, VerificationCheck, write_report
from service.report.signals import FULL, MOST_POINTS, Trouble, signal_chart
from service.report.story import MOST_RECORDS, Watched, moment, segments, watched
from service.report.svg import lanes, ticks
from tests.service import sample
from tests.service.artifacts import CYCLE_ID, OPENED, at

ATTACK = "</td></svg><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }} \x1b[31m \u202e"


class Page(HTMLParser):
    """Collects what a browser would see: elements, attributes, headings, and whether they are closed in order."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["h2"] and data.strip():
            self.headings.append(data.strip())

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.elements}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "artifacts" / CYCLE_ID


@pytest.fixture
def written(folder: Path) -> tuple[str, str]:
    page, text = write_report(folder, sample.retrained())
    return page.read_text(encoding="utf-8"), text.read_text(encoding="utf-8")


def test_both_files_stand_in_the_folder_of_the_cycle(folder: Path) -> None:
    assert write_report(folder, sample.retrained()) == (folder / "report.html", folder / "report.md")
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.md"]


def test_a_full_cycle_has_every_section(written: tuple[str, str]) -> None:
    assert Page(written[0]).headings == [
        "The signal",
        "What happened",
        "The alert",
        "Diagnosis",
        "What was lost, by subject",
        "What the re-ranker attends to",
        "Training data",
        "What was gained, by subject",
        "Gates",
        "A/B test on live traffic",
        "The change",
        "Watch",
        "Timeline",
        "Effects",
        "Verification",
        "Audit",
    ]


def test_a_noise_cycle_leaves_out_what_it_has_not(folder: Path) -> None:
    page, text = write_report(folder, sample.noise())
    headings = Page(page.read_text(encoding="utf-8")).headings
    assert headings == ["The alert", "Diagnosis", "Timeline"]
    assert "## A/B test" not in text.read_text(encoding="utf-8")


def test_a_cycle_without_any_artifact_still_has_a_report(folder: Path) -> None:
    page, text = write_report(folder, ReportMaterial(cycle=sample.cycle()))
    assert "Retrain: improved" in page.read_text(encoding="utf-8")
    assert text.read_text(encoding="utf-8").startswith(f"# {CYCLE_ID}: improved, verified")


def test_the_page_asks_for_nothing_from_elsewhere(written: tuple[str, str]) -> None:
    page = Page(written[0])
    assert page.names.isdisjoint({"script", "link", "iframe", "object", "embed", "base", "form", "img"})
    assert [a for _, a in page.elements if {"src", "href", "srcset", "style"} & set(a) - {"style"}] == []
    assert re.findall(r"url\(|@import|@font-face", written[0]) == []
    assert re.findall(r"https?://[^\"'\s<]+", written[0]) == ["http://www.w3.org/2000/svg"] * 10
    policy = next(a["content"] for name, a in page.elements if name == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_every_picture_can_be_heard(written: tuple[str, str]) -> None:
    page = Page(written[0])
    pictures = [a for name, a in page.elements if name == "svg"]
    identities = {a.get("id") for _, a in page.elements if a.get("id")}
    assert len(pictures) == 10
    assert all(a["role"] == "img" for a in pictures)
    assert all(set(str(a["aria-labelledby"]).split()) <= identities for a in pictures)
    assert len([a for name, a in page.elements if name == "th" and a.get("scope") != "col"]) == 0


def test_the_page_follows_the_reader_into_the_dark(written: tuple[str, str]) -> None:
    assert "prefers-color-scheme: dark" in written[0]
    assert re.findall(r'(?:fill|stroke)="#', written[0]) == []


def _poisoned() -> ReportMaterial:
    material = sample.retrained(ATTACK)
    artifacts = {name: dict(content) for name, content in material.artifacts.items()}
    artifacts["diagnostic_report.json"] |= {"summary": ATTACK, "downgraded": ATTACK}
    claim = {**artifacts["diagnostic_report.json"]["claims"][0], "statement": ATTACK, "found": ATTACK, "call": ATTACK}
    artifacts["diagnostic_report.json"]["claims"] = [claim]
    artifacts["helm_values_patch.yaml"] |= {"patch": f"+{ATTACK}\n", "rollback": ATTACK}
    artifacts["evaluation.json"]["slices"] = [{"name": ATTACK, "baseline": 0.2, "candidate": 0.3, "n": 9}]
    artifacts["watch.json"] |= {"reason": ATTACK}
    entry = material.audit[0].entry.model_copy(update={"tool": ATTACK, "actor": ATTACK, "policies": (ATTACK,)})
    return material.model_copy(
        update={
            "artifacts": artifacts,
            "audit": [AuditRecord.seal(1, OPENED, "", entry), *material.audit[1:]],
            "events": [(at(0), ATTACK)],
            "series": {ATTACK: material.series["ndcg_at_10"], **material.series},
            "attribution": [FeatureShare(feature=ATTACK, before=0.1, after=0.2)],
            "checks": [VerificationCheck(name=ATTACK, ok=False, detail=ATTACK)],
        }
    )


def test_nothing_untrusted_becomes_markup(folder: Path) -> None:
    clean = Page(write_report(folder, sample.retrained())[0].read_text(encoding="utf-8"))
    text = write_report(folder, _poisoned())[0].read_text(encoding="utf-8")
    page = Page(text)
    assert page.names <= clean.names
    assert [a for _, a in page.elements if any(key.startswith("on") for key in a)] == []
    assert "&lt;script&gt;alert(1)" in text
    assert "{{ 7*7 }}" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_nothing_untrusted_becomes_markup_in_markdown(folder: Path) -> None:
    text = write_report(folder, _poisoned())[1].read_text(encoding="utf-8")
    outside_code = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    assert "<script" not in outside_code
    assert "<img" not in outside_code
    pipes = [len(re.findall(r"(?<!\\)\|", line)) for line in outside_code.splitlines() if line.startswith("|")]
    assert min(pipes) >= 3


def test_a_repair_is_watched_by_the_first_signal_that_was_breached(folder: Path) -> None:
    material = sample.retrained()
    watch = {**material.artifacts["watch.json"], "kind": "repair", "alpha": None, "baseline": []}
    snapshot = {"breached": ["latency_p95_ms"], "readings": {"latency_p95_ms": {"current": 90.0, "baseline": 5.15}}}
    cycle = material.cycle.with_fact("snapshot", snapshot)
    repaired = material.model_copy(update={"cycle": cycle, "artifacts": {"watch.json": watch}})
    assert watched(repaired, {"watch.json": watch}) == Watched("latency_p95_ms", [90.0], 5.15)
    page, text = write_report(folder, repaired)
    assert "| watch | p95 latency | pass |" in text.read_text(encoding="utf-8")
    assert "p95 latency at each look after the change" in page.read_text(encoding="utf-8")
    assert "Level healthy: 5.2 ms" in page.read_text(encoding="utf-8")


def test_a_change_that_left_the_values_as_they_were_is_not_called_a_commit(folder: Path) -> None:
    material = sample.retrained()
    release = {**material.artifacts["helm_values_patch.yaml"], "patch": "", "previous_revision": ""}
    same = material.model_copy(update={"artifacts": {"helm_values_patch.yaml": release}})
    page, text = write_report(folder, same)
    assert "The values file was right already" in text.read_text(encoding="utf-8")
    assert "git revert" not in page.read_text(encoding="utf-8")


def test_a_check_that_does_not_hold_takes_the_proof_away(folder: Path) -> None:
    broken = [VerificationCheck(name="live digest = git values", ok=False, detail="they differ")]
    text = write_report(folder, sample.retrained().model_copy(update={"checks": broken}))[1].read_text(encoding="utf-8")
    assert text.startswith(f"# {CYCLE_ID}: improved, not verified")


def test_an_artifact_that_does_not_fit_its_schema_is_named_and_not_drawn(folder: Path) -> None:
    material = sample.retrained()
    broken = {**material.artifacts, "ab_test_results.json": {"looks": "many"}, "notes.txt": {}}
    text = write_report(folder, material.model_copy(update={"artifacts": broken}))[0].read_text(encoding="utf-8")
    assert "A/B test on live traffic" not in Page(text).headings
    assert "ab_test_results.json: $" in text
    assert "notes.txt is not an artifact of a cycle" in text


def test_a_missing_number_is_never_drawn_as_zero(folder: Path) -> None:
    material = sample.retrained()
    nothing = {"ndcg_at_10": [(at(0), None), (at(1), float("nan")), (at(2), 0.4)]}
    slices = [SliceScore(name="new", before=None, after=0.3, n=4), SliceScore(name="lost", before=None, after=None)]
    shown = material.model_copy(update={"series": nothing, "slices": slices})
    text = write_report(folder, shown)[0].read_text(encoding="utf-8")
    assert "signal-ndcg_at_10" not in text
    assert '<td>lost</td><td class="num">\u2013</td>' in text
    assert "0.000" not in text
    assert "NaN" not in text
    assert re.findall(r'="[^"]*\bnan\b', text) == []


def test_the_lift_that_was_asked_for_is_drawn_where_the_gate_recorded_it(written: tuple[str, str]) -> None:
    assert "asked +3 %" in written[0]
    assert r"lift +11.80% \[+1.41%, +23.23%\]" in written[1]


def test_refusals_are_among_the_first_things_shown(written: tuple[str, str]) -> None:
    first = written[0].split("The whole chain of this cycle")[0]
    assert "analyst-reads-only" in first
    assert re.search(r"\| \d+ \| [\d:.]+ \| refusal \| diagnose \| Metrics Analyst \| promote \|", written[1])


def test_a_long_cycle_gives_a_small_page_in_time(folder: Path) -> None:
    material = sample.retrained()
    day = [(OPENED + timedelta(seconds=10 * k), 0.4 + 0.01 * (k % 7)) for k in range(60_000)]
    entry = material.audit[0].entry
    records, previous = [], ""
    for k in range(2 * MOST_RECORDS):
        records.append(AuditRecord.seal(k + 1, at(k), previous, entry))
        previous = records[-1].hash
    long = material.model_copy(update={"series": {"ndcg_at_10": day}, "audit": records})
    began = time.thread_time()
    page, _ = write_report(folder, long)
    assert time.thread_time() - began < 20  # about a second of the processor, whoever else wants it
    assert page.stat().st_size < 1_500_000
    assert f"{MOST_RECORDS} more in audit.jsonl" in page.read_text(encoding="utf-8")


def test_drawing_needs_no_plotting_library() -> None:
    loaded = "import sys, service.report; print(sorted({'matplotlib', 'pandas', 'crewai'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_thinning_keeps_the_only_dip() -> None:
    points = [(OPENED + timedelta(seconds=k), 0.4) for k in range(50 * MOST_POINTS)]
    points[12_345] = (points[12_345][0], 0.1)
    picture = signal_chart("ndcg_at_10", points, (), Trouble(OPENED, OPENED), FULL)
    assert picture is not None
    lowest = max(float(y) for _, y in re.findall(r"[ML](\d+\.\d),(\d+\.\d)", picture))
    assert picture.count("L") < 2 * MOST_POINTS
    assert lowest > FULL[1] / 2


def test_labels_of_close_events_stand_in_lanes_of_their_own() -> None:
    placed = lanes([(100.0, "alert"), (104.0, "A/B test starts"), (890.0, "promoted")], 914, 4)
    assert [lane for _, lane, _ in placed] == [0, 1, 0]
    assert [anchor for _, _, anchor in placed] == ["start", "start", "end"]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.34, 0.43), (-0.3, 0.9), (1e-9, 2e-9), (5.0, 5.0), (0, 1e6)])
def test_ticks_are_few_and_within_the_range(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 1 <= len(found) <= 7
    assert all(low - 1e-6 <= tick <= high + 1e-6 for tick in found)


def test_stages_come_from_the_record_and_else_from_the_timings() -> None:
    recorded, timed = segments(sample.retrained()), segments(sample.noise())
    assert [(s.stage, s.end) for s in recorded][-1] == ("learn", at(89.6))
    assert [s.stage for s in timed] == ["observe", "diagnose", "learn"]
    assert timed[-1].end - timed[0].begin == timedelta(seconds=22.1)


@pytest.mark.parametrize("value", [None, "yesterday", float("nan"), {}, True])
def test_what_is_no_moment_is_none(value: object) -> None:
    assert moment(value) is None
