"""The files that ship with this package, as text; the composition root hands them to what needs them."""

from __future__ import annotations

from importlib.resources import files

ENVIRONMENTS = ("dev", "staging", "production")


def packaged_policy_files() -> dict[str, bytes]:
    """Return name -> content of every policy file and of the schema."""
    room = files("policies")
    return {f.name: f.read_bytes() for f in room.iterdir() if f.name.endswith((".cedar", ".cedarschema"))}


def packaged_contract() -> str:
    """Return the text of the contract of signals."""
    return (files("policies") / "contract.yaml").read_text("utf-8")


def packaged_profile(name: str) -> str:
    """Return the text of an environment's profile; `name` is one of `ENVIRONMENTS`.

    Raises:
        FileNotFoundError: there is no such profile.
    """
    return (files("policies") / "environments" / f"{name}.yaml").read_text("utf-8")
