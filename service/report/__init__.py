"""The report of a cycle: one page a person would look at, and the same in Markdown."""

from __future__ import annotations

from service.report.material import FeatureShare, ReportMaterial, SliceScore, VerificationCheck
from service.report.write import HTML, MARKDOWN, write_report

__all__ = ["HTML", "MARKDOWN", "FeatureShare", "ReportMaterial", "SliceScore", "VerificationCheck", "write_report"]
