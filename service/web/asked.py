"""What a call asks for, as people say it: a sentence for the calls that come before them, else the tool and its
arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.wording import clean, digest_label, finite, words

_MOST_ARGS = 6
# What people know a thing by stands before what machines do.
_FIRST = ("name", "version", "target")


def call_said(tool: str, args: Mapping[str, Any]) -> str:
    """Return a call in words, e.g. ``promote reranker version 2``, or the tool and its short arguments."""
    sentence = _SENTENCES.get(tool)
    said = sentence({name: _short(value) for name, value in args.items() if _plain(value)}) if sentence else ""
    return said or _listed(tool, args)


def _listed(tool: str, args: Mapping[str, Any]) -> str:
    first = [name for name in _FIRST if name in args]
    told = {name: args[name] for name in (*first, *args)}
    shown = [f"{words(name)} {_short(value)}" for name, value in told.items() if _plain(value)]
    return f"{words(tool)}: {', '.join(shown[:_MOST_ARGS])}" if shown else words(tool)


def _promote(args: Mapping[str, str]) -> str:
    return f"promote {args['name']} version {args['version']}" if {"name", "version"} <= set(args) else ""


def _ab_start(args: Mapping[str, str]) -> str:
    try:
        share = f"{float(args['share']):.0%}".replace("%", "\N{NO-BREAK SPACE}%")
    except (KeyError, ValueError):
        return ""
    return f"test {args.get('candidate', 'a candidate')} on {share} of the users"


def _ab_stop(_args: Mapping[str, str]) -> str:
    return "end the A/B test"


def _tuning(args: Mapping[str, str]) -> str:
    changed = ", ".join(f"{words(name)} {value}" for name, value in args.items())
    return f"change settings: {changed}" if changed else ""


def _roll_back(args: Mapping[str, str]) -> str:
    return f"take back change {args['revision']}" if "revision" in args else ""


def _restore(args: Mapping[str, str]) -> str:
    return f"go back to the values of {args['revision']}" if "revision" in args else ""


_SENTENCES = {
    "promote": _promote,
    "ab_start": _ab_start,
    "ab_stop": _ab_stop,
    "apply_tuning": _tuning,
    "roll_back": _roll_back,
    "restore_values": _restore,
}


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and bool(str(value))


def _short(value: Any) -> str:
    number = finite(value)
    if number is not None:
        return f"{number:g}"
    text = str(value)
    return digest_label(text) if text.startswith("sha256:") or len(text) == 40 else clean(text, 60)
