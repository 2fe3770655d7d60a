"""Text in Markdown that shows what was written, and is no markup.

By the rules of CommonMark 0.31, and of what GitHub's flavour adds to it: tables, strikethrough, and bare links with
``://`` or ``www.``. What else GitHub acts on stays as it is, for a backslash does not keep it from that: a mail address
(``a@b.co``, ``mailto:``, ``xmpp:``) becomes a link, ``@name`` tells somebody, and ``$x$`` is set as a formula.
"""

from __future__ import annotations

import re

# An underscore inside of a word is only that. A bare address becomes a link by its "://" or its "www.".
_MARKS = re.compile(
    r"[\\`*\[\]|~#!] | (?<![A-Za-z0-9])_ | _(?![A-Za-z0-9]) | :(?=//) | (?<=www)\.", flags=re.VERBOSE | re.IGNORECASE
)
# What begins a quotation or a list, draws a rule, or makes a heading of the line above, where it stands first.
_FIRST = re.compile(r"^(?P<number>\d{0,9})(?=[>]|[-+](?:\s|$)|[-=]+$|[.)](?:\s|$))")


def literal(text: str) -> str:
    """Return text on one line, with nothing in it that is markup of Markdown or HTML; the module says what stays."""
    entities = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return _FIRST.sub(r"\g<number>\\", _MARKS.sub(r"\\\g<0>", entities))
