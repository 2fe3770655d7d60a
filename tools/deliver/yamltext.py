"""The text of a YAML file, its values by path, and changes that touch no other byte.

The text is parsed for the places of its nodes, and the new values are written there (`splice.py`): comments, order,
indentation, quotes and line ends of everything else stay because they are never written. The result is parsed
again and compared with the file as it was, leaf by leaf: a change that would alter anything besides the named paths is
refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from domain.errors import InvalidInput
from tools.deliver.paths import Choice, Index, Key, PathExpression, Step
from tools.deliver.splice import NULL, added, field_of, is_text, kind_of, name_of, replaced, spliced

_MOST_LEAVES = 200_000

Place = tuple[str | int, ...]
"""Document number, then keys and positions."""
Leaf = tuple[str, str]
"""Tag and text of a scalar; of a collection whether it holds anything."""


class YamlText:
    """The text of a YAML file, of one document or several, with the places of its values; `file` stands in errors.

    Raises:
        InvalidInput: it is no YAML, a document is not a mapping, or a key stands twice.
    """

    def __init__(self, text: str, file: str = "values.yaml") -> None:
        self.text = text
        self.file = file
        try:
            self._documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        except (yaml.YAMLError, RecursionError) as problem:
            raise self._unusable(f"not YAML: {' '.join(str(problem).split())[:200]}") from None
        for number, document in enumerate(self._documents, start=1):
            if not isinstance(document, yaml.MappingNode) and document.tag != NULL:
                raise self._unusable(f"document {number} is not a mapping")
        self.leaves: Mapping[Place, Leaf] = dict(self._flattened())

    def value(self, path: PathExpression, field: str) -> Any:
        """Return the value at a path as plain Python; None when the last steps of it are keys that are not there.

        Raises:
            InvalidInput: the path leads elsewhere than through the file; says where it stopped.
        """
        node, missing, _ = self._resolved(path, field)
        return None if missing else yaml.SafeLoader("").construct_document(node)

    def changed(self, changes: Mapping[PathExpression, Any]) -> YamlText:
        """Return the file with the values at these paths set.

        Raises:
            InvalidInput: a path leads nowhere, or the change would alter anything else.
        """
        found = {path: self._resolved(path, self._field(path)) for path in changes}
        there = [path for path in changes if not found[path][1]]
        edits = [e for p in there for e in replaced(self.text, found[p][0], changes[p], self._field(p))]
        current = YamlText(spliced(self.text, edits), self.file) if edits else self
        for path in changes.keys() - set(there):
            # One after the other: what one adds is there for the next.
            node, missing, _ = current._resolved(path, self._field(path))
            write = added(current.text, node, missing, changes[path], self._field(path))
            current = YamlText(spliced(current.text, write), self.file)
        for path, value in changes.items():
            if current.value(path, self._field(path)) != value:
                problem, remedy = "the new value cannot be written there", "Write the place out in the file"
                raise InvalidInput(self._field(path), problem, remedy)
        self._check_untouched(current, [place for _, _, place in found.values()])
        return current

    def _field(self, path: PathExpression) -> str:
        return f"{self.file} {path}"

    def _check_untouched(self, after: YamlText, places: Sequence[Place]) -> None:
        before, now = self._besides(self.leaves, places), self._besides(after.leaves, places)
        if before != now:
            place = min(set(before.items()) ^ set(now.items()), key=str)[0]
            named = ".".join(str(part) for part in place[1:])
            raise InvalidInput(
                f"{self.file} {named}", "would change too: it shares an anchor with the path", "Write the value out"
            )

    def _besides(self, leaves: Mapping[Place, Leaf], places: Sequence[Place]) -> dict[Place, Leaf]:
        """What stands neither at a place, nor below it, nor around it."""

        def named(place: Place) -> bool:
            return any(place[: len(p)] == p[: len(place)] for p in places)

        return {place: leaf for place, leaf in leaves.items() if not named(place)}

    # -- finding ------------------------------------------------------------------------------------------------------

    def _resolved(self, path: PathExpression, field: str) -> tuple[yaml.Node, tuple[str, ...], Place]:
        """Return the deepest node of the path that is there, the keys missing below it, and the whole place."""
        number, node = self._document(path, field)
        place: list[str | int] = [number]
        for count, step in enumerate(path.steps):
            found = self._below(node, step)
            if found is None:
                rest = [s.name for s in path.steps[count:] if isinstance(s, Key)]
                open_ended = isinstance(node, yaml.MappingNode) or node.tag == NULL
                if not open_ended or len(rest) < len(path.steps) - count:
                    raise self._stopped(path, count, node, step, field)
                return node, tuple(rest), (*place, *rest)
            where, node = found
            place.append(where)
        return node, (), tuple(place)

    def _document(self, path: PathExpression, field: str) -> tuple[int, yaml.Node]:
        filled = [(n, d) for n, d in enumerate(self._documents) if isinstance(d, yaml.MappingNode)]
        if path.document is None:
            if len(filled) == 1:
                return filled[0]
            what = f"{self.file} holds {len(filled)} documents"
            raise InvalidInput(field, f"{what} and `{path}` does not say which", "Write Kind/name# before the path")
        named = [(n, d) for n, d in filled if _identity(d) == path.document]
        if len(named) != 1:
            there = ", ".join("/".join(_identity(d)) for _, d in filled) or "none"
            problem = f"{len(named)} documents of {self.file} are {'/'.join(path.document)}; there are: {there}"
            raise InvalidInput(field, problem, "Name one of them before the #")
        return named[0]

    def _below(self, node: yaml.Node, step: Step) -> tuple[str | int, yaml.Node] | None:
        match step:
            case Key(name) if isinstance(node, yaml.MappingNode):
                return next(((name, v) for k, v in node.value if is_text(k, name)), None)
            case Index(number) if isinstance(node, yaml.SequenceNode) and number < len(node.value):
                return number, node.value[number]
            case Choice(wanted, value) if isinstance(node, yaml.SequenceNode):
                hits = [(n, i) for n, i in enumerate(node.value) if field_of(i, wanted) == value]
                return hits[0] if len(hits) == 1 else None
        return None

    def _stopped(self, path: PathExpression, count: int, node: yaml.Node, step: Step, field: str) -> InvalidInput:
        if isinstance(step, Choice) and isinstance(node, yaml.SequenceNode):
            named = [field_of(item, step.field) for item in node.value]
            why = f"{named.count(step.value)} of its {len(named)} items have {step.field}={step.value}"
            why += f" (there are: {', '.join(sorted({n for n in named if n})) or 'none'})"
        elif isinstance(step, Index) and isinstance(node, yaml.SequenceNode):
            why = f"it has {len(node.value)} items"
        else:
            wanted = "a mapping" if isinstance(step, Key) else "a list"
            why = f"it is {kind_of(node)}, not {wanted}"
        at = f"`{path.upto(count)}`" if count else "the top"
        problem = f"`{path}` stops at {at} (line {node.start_mark.line + 1} of {self.file}): {why}"
        return InvalidInput(field, problem, "Mend the path expression, or the file by hand; nothing was changed")

    # -- comparing ----------------------------------------------------------------------------------------------------

    def _flattened(self) -> Iterator[tuple[Place, Leaf]]:
        waiting: list[tuple[Place, yaml.Node]] = [((n,), d) for n, d in enumerate(self._documents)]
        seen = 0
        while waiting:
            place, node = waiting.pop()
            seen += 1
            if seen > _MOST_LEAVES or len(place) > 200:
                raise self._unusable("holds too much, or refers to itself")
            if isinstance(node, yaml.ScalarNode):
                yield place, (node.tag, node.value)
                continue
            # A collection shows itself too, so that one that is empty is not the same as none.
            yield place, (node.tag, "" if not node.value else "+")
            if isinstance(node, yaml.SequenceNode):
                waiting += [((*place, number), item) for number, item in enumerate(node.value)]
                continue
            names = [name_of(key) for key, _ in node.value]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise self._unusable(f"the key {twice!r} stands twice (line {node.start_mark.line + 1})")
            waiting += [((*place, name), item) for name, (_, item) in zip(names, node.value, strict=True)]

    def _unusable(self, problem: str) -> InvalidInput:
        return InvalidInput(self.file, problem, "Mend the file by hand; nothing was changed")


def _identity(document: yaml.MappingNode) -> tuple[str, str]:
    metadata = next((v for k, v in document.value if is_text(k, "metadata")), document)
    return field_of(document, "kind"), field_of(metadata, "name")
