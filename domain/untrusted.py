"""Text that came from outside has a type of its own until a parser has looked at it.

What a model is shown of it is a marked block: cleaned of what cannot be seen, freed of what could be taken for a
marker, a role or a call, every line quoted, cut. `plain` is the way back, for programs.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from pydantic import BaseModel, ConfigDict

LIMIT = 2000
_QUOTE = "| "
_CUT = " [cut]"
_BLOCK = re.compile(r"<<untrusted source=[^\n]*\n(?P<body>.*)\nuntrusted>>", flags=re.DOTALL)
# A name is what identifiers, versions, times, digests and labels look like: at most three words, and no sentence.
_WORD = r"[\w.:/@+%#&-]+"
_NAME = re.compile(rf"(?:{_WORD}(?: {_WORD}){{0,2}})?")
_LONGEST_NAME = 100
_STEM = 12
# Full-width angles, bar and accent, and the ends of line nobody expects.
_WIDE = str.maketrans("\uff1c\uff1e\uff5c\uff40\u2028\u2029\x85\r", "<>|`\n\n\n\n")
# Invisible or not text at all: control, format (zero width, direction, tags), surrogate, private, unassigned.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_ANGLES = re.compile(r"(?<=<)(?=<)|(?<=>)(?=>)|(?<=<)(?=\|)|(?<=\|)(?=>)")
_FENCE = re.compile(r"`{3,}|~{3,}")
_ROLES = "system|assistant|user|human|developer|final answer"
_ROLE = re.compile(rf"(?im)^(?P<lead>[^\w\n]*)(?P<role>{_ROLES})(?P<end>[^\w\n:]*):")
_TAG = re.compile(
    r"(?i)<(?=/?\s*(?:s|inst|sys|tool\w*|function\w*|antml\w*|invoke|parameter|thinking|system|user|assistant)\b)"
)
_INST = re.compile(r"(?i)\[(/?)(inst|sys)\]")


class Untrusted(BaseModel):
    """Text from outside (alert annotations, log lines, documents, commit messages) with where it came from.

    It never becomes a tool name, path, branch, query or template without a parser in between.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    source: str

    def block(self, limit: int = LIMIT) -> str:
        """Return the text as a marked block for a prompt: cleaned, defused, every line quoted, cut at `limit`."""
        # What is dropped is not counted, and what is far beyond the limit is not looked at.
        body = defused(cleaned(self.text[: 4 * limit]))
        if len(body) > limit or len(self.text) > 4 * limit:
            body = body[:limit] + _CUT
        quoted = "\n".join(f"{_QUOTE}{line}" for line in body.split("\n"))
        return f"<<untrusted source={one_line(self.source, 100)!r}\n{quoted}\nuntrusted>>"


def cleaned(text: str) -> str:
    """Return the text without characters that cannot be seen; other ends of line become the usual one."""
    if text.isascii() and text.isprintable():
        return text
    plainer = text.translate(_WIDE)
    return "".join(char if char in "\n\t" or unicodedata.category(char) not in _UNSEEN else "" for char in plainer)


def defused(text: str) -> str:
    """Return the text with nothing in it that reads as a marker, a fence, a role or a call of a prompt's own."""
    body = _FENCE.sub(lambda found: " ".join(found.group()), _ANGLES.sub(" ", text))
    body = _INST.sub(r"[ \1\2 ]", _TAG.sub("< ", body))
    return _ROLE.sub(r"\g<lead>\g<role>\g<end> (quoted):", body)


def one_line(text: str, limit: int = 200) -> str:
    """Return the text cleaned, defused, on one line and cut: for a sentence of ours that names what came from
    outside, and for messages that others will read.
    """
    flat = " ".join(cleaned(text[: 4 * limit]).split())
    # An angle is parted from its like again: joining lines may have brought them together.
    flat = defused(flat)
    return flat if len(flat) <= limit else flat[:limit] + _CUT


def is_name(text: str) -> bool:
    """Return whether the text is a plain name: an identifier, a number, a time, a digest, a label of few words."""
    if len(text) > _LONGEST_NAME or "://" in text or _NAME.fullmatch(text) is None:
        return False
    return cleaned(text) == text and _ROLE.match(text) is None


def name_of(text: str) -> str:
    """Return the text as a name; of what is none, a beginning too short to say much, and a mark of its own."""
    if is_name(text):
        return text
    start = re.sub(r"\W+", "_", cleaned(text[:100]))[:_STEM]
    return f"{start}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:8]}"


def shown(text: str, source: str, limit: int = LIMIT) -> str:
    """Return a text as a model may see it: a name as it is, everything else as a marked block."""
    return text if is_name(text) else Untrusted(text=text, source=source).block(limit)


def plain(text: str) -> str:
    """Return what stands in a marked block, for programs; a text that is not one block is returned as it is."""
    found = _BLOCK.fullmatch(text)
    if found is None:
        return text
    return "\n".join(line.removeprefix(_QUOTE) for line in found.group("body").split("\n"))
