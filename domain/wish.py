"""What an operator wants of a cycle that was opened by hand, and what it must not do.

It travels on the alert that opens the cycle, as Evercrew wrote it. Bounds only ever narrow: no wish lifts a gate, a
policy or an approval. A wish that cannot be read any more is the strictest one: look, and change nothing.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from domain.alert import Alert
from domain.canonical import canonical_json

SOURCE = "operator"
"""Source of an alert that Evercrew itself wrote for somebody; no sender of alerts is called so."""
_PLACE = "wish"


class Wish(BaseModel):
    """`by` wants it. `model` is a training target, `subjects` are slices to aim at, `new_subjects` all that are new;
    with `do_not_promote` nothing goes live, with `only_diagnose` nothing is changed at all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["diagnose", "retrain"] = "diagnose"
    by: str = Field(min_length=1, max_length=200)
    proposal: str = Field(default="", max_length=64)
    model: str | None = Field(default=None, max_length=64)
    new_subjects: bool = False
    subjects: tuple[str, ...] = Field(default=(), max_length=20)
    do_not_promote: bool = False
    only_diagnose: bool = False

    def annotations(self) -> dict[str, str]:
        """Return what stands on the alert: who wants it, and all of it."""
        return {"by": self.by, _PLACE: canonical_json(self)}

    @classmethod
    def of(cls, alert: Alert) -> Self | None:
        """Return the wish an alert carries; None where nobody wished for anything."""
        if alert.source != SOURCE or _PLACE not in alert.annotations:
            return None
        try:
            return cls.model_validate_json(alert.annotations[_PLACE])
        except ValidationError:
            by = alert.annotations.get("by") or "somebody"
            return cls(by=by[:200], do_not_promote=True, only_diagnose=True)

    def said(self) -> str:
        """Return it in words."""
        bounds = [
            "on the new subjects" if self.new_subjects else "",
            f"on {', '.join(self.subjects)}" if self.subjects else "",
            "nothing goes live" if self.do_not_promote else "",
            "nothing is changed" if self.only_diagnose else "",
        ]
        what = f"{self.action} {self.model}" if self.model else self.action
        return f"{self.by} asked: {', '.join([what, *filter(None, bounds)])}"
