"""Who may decide what the crew may not: people with roles, and how they prove that they are themselves."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from domain.actor import Role
from domain.errors import ConfigurationError, InvalidInput

# Names of what acts without being a person; nobody may be called like one of them.
_NOT_PEOPLE = frozenset({"engine", "system", "schedule", "evercrew", "nobody", *(role.value for role in Role)})


class Person(BaseModel):
    """Somebody with roles. `os_users` are accounts of this person where the command line is used.

    With a `public_key` (``ssh-ed25519 ...``, or PEM) only what is signed by its private half counts.
    """

    model_config = ConfigDict(frozen=True)

    name: str = Field(min_length=1)
    roles: tuple[str, ...] = ()
    os_users: tuple[str, ...] = ()
    public_key: str = ""


class People:
    """The people who are known, by name; a name that differs in case or space only is the same one.

    Raises:
        ConfigurationError: two people could be the same one, or somebody is called like a part of Evercrew.
    """

    def __init__(self, people: Mapping[str, Person] | None = None) -> None:
        self._people: dict[str, Person] = {}
        taken: dict[tuple[str, str], str] = {}
        for person in (people or {}).values():
            field = f"people.{person.name}"
            if same(person.name) in _NOT_PEOPLE or "/" in person.name or same(person.name).startswith("profile "):
                raise ConfigurationError(field, "it is the name of a part of Evercrew", "Give the person's own name")
            marks = [("name", same(person.name)), *(("os_users", user) for user in person.os_users)]
            if person.public_key:
                marks.append(("public_key", " ".join(person.public_key.split()[:2])))
            for mark in marks:
                if mark in taken:
                    problem = f"{mark[0]} is that of {taken[mark]} too, who could decide twice"
                    raise ConfigurationError(field, problem, "Name every person once")
                taken[mark] = person.name
            self._people[same(person.name)] = person

    def __len__(self) -> int:
        return len(self._people)

    def named(self, name: str) -> Person:
        """Return the person of this name.

        Raises:
            InvalidInput: nobody is called so.
        """
        found = self._people.get(same(name))
        if found is None:
            known = ", ".join(sorted(p.name for p in self._people.values())) or "nobody"
            raise InvalidInput("as", f"{name!r} is not among the people ({known})", "See section `people`")
        return found

    def knows(self, name: str) -> bool:
        """Whether somebody is called so."""
        return same(name) in self._people

    def with_os_user(self, account: str) -> Person | None:
        """Return whose account on the machine this is, or None."""
        mine = (p for p in self._people.values() if same(account) in {same(user) for user in p.os_users})
        return next(mine, None)

    def holding(self, roles: tuple[str, ...]) -> tuple[Person, ...]:
        """Return everybody who holds one of the roles, by name."""
        able = (p for p in self._people.values() if set(p.roles) & set(roles))
        return tuple(sorted(able, key=lambda person: person.name))


def same(name: str) -> str:
    """Return what two spellings of one name have in common."""
    return " ".join(name.casefold().split())
