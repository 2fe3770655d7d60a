"""Every tool there is, as pages name it: its group, its effect and what it is for."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from domain.decision import Effect

if TYPE_CHECKING:
    from policies.profiles import Profile

GROUPS = {
    "observe": "Look",
    "data": "Data",
    "model": "Models",
    "deliver": "Delivery",
    "repair": "Vector index",
    "notify": "Telling people",
    "sandbox": "Sandbox",
}
"""The folders of `tools/`, in the order a cycle comes through them, as people read them."""


@dataclass(frozen=True)
class ToolFacts:
    """A tool: its folder, what it does to the world, and its summary."""

    name: str
    group: str
    effect: Effect
    summary: str


@cache
def tool_facts() -> Mapping[str, ToolFacts]:
    """Return every tool by name, whether or not a configuration offers it."""
    import tools
    from tools.tool import Tool

    found: dict[str, ToolFacts] = {}
    for module in pkgutil.walk_packages(tools.__path__, "tools."):
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(kind, Tool) and not inspect.isabstract(kind) and hasattr(kind, "spec"):
                spec, folder = kind.spec, kind.__module__.split(".")[1]
                found[spec.name] = ToolFacts(spec.name, folder, spec.effect, spec.summary)
    return dict(sorted(found.items()))


@cache
def profiles() -> Mapping[str, Profile]:
    """Return the profiles that ship with the package, by environment."""
    from service.rulings import every_profile

    return every_profile()


@cache
def safe_tools() -> frozenset[str]:
    """Return the tools that lead to a safe state, which no kill switch stops."""
    from service.switching import tools_there_are

    return frozenset(tools_there_are()[1])
