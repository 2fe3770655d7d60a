"""The policy decision point: a request in, allow, deny or escalate out, with the policies that decided.

Default deny. Anything but a clean Allow of the policy engine is a deny that says why: no matching permit, a forbid, a
request that does not fit the schema, an evaluation error, an exception of the library. A denied request that would be
allowed if a person approved it is an escalate.

Cedar: Cutler et al., "Cedar: a new language for expressive, fast, safe, and analyzable authorization", OOPSLA 2024.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, Protocol

import cedarpy

from domain.access import AccessRequest
from domain.actor import Actor
from domain.decision import Answer, AuthorizationRequest, Decision
from domain.errors import PolicySetBroken
from policies.access import access_entities
from policies.slices import Slices

_LIBRARY_ERRORS = (ValueError, TypeError, KeyError, RuntimeError, OverflowError, RecursionError)
# Cedar's Long is a signed 64-bit integer.
_LONG = 2**63
# The library gives a schema back as text in one form; an action that applies to something can be asked for.
_ACTION = re.compile(r'action "([^"]+)"(?: in \[([^\]]*)\])? appliesTo')
_GROUP = re.compile(r'Action::"([^"]+)"')


class DecisionPoint(Protocol):
    """Whoever answers *may we?*"""

    @property
    def policy_hash(self) -> str:
        """SHA-256 over the policy files and the schema; empty when there is no readable set."""

    def decide(self, request: AuthorizationRequest) -> Decision:
        """Answer `request`; never raises."""

    def permits(self, request: AccessRequest) -> Decision:
        """Answer whether somebody may use the service for something; never raises."""


class PolicyDecisionPoint:
    """Decides by a policy set that was parsed and validated once.

    Build it with `from_files`. Instances are immutable and may be shared between threads.
    """

    def __init__(
        self,
        schema: cedarpy.Schema,
        reasons: Mapping[str, str],
        policy_hash: str,
        files: Mapping[str, bytes],
        slices: Slices,
    ) -> None:
        self._schema = schema
        self._reasons = dict(reasons)
        self._hash = policy_hash
        self.files = dict(files)
        self._actions = {name: tuple(_GROUP.findall(groups)) for name, groups in _ACTION.findall(str(schema))}
        self._slices = slices
        self._entities = lru_cache(maxsize=1024)(self._load_entities)
        self._callers = lru_cache(maxsize=1024)(self._load_callers)

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, slicing: type[Slices] = Slices) -> PolicyDecisionPoint:
        """Parse and validate the set.

        Args:
            files: name -> content of the ``.cedar`` files and of exactly one ``.cedarschema``.
            slicing: what cuts the set down to what a question needs.

        Raises:
            PolicySetBroken: a file is missing, does not parse or does not fit the schema, or a policy has no `@id` of
                its own.
        """
        schemas = [name for name in files if name.endswith(".cedarschema")]
        sources = sorted(name for name in files if name.endswith(".cedar"))
        if len(schemas) != 1 or not sources:
            found = f"{len(sources)} policy files and {len(schemas)} schemas"
            raise PolicySetBroken(f"{found}; one schema and at least one policy file are needed")
        try:
            schema_text = files[schemas[0]].decode()
            texts = {name: files[name].decode() for name in sources}
            schema = cedarpy.Schema.from_str(schema_text)
        except ValueError as error:
            raise PolicySetBroken(f"{schemas[0]} or a policy file cannot be read: {error}") from error
        static = _by_id(texts)
        document = {"staticPolicies": static, "templates": {}, "templateLinks": []}
        try:
            _validate("\n".join(texts.values()), schema)
            policies = cedarpy.PolicySet.from_json_str(json.dumps(document))
        except _LIBRARY_ERRORS as error:
            raise PolicySetBroken(f"the policy set cannot be built: {error}") from error
        reasons = {name: str(policy["annotations"].get("reason") or name) for name, policy in static.items()}
        return cls(schema, reasons, hash_of(files), files, slicing(static, policies, str(schema)))

    @property
    def policy_hash(self) -> str:
        """SHA-256 over the names and contents of the policy files and the schema."""
        return self._hash

    @property
    def policy_ids(self) -> tuple[str, ...]:
        """The ids of all policies of the set."""
        return tuple(self._reasons)

    @property
    def actions(self) -> Mapping[str, tuple[str, ...]]:
        """The actions that can be asked for, each with the groups the schema puts it into."""
        return dict(self._actions)

    def reason_of(self, policy: str) -> str:
        """Return the reason a policy gives for itself."""
        return self._reasons.get(policy, policy)

    def decide(self, request: AuthorizationRequest) -> Decision:
        """Answer `request`; never raises. The policies named are those that decided."""
        context = {**request.context, "effect": request.effect.value, "environment": request.environment}
        for field in ("effect", "environment"):
            if request.context.get(field, context[field]) != context[field]:
                return self._deny(
                    f"the context names {field} {request.context[field]!r}, the request {context[field]!r}"
                )
        first = self._ask(request, context)
        if first.answer is Answer.ALLOW or context.get("approved") is not False:
            return first
        approved = self._ask(request, {**context, "approved": True})
        if approved.answer is not Answer.ALLOW:
            return first
        reason = f"a person has to approve this first ({request.tool} in {request.environment})"
        return approved.model_copy(update={"answer": Answer.ESCALATE, "reason": reason})

    def permits(self, request: AccessRequest) -> Decision:
        """Answer whether somebody may use the service for something; never raises, never escalates."""
        caller = request.caller
        context: dict[str, bool | int | str] = {
            "environment": request.environment,
            "in_scope": caller.in_scope(request.action),
            "is_person": caller.person is not None,
            "via": caller.via,
        }
        question = {
            "principal": {"type": "Caller", "id": caller.name},
            "action": {"type": "Action", "id": request.action.policy_action},
            "resource": {"type": "Environment", "id": request.environment},
            "context": context,
        }
        held = tuple(sorted(role.value for role in caller.roles))
        return self._answer(question, lambda: self._callers(caller.name, held, request.environment), caller.name)

    def _ask(self, request: AuthorizationRequest, context: Mapping[str, bool | int | str]) -> Decision:
        for field, value in context.items():
            if isinstance(value, int) and not -_LONG <= value < _LONG:
                return self._deny(f"context field {field} is {value}, beyond 64 bits")
        kind, name = _principal(request.actor)
        question = {
            "principal": {"type": kind, "id": name},
            "action": {"type": "Action", "id": request.tool},
            "resource": {"type": "Target", "id": request.target},
            "context": dict(context),
        }
        role = request.actor.role.value
        around = partial(self._entities, kind, name, role, request.target, request.environment)
        return self._answer(question, around, str(request.actor))

    def _answer(self, question: dict[str, Any], around: Callable[[], cedarpy.Entities], asker: str) -> Decision:
        """Ask the library, the entities being made inside of what is caught."""
        action = question["action"]["id"]
        try:
            entities = around()
            kind_of_question = self._slices.question(question["principal"]["type"], action, question["context"])
            schema = None if self._slices.fits(kind_of_question) else self._schema
            answer = cedarpy.is_authorized(question, self._slices.of(action), entities, schema)
            decision, errors = answer.decision, list(answer.diagnostics.errors)
            policies = tuple(sorted(answer.diagnostics.reasons))
        except _LIBRARY_ERRORS as error:
            return self._deny(f"the policy engine failed: {error}")
        if errors:
            return self._deny(f"the policy engine could not decide: {'; '.join(errors)}")
        if decision in (cedarpy.Decision.Allow, cedarpy.Decision.Deny):
            self._slices.fitted(kind_of_question)
        if decision is cedarpy.Decision.Allow and policies:
            return Decision(answer=Answer.ALLOW, policies=policies, policy_hash=self._hash, reason=self._why(policies))
        if not policies:
            return self._deny(f"no policy permits {action} to {asker}")
        return Decision(answer=Answer.DENY, policies=policies, policy_hash=self._hash, reason=self._why(policies))

    def _load_callers(self, name: str, roles: tuple[str, ...], environment: str) -> cedarpy.Entities:
        return cedarpy.Entities.from_json_str(json.dumps(access_entities(name, roles, environment)), self._schema)

    def _load_entities(self, kind: str, name: str, role: str, target: str, environment: str) -> cedarpy.Entities:
        parents = [] if kind == "Role" else [{"type": "Role", "id": role}]
        entities = [
            {"uid": {"type": kind, "id": name}, "attrs": {}, "parents": parents},
            {
                "uid": {"type": "Target", "id": target},
                "attrs": {},
                "parents": [{"type": "Environment", "id": environment}],
            },
        ]
        return cedarpy.Entities.from_json_str(json.dumps(entities), schema=self._schema)

    def _why(self, policies: tuple[str, ...]) -> str:
        return "; ".join(self._reasons.get(policy, policy) for policy in policies)

    def _deny(self, reason: str) -> Decision:
        return Decision(answer=Answer.DENY, policy_hash=self._hash, reason=reason)


class BrokenPolicies:
    """Stands in for a policy set that could not be loaded, so that the door stays shut."""

    def __init__(self, problem: str) -> None:
        self._reason = f"the policy set is broken: {problem}"

    @property
    def policy_hash(self) -> str:
        return ""

    def decide(self, request: AuthorizationRequest) -> Decision:
        """Deny, and say what is broken."""
        return Decision(answer=Answer.DENY, reason=self._reason)

    def permits(self, request: AccessRequest) -> Decision:
        """Deny, and say what is broken."""
        return Decision(answer=Answer.DENY, reason=self._reason)


def load_decision_point(files: Mapping[str, bytes]) -> DecisionPoint:
    """Return the decision point of `files`, or the one that denies everything when they are broken."""
    try:
        return PolicyDecisionPoint.from_files(files)
    except PolicySetBroken as error:
        return BrokenPolicies(str(error))


def hash_of(files: Mapping[str, bytes]) -> str:
    """Return the hexadecimal SHA-256 over names and contents, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode(), files[name]):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


def _principal(actor: Actor) -> tuple[str, str]:
    """Return type and id of the principal: a person by name, the engine acting in a role, or the role itself."""
    if actor.person:
        return "Person", actor.person
    return ("System" if actor.via == "stage" else "Role"), actor.role.value


def _by_id(texts: Mapping[str, str]) -> dict[str, dict[str, dict[str, str | None]]]:
    """Return the policies as JSON under their `@id`: the engine reports the keys of its set, not the annotations."""
    named: dict[str, dict[str, dict[str, str | None]]] = {}
    for name, text in texts.items():
        try:
            parsed = json.loads(cedarpy.policies_to_json_str(text))
        except ValueError as error:
            raise PolicySetBroken(f"{name} does not parse: {error}") from error
        if parsed.get("templates"):
            raise PolicySetBroken(f"{name} holds a template; write out the policy instead")
        for policy in parsed["staticPolicies"].values():
            identity = policy.get("annotations", {}).get("id")
            if not identity or identity in named:
                raise PolicySetBroken(f"{name}: a policy has no @id of its own ({identity!r}); give each one another")
            named[identity] = policy
    if not named:
        raise PolicySetBroken("the files hold no policy")
    return named


def _validate(text: str, schema: cedarpy.Schema) -> None:
    result = cedarpy.validate_policies(text, schema)
    if not result.validation_passed:
        problems = "; ".join(str(error) for error in result.errors) or "no reason given"
        raise PolicySetBroken(f"the policies do not fit the schema: {problems}")
