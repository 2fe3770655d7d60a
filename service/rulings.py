"""Whether a policy set is sound, and why it decides as it does; as it is shown at a terminal and over HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from domain.errors import InvalidInput
from policies.access import AccessCell

if TYPE_CHECKING:
    from domain.decision import Effect
    from policies.matrix import Explained
    from policies.pdp import PolicyDecisionPoint
    from policies.profiles import Profile


class MatrixRow(BaseModel):
    """The answers to one role for one tool in one environment; `word` says them in one."""

    model_config = ConfigDict(frozen=True)

    tool: str
    role: str
    environment: str
    answers: Mapping[str, str]
    word: str


class Soundness(BaseModel):
    """What is wrong with a set (nothing: it is sound), and who may do what where."""

    model_config = ConfigDict(frozen=True)

    sound: bool
    policy_hash: str
    policies: int
    findings: tuple[str, ...]
    matrix: tuple[MatrixRow, ...]
    access: tuple[AccessCell, ...] = ()


def soundness(point: PolicyDecisionPoint) -> Soundness:
    """Return whether a set that could be loaded is sound."""
    from policies.access import access_findings, access_matrix
    from policies.matrix import findings, matrix

    tools, profiles = every_tool(), every_profile()
    cells, asked = matrix(point, tools, profiles.values()), access_matrix(point, profiles)
    found = findings(point, tools, cells) + access_findings(point.actions, asked)
    rows = (MatrixRow(**cell.model_dump(mode="json"), word=cell.word) for cell in cells)
    return Soundness(
        sound=not found,
        policy_hash=point.policy_hash,
        policies=len(point.policy_ids),
        findings=tuple(found),
        matrix=tuple(rows),
        access=tuple(asked),
    )


def explained(
    point: PolicyDecisionPoint,
    *,
    role: str,
    tool: str,
    environment: str,
    via: str,
    changed: Mapping[str, bool | int | str],
) -> Explained:
    """Return what is decided, by which policies, and which single field of the context would flip it.

    Raises:
        InvalidInput: there is no such role, tool, environment or way to ask.
    """
    from domain.actor import Role
    from policies.matrix import VIAS, explain

    tools, profiles = every_tool(), every_profile()
    _known("role", role, [r.value for r in Role])
    _known("tool", tool, tools)
    _known("env", environment, profiles)
    _known("via", via, VIAS)
    return explain(
        point,
        tool=tool,
        effect=tools[tool],
        role=Role(role),
        via=next(v for v in VIAS if v == via),
        profile=profiles[environment],
        changed=changed,
    )


def every_tool() -> Mapping[str, Effect]:
    """Return the effect of every tool there is, whether or not a configuration offers it."""
    import importlib
    import inspect
    import pkgutil

    import tools
    from tools.tool import Tool

    found: dict[str, Effect] = {}
    for module in pkgutil.walk_packages(tools.__path__, "tools."):
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(kind, Tool) and not inspect.isabstract(kind) and hasattr(kind, "spec"):
                found[kind.spec.name] = kind.spec.effect
    return found


def every_profile() -> dict[str, Profile]:
    """Return the packaged profile of every environment."""
    from policies.packaged import ENVIRONMENTS, packaged_profile
    from policies.profiles import load_profile

    return {name: load_profile(packaged_profile(name), file=f"{name}.yaml") for name in ENVIRONMENTS}


def _known(field: str, value: str, known: Iterable[str]) -> None:
    names = list(known)
    if value not in names:
        raise InvalidInput(field, f"{value!r} is not known", f"Use one of: {', '.join(sorted(names))}")
