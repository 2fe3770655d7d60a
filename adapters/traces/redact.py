"""What leaves the machine in a trace carries no secret and no person: values under telling names are masked, and so is
what looks like a key, a token, a password in an address, an e-mail address, a telephone, card or account number, or
an address of the public internet.

Names of people, streets and places are not recognised: that takes a model, and a trace must not wait for one. Where
texts of users may stand in traces, switch their content off (`EVERCREW_TRACES_CONTENT=false`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import date, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

MASK = "<redacted>"
# Longer texts are cut: a trace is read by people.
LONGEST = 20_000
MOST = 200
_NAMES = re.compile(
    r"(api[_-]?key|secret|passw(or)?d|passphrase|authorization|credential|private[_-]?key|cookie|bearer|^dsn$"
    r"|connection[_-]?string|^token$|[_-]token$)",
    re.I,
)
_PREFIXES = (
    r"sk|pk|rk|ghp|gho|ghs|ghu|ghr|github_pat|glpat|lsv2|xox[abeoprs]|xapp|hf|npm|pypi|AKIA|ASIA|AIza|ya29|dop_v1|SG\."
)
_SECRETS = re.compile(
    rf"\b(?:{_PREFIXES})[-_A-Za-z0-9]{{12,}}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\beyJ[-_A-Za-z0-9]{8,}\.[-_A-Za-z0-9]{8,}(?:\.[-_A-Za-z0-9]*)?"
    r"|\b(?:Bearer|Basic|Token)\s+[-._~+/=A-Za-z0-9]{8,}"
    r"|hooks\.slack\.com/services/[A-Za-z0-9/]+",
    re.S,
)
_USERINFO = re.compile(r"://[^/\s:@]+:[^/\s@]+@")
_ASSIGNED = re.compile(
    r"\b((?:[\w-]*[_-])?(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?key|token))(\"?\s*[=:]\s*\"?)"
    r"(?!<redacted>)([^\s\",;&]{4,})",
    re.I,
)
_EMAIL = re.compile(r"[\w.+%-]{1,64}@[\w-]+(?:\.[\w-]+)+")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
_DIGITS = re.compile(r"(?<![\w.:/+-])\d(?:[ -]?\d){11,18}(?![\w-]|\.\d)")
_SSN = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
_PHONE = re.compile(
    r"(?<![\w.:/-])(?:(?:\+|00)\d{1,3}[ .-]?(?:\(0\))?[ .-]?)?(?:\(\d{2,5}\)[ .-]?)?\d{2,5}(?:[ .-]\d{2,5}){1,4}"
    r"(?:x\d{1,5})?(?![\w:-]|\.\d)|(?<!\w)\+\d{8,15}\b|(?<![\w.:/-])0\d{2,4} \d{5,8}\b"
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}|\d{2}\.\d{2}\.\d{4}|\d+\.\d+|\d{1,2}\.\d{1,3}\.\d{1,3}")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{1,4}:){2,7}(?::?[0-9a-fA-F]{1,4}){1,7}(?![\w:])")
_FEWEST_DIGITS, _MOST_DIGITS = 7, 15
_CARD_STARTS = re.compile(r"3[0-9]|4|5[0-8]|6|2[1-7]|1800")
_DEEPEST = 12


def redacted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy with secrets and personal data masked, as plain JSON; nesting beyond twelve levels is cut."""
    return {str(name): _value(str(name), value, 0) for name, value in values.items()}


def redacted_text(text: str) -> str:
    """Return a text with what looks like a secret or like personal data masked, and cut."""
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]} [{len(text) - LONGEST} more]"
    masked = _SECRETS.sub(MASK, cut)
    masked = _USERINFO.sub(f"://{MASK}@", masked)
    masked = _ASSIGNED.sub(rf"\1\2{MASK}", masked)
    masked = _EMAIL.sub(MASK, masked) if "@" in masked else masked
    return _numbers(masked) if any(char.isdigit() for char in masked) else masked


def _numbers(text: str) -> str:
    """Mask numbers that belong to people."""
    for pattern, mask in ((_IPV4, _address), (_IPV6, _address), (_DIGITS, _card), (_PHONE, _phone)):
        text = pattern.sub(mask, text)
    return _IBAN.sub(MASK, _SSN.sub(MASK, text))


def _address(found: re.Match[str]) -> str:
    """Addresses of the private network are what an operator looks for; those of the public one are people's."""
    try:
        return MASK if ipaddress.ip_address(found.group()).is_global else found.group()
    except ValueError:
        return found.group()


def _card(found: re.Match[str]) -> str:
    """A number of a card begins as one and adds up as one (ISO/IEC 7812-1, Luhn), or is written in groups."""
    text = found.group()
    digits = re.sub(r"\D", "", text)
    return MASK if _CARD_STARTS.match(digits) and (_luhn(digits) or digits != text) else text


def _luhn(digits: str) -> bool:
    doubled = (int(d) * (1 + at % 2) for at, d in enumerate(reversed(digits)))
    return sum(n - 9 if n > 9 else n for n in doubled) % 10 == 0


def _phone(found: re.Match[str]) -> str:
    text = found.group()
    count = sum(char.isdigit() for char in text.partition("x")[0])
    if not _FEWEST_DIGITS <= count <= _MOST_DIGITS or _DATE.fullmatch(text):
        return text
    return MASK


def _value(name: str, value: Any, depth: int) -> Any:
    if _NAMES.search(name) and value and not isinstance(value, bool | int | float):
        return MASK
    if depth >= _DEEPEST:
        return "..."
    match value:
        case str():
            return redacted_text(value)
        case Mapping():
            kept = list(value.items())[:MOST]
            told = {redacted_text(str(key)): _value(str(key), inner, depth + 1) for key, inner in kept}
            return told if len(value) <= MOST else {**told, "...": f"{len(value) - MOST} more"}
        case list() | tuple() | set() | frozenset():
            listed = [_value("", inner, depth + 1) for inner in list(value)[:MOST]]
            return listed if len(value) <= MOST else [*listed, f"... {len(value) - MOST} more"]
        case BaseModel():
            return _value("", value.model_dump(mode="json"), depth + 1)
        case None | bool() | int():
            return value
        case float():
            # NaN and the infinities have no JSON form.
            return value if value - value == 0 else str(value)
        case Enum() | date() | timedelta() | Path():
            return redacted_text(str(value))
        case _:
            return f"<{type(value).__name__}>"
