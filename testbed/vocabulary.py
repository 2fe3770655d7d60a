"""How users call things: their words differ from the documents' words, each in its fixed way."""

from __future__ import annotations

import hashlib
import re

__all__ = ["OTHER_NAMES", "UserVocabulary"]

_TABLE = """
argument arg, array vec, asynchronous async, attribute prop, authentication login, average mean, boolean flag,
buffer mem, callback hook, certificate cert, character char, class type, client consumer, collection bag, column
field, command cmd, compare diff, compile build, configuration config, connection conn, constructor init, container
box, convert transform, copy duplicate, count tally, create make, database db, decorator wrapper, default fallback,
delete remove, dependency dep, derivative gradient, dictionary dict, dimension axis, directory folder, display show,
document doc, element item, encode serialize, environment env, error failure, event signal, exception error, execute
run, expression expr, extension plugin, feature column, file path, filter select, float decimal, format layout,
function func, generate produce, graph network, header meta, identifier id, image picture, implementation impl,
index position, initialize setup, input source, insert add, instance object, integer int, iterate loop, iterator
cursor, keyword kwarg, label tag, length size, library lib, list sequence, load fetch, location place, logger log,
mapping dict, matrix table, maximum max, message msg, method func, metric score, minimum min, model estimator,
module lib, multiple many, name title, node vertex, number num, object thing, operation op, option setting, output
result, package lib, parameter param, parse read, password secret, pattern regex, performance speed, plot chart,
predict guess, process proc, property attr, query lookup, random rand, receive get, record row, reference ref,
remove drop, repository repo, request req, response reply, return get, row record, sample example, schema structure,
search find, sequence list, server backend, session conn, sort order, specification spec, standard std, statistic
stat, stream pipe, string text, structure layout, synchronize sync, table grid, task job, template skeleton,
temporary tmp, text string, thread worker, token word, transaction commit, tree hierarchy, tuple pair, update
refresh, upload push, user account, validate check, value content, variable var, vector array, version release, wait
block, warning alert, weight coefficient, width size, window frame, write save
"""

OTHER_NAMES: dict[str, str] = dict(re.findall(r"(\w+)\s(\w+)", _TABLE))
"""Document word -> the word many users say for it."""

_CLIPPED, _SQUEEZED = 0.55, 0.75
_MIN_LENGTH = 6


class UserVocabulary:
    """A fixed mapping for one population: other names, clipped words and words without their vowels.

    A name is the same for every user and every use; whether a user uses it is another question.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._known: dict[str, str | None] = {}

    def name(self, word: str) -> str | None:
        """What users call the word, or None when they have no other name for it."""
        if word not in self._known:
            self._known[word] = OTHER_NAMES.get(word) or self._short(word)
        return self._known[word]

    def _short(self, word: str) -> str | None:
        if len(word) < _MIN_LENGTH or not word.isalpha():
            return None
        digest = hashlib.sha256(f"{self._seed}:{word}".encode()).digest()
        chance = digest[0] / 256
        if chance < _CLIPPED:
            return word[: 4 + digest[1] % 2]
        if chance < _SQUEEZED:
            squeezed = word[0] + "".join(letter for letter in word[1:] if letter not in "aeiou")
            return squeezed if 3 <= len(squeezed) < len(word) else None
        return None
