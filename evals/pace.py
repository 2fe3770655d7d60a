"""A faster day: the developer's profile with its windows shortened, and as many users more.

Windows in seconds times sessions a second stay what they are, so every judgement rests on samples of the same size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from policies.contract import load_contract
from policies.packaged import packaged_contract, packaged_profile
from policies.profiles import Profile, load_profile

# Sessions a second for which the packaged windows were chosen.
RATE = 60.0
# How long the demo waits for an alert, and how often it looks, at that rate; in seconds.
PATIENCE, TICK = 45.0, 0.5
SCALED = {
    "measure": ("current", "baseline", "gap", "confirm", "near"),
    "ab": ("window", "poll", "min_window"),
    "watch": ("window", "interval"),
}


UNITS = load_contract(packaged_contract())


def scaled_profile(scale: float, name: str = "dev") -> tuple[str, Profile]:
    """Return the text and the value of a packaged profile with its measuring windows times `scale`, and so those of its
    limits that are times.

    Raises:
        ValueError: `scale` is not in (0, 1].
    """
    if not 0 < scale <= 1:
        raise ValueError(f"scale={scale}: must be in (0, 1]")
    text = packaged_profile(name)
    plain = load_profile(text, file=f"{name}.yaml")
    content: dict[str, Any] = yaml.safe_load(text)
    for section, fields in SCALED.items():
        for field in set(fields).intersection(content[section]):
            seconds = getattr(getattr(plain, section), field).total_seconds() * scale
            content[section][field] = f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"
    for signal, override in content.get("signals", {}).items():
        if UNITS.signal(signal).unit == "s":
            for limit in (limit for limits in override.values() for limit in limits if limit["kind"] == "absolute"):
                limit["threshold"] = round(limit["threshold"] * scale, 6)
    written = yaml.safe_dump(content, sort_keys=False)
    return written, load_profile(written, file=f"{name}-x{scale:g}.yaml")


def write_profile(folder: Path, scale: float) -> Path:
    """Write the scaled profile into `folder` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "profile.yaml"
    path.write_text(scaled_profile(scale)[0], encoding="utf-8")
    return path
